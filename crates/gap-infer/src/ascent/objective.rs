//! `−L[q]`, its gradient and its curvature for each datapoint, from the model's scores at draws of `q`.

use super::coordinates::{
    DiagonalReparameterization, FullGaussianReparameterization, GenericReparameterization,
    Reparameterization, ScoredDraws,
};
use super::draws::{DrawSpace, DrawValues, NoiseDraws, TypedDraws, gaussian_proposal_std};
use super::evaluation::{Evaluation, EvaluationRequest};
use super::form::FamilyKind;
use crate::family::{FloatNumber, RowTransform, VariationalFamily};
use crate::inference::InferError;
use gap_model::{JointOutputs, JointRowEvaluator, LatentVariableModel};
use gap_spec::StepRule;
use tch::{Kind, Tensor};

/// The negative ELBO of a family at the observations of a batch.
pub struct Objective<'a> {
    joint: JointRowEvaluator<'a>,
    kind: Kind,
    memory: EvaluationMemory,
    form: FamilyKind<'a>,
}

/// The buffers of evaluations on draws of either type. Those of a model's other type stay empty.
#[derive(Default)]
struct EvaluationMemory {
    single: EvaluationBuffers<f32>,
    double: EvaluationBuffers<f64>,
}

/// The model's inputs and outputs in one evaluation, reused by the next. A row is one draw of one datapoint;
/// `N` rows are evaluated together.
#[derive(Default)]
struct EvaluationBuffers<T> {
    observations: Vec<usize>, // [N]
    z: Vec<T>,                // [N, D]
    score: Vec<T>,            // [N, D]
    log_joint: Vec<f64>,      // [N], valid if the loss was requested
    log_q: Vec<f64>,          // [N], valid if the family's loss needs it
}

impl<T: FloatNumber> EvaluationBuffers<T> {
    fn resize(&mut self, n_rows: usize, dim: usize) {
        self.observations.resize(n_rows, 0);
        self.z.resize(n_rows * dim, T::default());
        self.score.resize(n_rows * dim, T::default());
        self.log_joint.resize(n_rows, 0.0);
        self.log_q.resize(n_rows, 0.0);
    }

    /// Computes the model's score at every draw, and its log joint if the loss is requested.
    fn score_draws(
        &mut self,
        joint: &mut JointRowEvaluator<'_>,
        request: EvaluationRequest,
    ) -> Result<(), InferError> {
        let outputs = JointOutputs {
            score: Some(&mut self.score),
            log_joint: request.loss.then_some(&mut self.log_joint),
            precision: request.precision,
        };
        Ok(joint.evaluate(&self.observations, &self.z, outputs)?)
    }

    /// Multiplies the outputs at each draw by its weight; `weights`, `[S]`, are those of each datapoint's draws. The
    /// log joints, which do not vanish at the optimum, are multiplied by weights with the mean 1.
    fn weigh(&mut self, weights: &[T], dim: usize) {
        let mean = weights.iter().map(|w| w.to_f64()).sum::<f64>() / weights.len() as f64;
        let scores = self.score.chunks_exact_mut(dim);
        let outputs = scores.zip(&mut self.log_joint);
        for ((score, log_joint), &weight) in outputs.zip(weights.iter().cycle()) {
            for value in score {
                *value *= weight;
            }
            *log_joint *= weight.to_f64() / mean;
        }
    }
}

/// An evaluation of datapoints on draws of type `T`.
struct TypedEvaluation<'e, 'a, T> {
    joint: &'e mut JointRowEvaluator<'a>,
    memory: &'e mut EvaluationBuffers<T>,
    /// The positions of the datapoints in the batch.
    rows: &'e [usize],
    /// The `λ` of each.
    params: &'e [&'e [f64]],
    draws: &'e TypedDraws<T>,
    n_samples: usize,
    request: EvaluationRequest,
}

