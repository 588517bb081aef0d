//! `−L[q]`, its gradient and its curvature for each datapoint, from the scores at common draws.

mod any;
mod full;

use super::Rule;
use super::draws::Draws;
use crate::family::{FullGaussian, VariationalFamily};
use crate::inference::InferError;
use gap_model::{JointOutputs, JointRows, LatentVariableModel, Precision};
use nalgebra::{DMatrix, DVector};
use std::f64::consts::{E, TAU};
use tch::Tensor;

/// What a step rule asks of each evaluation, besides the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The value of `−L`: it costs the likelihood's normaliser.
    pub loss: bool,
    /// The whole curvature: it costs a product of scores and draws.
    pub curvature: bool,
    /// How exact the products of the gradient are. With the value they are always in full.
    pub precision: Precision,
}

impl Wanted {
    /// Nothing but the gradient.
    pub const GRADIENT: Self = Self {
        loss: false,
        curvature: false,
        precision: Precision::Full,
    };
}

/// One datapoint's `−L[q]` at a trial `λ`, estimated on one set of draws.
///
/// For a diagonal Gaussian, `λ = (μ, log σ)`: with `s = ∇_z log p(x, z)` at `z = μ + σ ∘ ε`, in whitened
/// coordinates `w = (z − μ) / σ`. For a full one the same with `w = L⁻¹ (z − μ)`, where `C` is the whole
/// story of the covariance. For any other family only the loss and the gradient in `λ`.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `−L`, nats; NaN where it was not asked for.
    pub loss: f64,
    /// `∂(−L)/∂λ`, `[Q]`, of a family that has no coordinates of its own below.
    pub gradient: Vec<f64>,
    /// `σ`, `[D]`; for a full Gaussian ones.
    pub std: DVector<f64>,
    /// `σ ∘ ∂(−L)/∂μ = −E[σ s]`, `[D]`.
    pub mean_gradient: DVector<f64>,
    /// `∂(−L)/∂ log σ = −E[σ s ∘ ε] − 1`, `[D]`.
    pub log_std_gradient: DVector<f64>,
    /// `C = sym(−E[σ s εᵀ])`, `[D, D]`: by Stein's identity the Hessian of `−E log p(x, z)`.
    pub curvature: Option<DMatrix<f64>>,
}

impl Evaluation {
    /// Whether every number that was asked for is finite.
    pub fn is_finite(&self, wanted: Wanted) -> bool {
        (!wanted.loss || self.loss.is_finite())
            && self.gradient.iter().all(|g| g.is_finite())
            && self.mean_gradient.iter().all(|g| g.is_finite())
            && self.log_std_gradient.iter().all(|g| g.is_finite())
            && self
                .curvature
                .iter()
                .all(|c| c.iter().all(|value| value.is_finite()))
    }

    /// `C`, which the rule asked for.
    pub(crate) fn curvature(&self) -> &DMatrix<f64> {
        let curvature = self.curvature.as_ref();
        curvature.expect("a rule that reads the curvature asks for it")
    }
}

/// The negative ELBO of a family at the observations of a batch.
pub struct Objective<'a> {
    joint: JointRows<'a>,
    rows: Rows,
    form: Form<'a>,
}

/// What is known of the family.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// A diagonal Gaussian: Newton's method for the mean, and for each `log σ`.
    Diagonal,
    /// A full Gaussian: Newton's method for the mean and the covariance.
    Full(FullGaussian),
    /// Only how its gradient is taken.
    Any(&'a dyn VariationalFamily),
}

/// What one evaluation asks of the model and is told; the next one takes the same memory.
#[derive(Default)]
struct Rows {
    observations: Vec<usize>, // [N]
    z: Vec<f32>,              // [N, D]
    score: Vec<f32>,          // [N, D]
    log_joint: Vec<f64>,      // [N], if values were asked for
}

