//! `−L[q]`, its gradient and its curvature for each datapoint, from the model's scores at draws of `q`.

use super::coordinates::{
    DiagonalReparameterization, FullGaussianReparameterization, GenericReparameterization,
    Reparameterization, ScoredDraws,
};
use super::draws::NoiseDraws;
use super::evaluation::{Evaluation, EvaluationRequest};
use super::form::FamilyKind;
use crate::family::VariationalFamily;
use crate::inference::InferError;
use gap_model::{JointOutputs, JointRowEvaluator, LatentVariableModel};
use gap_spec::StepRule;
use tch::Tensor;

/// The negative ELBO of a family at the observations of a batch.
pub struct Objective<'a> {
    joint: JointRowEvaluator<'a>,
    memory: EvaluationBuffers,
    form: FamilyKind<'a>,
}

/// The model's inputs and outputs in one evaluation, reused by the next. A row is one draw of one datapoint;
/// `N` rows are evaluated together.
#[derive(Default)]
struct EvaluationBuffers {
    observations: Vec<usize>, // [N]
    z: Vec<f32>,              // [N, D]
    score: Vec<f32>,          // [N, D]
    log_joint: Vec<f64>,      // [N], valid if the loss was requested
    log_q: Vec<f64>,          // [N], valid if the family's loss needs it
}

impl EvaluationBuffers {
    fn resize(&mut self, n_rows: usize, dim: usize) {
        self.observations.resize(n_rows, 0);
        self.z.resize(n_rows * dim, 0.0);
        self.score.resize(n_rows * dim, 0.0);
        self.log_joint.resize(n_rows, 0.0);
        self.log_q.resize(n_rows, 0.0);
    }
}

impl<'a> Objective<'a> {
    /// The objective of a diagonal Gaussian, for `model` and the observations `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn new(model: &'a dyn LatentVariableModel, x: &Tensor) -> Result<Self, InferError> {
        Self::with_family_kind(FamilyKind::Diagonal, model, x)
    }

    /// The objective of `family` for an ascent by `rule`, for `model` and the observations `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`InferError::Rule`] if the rule does not support the family; [`InferError::Model`] if sizes
    /// do not fit.
    pub fn for_family(
        family: &'a dyn VariationalFamily,
        rule: StepRule,
        model: &'a dyn LatentVariableModel,
        x: &Tensor,
    ) -> Result<Self, InferError> {
        let (diagonal, full) = (family.as_diagonal_gaussian(), family.as_full_gaussian());
        let form = match (rule, diagonal, full) {
            (_, Some(_), _) => FamilyKind::Diagonal,
            (StepRule::AveragedNewton, _, Some(full)) => FamilyKind::Full(full),
            (StepRule::Adam, ..) => FamilyKind::Any(family),
            _ => return Err(InferError::Rule { rule }),
        };
        Self::with_family_kind(form, model, x)
    }

    fn with_family_kind(
        form: FamilyKind<'a>,
        model: &'a dyn LatentVariableModel,
        x: &Tensor,
    ) -> Result<Self, InferError> {
        Ok(Self {
            joint: JointRowEvaluator::new(model, x)?,
            memory: EvaluationBuffers::default(),
            form,
        })
    }

    /// How this objective treats its family.
    pub const fn family_kind(&self) -> FamilyKind<'a> {
        self.form
    }

    /// The latent dimension, `D`.
    pub const fn latent_dim(&self) -> usize {
        self.joint.latent_dim()
    }

    /// The number of standard normals that one draw of the family is computed from.
    pub fn noise_dim(&self) -> usize {
        match self.form {
            FamilyKind::Any(family) => family.noise_dim() as usize,
            FamilyKind::Diagonal | FamilyKind::Full(_) => self.latent_dim(),
        }
    }

    /// Evaluates the datapoints at the positions `rows` of the batch, and returns the results in that order.
    /// `params` has the `λ` of each, and `draws` were made for these datapoints.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn evaluate(
        &mut self,
        rows: &[usize],
        params: &[&[f64]],
        draws: &NoiseDraws,
        request: EvaluationRequest,
    ) -> Result<Vec<Evaluation>, InferError> {
        match self.form {
            FamilyKind::Diagonal => {
                let coordinates = DiagonalReparameterization::new(self.latent_dim());
                self.evaluate_reparameterized(coordinates, rows, params, draws, request)
            }
            FamilyKind::Full(family) => {
                let coordinates = FullGaussianReparameterization::new(family);
                self.evaluate_reparameterized(coordinates, rows, params, draws, request)
            }
            FamilyKind::Any(family) => {
                let coordinates = GenericReparameterization(family);
                self.evaluate_reparameterized(coordinates, rows, params, draws, request)
            }
        }
    }

    /// Draws `z` for every datapoint, computes the model's scores at the draws, and turns these into one
    /// evaluation for each datapoint.
    fn evaluate_reparameterized<C: Reparameterization>(
        &mut self,
        mut coordinates: C,
        rows: &[usize],
        params: &[&[f64]],
        draws: &NoiseDraws,
        request: EvaluationRequest,
    ) -> Result<Vec<Evaluation>, InferError> {
        let (dim, n_samples) = (self.latent_dim(), draws.n_samples());
        let len = n_samples * dim;
        let at_once = (C::MAX_DRAWS_AT_ONCE / n_samples).max(1);
        let mut evaluations = Vec::with_capacity(rows.len());
        for (chunk, rows) in rows.chunks(at_once).enumerate() {
            let first = chunk * at_once;
            let params = &params[first..first + rows.len()];
            self.memory.resize(rows.len() * n_samples, dim);
            let mut placed = Vec::with_capacity(rows.len());
            for (row, (&observation, params)) in rows.iter().zip(params).enumerate() {
                let samples = row * n_samples..(row + 1) * n_samples;
                let z = &mut self.memory.z[row * len..][..len];
                let log_q = &mut self.memory.log_q[samples.clone()];
                placed.push(coordinates.reparameterize(
                    params,
                    draws.datapoint_draws(first + row),
                    z,
                    log_q,
                ));
                self.memory.observations[samples].fill(observation);
            }
            self.score_buffered_draws(request)?;
            for (row, (placed, params)) in placed.into_iter().zip(params).enumerate() {
                let samples = row * n_samples..(row + 1) * n_samples;
                let scored = ScoredDraws {
                    noise: draws.datapoint_draws(first + row),
                    duals: draws.duals.as_deref(),
                    score: &self.memory.score[row * len..][..len],
                    log_joint: &self.memory.log_joint[samples.clone()],
                    log_q: &self.memory.log_q[samples],
                };
                evaluations
                    .push(coordinates.evaluation_from_scores(placed, params, &scored, request));
            }
        }
        Ok(evaluations)
    }

    /// Computes the model's score at every draw in `self.memory`, and its log joint if the loss is requested.
    fn score_buffered_draws(&mut self, request: EvaluationRequest) -> Result<(), InferError> {
        let EvaluationBuffers {
            observations,
            z,
            score,
            log_joint,
            ..
        } = &mut self.memory;
        let outputs = JointOutputs {
            score: Some(score),
            log_joint: request.loss.then_some(log_joint),
            precision: request.precision,
        };
        Ok(self.joint.evaluate(observations, z, outputs)?)
    }
}