impl<T: FloatNumber> TypedEvaluation<'_, '_, T> {
    fn of_family<'f>(self, form: FamilyKind<'f>) -> Result<Vec<Evaluation>, InferError>
    where
        dyn VariationalFamily + 'f: RowTransform<T>,
    {
        match form {
            FamilyKind::Diagonal => {
                let dim = self.joint.latent_dim();
                self.reparameterized(DiagonalReparameterization::new(dim))
            }
            FamilyKind::Full(family) => {
                self.reparameterized(FullGaussianReparameterization::new(family))
            }
            FamilyKind::Any(family) => self.reparameterized(GenericReparameterization(family)),
        }
    }

    /// Draws `z` for every datapoint, computes the model's scores at the draws, and turns these into one
    /// evaluation for each datapoint.
    fn reparameterized<C: Reparameterization<T>>(
        self,
        mut coordinates: C,
    ) -> Result<Vec<Evaluation>, InferError> {
        let (dim, n_samples) = (self.joint.latent_dim(), self.n_samples);
        let len = n_samples * dim;
        let at_once = (C::MAX_DRAWS_AT_ONCE / n_samples).max(1);
        let mut evaluations = Vec::with_capacity(self.rows.len());
        for (chunk, rows) in self.rows.chunks(at_once).enumerate() {
            let first = chunk * at_once;
            let params = &self.params[first..first + rows.len()];
            self.memory.resize(rows.len() * n_samples, dim);
            let mut placed = Vec::with_capacity(rows.len());
            for (row, (&observation, params)) in rows.iter().zip(params).enumerate() {
                let samples = row * n_samples..(row + 1) * n_samples;
                let z = &mut self.memory.z[row * len..][..len];
                let log_q = &mut self.memory.log_q[samples.clone()];
                let noise = self.draws.of_datapoint(first + row);
                placed.push(coordinates.reparameterize(params, noise, z, log_q));
                self.memory.observations[samples].fill(observation);
            }
            self.memory.score_draws(self.joint, self.request)?;
            if let Some(weights) = self.draws.weights() {
                self.memory.weigh(weights, dim);
            }
            for (row, (placed, params)) in placed.into_iter().zip(params).enumerate() {
                let samples = row * n_samples..(row + 1) * n_samples;
                let needs_block = self.request.curvature || self.request.scores;
                let block = || self.draws.block_of_datapoint(first + row, dim);
                let scored = ScoredDraws {
                    noise: self.draws.of_datapoint(first + row),
                    block: needs_block.then(block),
                    score: &self.memory.score[row * len..][..len],
                    log_joint: &self.memory.log_joint[samples.clone()],
                    log_q: &self.memory.log_q[samples],
                };
                let own = coordinates.evaluation_from_scores(placed, params, &scored, self.request);
                evaluations.push(own);
            }
        }
        Ok(evaluations)
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
            kind: model.kind(),
            memory: EvaluationMemory::default(),
            form,
        })
    }

    /// How this objective treats its family.
    pub const fn family_kind(&self) -> FamilyKind<'a> {
        self.form
    }

    /// The kind of the model's numbers, which draws should have too.
    pub const fn kind(&self) -> Kind {
        self.kind
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

    /// The space of the draws on which this objective is evaluated.
    pub fn draw_space(&self) -> DrawSpace {
        let (dim, kind) = (self.noise_dim(), self.kind);
        let proposal_std = match self.form {
            FamilyKind::Any(_) => 1.0,
            FamilyKind::Diagonal | FamilyKind::Full(_) => gaussian_proposal_std(dim),
        };
        DrawSpace {
            dim,
            kind,
            proposal_std,
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
        let (joint, n_samples, form) = (&mut self.joint, draws.n_samples(), self.form);
        match draws.values() {
            DrawValues::Single(draws) => TypedEvaluation {
                joint,
                memory: &mut self.memory.single,
                rows,
                params,
                draws,
                n_samples,
                request,
            }
            .of_family(form),
            DrawValues::Double(draws) => TypedEvaluation {
                joint,
                memory: &mut self.memory.double,
                rows,
                params,
                draws,
                n_samples,
                request,
            }
            .of_family(form),
        }
    }
}