impl<'a> Objective<'a> {
    /// Of a diagonal Gaussian, with `model` at the observations `x`, `[B, X]`.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn new(model: &'a dyn LatentVariableModel, x: &Tensor) -> Result<Self, InferError> {
        Self::with_form(Form::Diagonal, model, x)
    }

    /// Of `family`, for an ascent by `rule`.
    ///
    /// # Errors
    ///
    /// [`InferError::Rule`] if the rule's steps are not for the family; [`InferError::Model`] if sizes
    /// do not fit.
    pub fn of(
        family: &'a dyn VariationalFamily,
        rule: Rule,
        model: &'a dyn LatentVariableModel,
        x: &Tensor,
    ) -> Result<Self, InferError> {
        let (diagonal, full) = (family.as_diagonal_gaussian(), family.as_full_gaussian());
        let form = match (rule, diagonal, full) {
            (_, Some(_), _) => Form::Diagonal,
            (Rule::AveragedNewton, _, Some(full)) => Form::Full(full),
            (Rule::Adam(_), ..) => Form::Any(family),
            _ => return Err(InferError::Rule { rule }),
        };
        Self::with_form(form, model, x)
    }

    fn with_form(
        form: Form<'a>,
        model: &'a dyn LatentVariableModel,
        x: &Tensor,
    ) -> Result<Self, InferError> {
        Ok(Self {
            joint: JointRows::new(model, x)?,
            rows: Rows::default(),
            form,
        })
    }

    /// What is known of the family.
    pub const fn form(&self) -> Form<'a> {
        self.form
    }

    /// `D`.
    pub const fn dim(&self) -> usize {
        self.joint.latent_dim()
    }

    /// `N`, normals that a draw of the family is made of.
    pub fn noise_dim(&self) -> usize {
        match self.form {
            Form::Any(family) => family.noise_dim() as usize,
            Form::Diagonal | Form::Full(_) => self.dim(),
        }
    }

    /// One evaluation for each of `rows` (positions in the batch) at its `λ`.
    ///
    /// # Errors
    ///
    /// [`InferError::Model`] if sizes do not fit.
    pub fn evaluate(
        &mut self,
        rows: &[usize],
        params: &[&[f64]],
        draws: &Draws,
        wanted: Wanted,
    ) -> Result<Vec<Evaluation>, InferError> {
        match self.form {
            Form::Diagonal => self.of_diagonal(rows, params, draws, wanted),
            Form::Full(family) => self.of_full(family, rows, params, draws, wanted),
            Form::Any(family) => self.of_any(family, rows, params, draws, wanted),
        }
    }

    fn of_diagonal(
        &mut self,
        rows: &[usize],
        params: &[&[f64]],
        draws: &Draws,
        wanted: Wanted,
    ) -> Result<Vec<Evaluation>, InferError> {
        let (dim, n_samples) = (self.dim(), draws.n_samples());
        self.rows.observations.resize(rows.len() * n_samples, 0);
        self.rows.z.resize(rows.len() * n_samples * dim, 0.0);
        let mut stds = Vec::with_capacity(rows.len());
        let mut std32 = vec![0.0_f32; dim];
        let mut mean32 = vec![0.0_f32; dim];
        for (row, (&observation, params)) in rows.iter().zip(params).enumerate() {
            let (mean, log_std) = params.split_at(dim);
            let std = DVector::from_iterator(dim, log_std.iter().map(|r| r.exp()));
            for i in 0..dim {
                (mean32[i], std32[i]) = (mean[i] as f32, std[i] as f32);
            }
            let z = self.rows.z[row * n_samples * dim..].chunks_exact_mut(dim);
            for (z, noise) in z.zip(draws.of_row(row).chunks_exact(dim)) {
                for i in 0..dim {
                    z[i] = mean32[i] + std32[i] * noise[i];
                }
            }
            let own = row * n_samples..(row + 1) * n_samples;
            self.rows.observations[own].fill(observation);
            stds.push(std);
        }
        self.score(wanted)?;
        let len = n_samples * dim;
        let evaluations = stds.into_iter().enumerate().map(|(row, std)| {
            let score = &self.rows.score[row * len..(row + 1) * len];
            let mut evaluation = from_scores(std, draws.of_row(row), score, wanted.curvature);
            if wanted.loss {
                let own = &self.rows.log_joint[row * n_samples..(row + 1) * n_samples];
                let mean = own.iter().sum::<f64>() / n_samples as f64;
                evaluation.loss = -mean - entropy(&params[row][dim..]);
            }
            evaluation
        });
        Ok(evaluations.collect())
    }

    /// The scores of the rows, and their log joints if the loss is wanted.
    fn score(&mut self, wanted: Wanted) -> Result<(), InferError> {
        let Rows {
            observations,
            z,
            score,
            log_joint,
        } = &mut self.rows;
        score.resize(z.len(), 0.0);
        log_joint.resize(observations.len(), 0.0);
        let asked = JointOutputs {
            score: Some(score),
            log_joint: wanted.loss.then_some(log_joint),
            precision: wanted.precision,
        };
        Ok(self.joint.evaluate(observations, z, asked)?)
    }
}

/// The entropy of a Gaussian with this `log σ`, or `log diag L`, nats.
fn entropy(log_stds: &[f64]) -> f64 {
    log_stds.iter().sum::<f64>() + 0.5 * log_stds.len() as f64 * (TAU * E).ln()
}

/// The gradient and curvature from one datapoint's draws and scores, each `[S, D]`.
fn from_scores(std: DVector<f64>, noise: &[f32], score: &[f32], curvature: bool) -> Evaluation {
    let dim = std.len();
    let scale = -1.0 / (noise.len() / dim) as f64; // −1 / S
    let mut sum = vec![0.0_f32; dim];
    let mut diagonal = vec![0.0_f32; dim];
    let mut outer = vec![0.0_f32; if curvature { dim * dim } else { 0 }];
    for (noise, score) in noise.chunks_exact(dim).zip(score.chunks_exact(dim)) {
        for (sum, s) in sum.iter_mut().zip(score) {
            *sum += s;
        }
        if curvature {
            for (row, s) in outer.chunks_exact_mut(dim).zip(score) {
                for (value, e) in row.iter_mut().zip(noise) {
                    *value += s * e;
                }
            }
        } else {
            for ((value, s), e) in diagonal.iter_mut().zip(score).zip(noise) {
                *value += s * e;
            }
        }
    }
    let scaled = |i: usize, value: f32| std[i] * f64::from(value) * scale;
    let of_diagonal = |i: usize| {
        if curvature {
            outer[i * dim + i]
        } else {
            diagonal[i]
        }
    };
    let mean_gradient = DVector::from_fn(dim, |i, _| scaled(i, sum[i]));
    let log_std_gradient = DVector::from_fn(dim, |i, _| scaled(i, of_diagonal(i)) - 1.0);
    let curvature = curvature.then(|| {
        DMatrix::from_fn(dim, dim, |i, j| {
            0.5 * (scaled(i, outer[i * dim + j]) + scaled(j, outer[j * dim + i]))
        })
    });
    Evaluation {
        loss: f64::NAN,
        gradient: Vec::new(),
        std,
        mean_gradient,
        log_std_gradient,
        curvature,
    }
}
