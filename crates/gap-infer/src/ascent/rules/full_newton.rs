//! Averaged Newton steps for the full Gaussian, whose precision becomes an average of the blocks' curvatures.

use super::averaged_newton::MAX_MEAN_STEP_IN_STDS;
use super::block_weights::{BlockGradient, BlockWeights, SignalShare};
use super::blocks::{ControlVariateCorrectedBlock, RunningCurvatureAverage};
use crate::ascent::curvature::{NewtonPreconditioner, shrink_factor};
use crate::ascent::evaluation::Evaluation;
use crate::ascent::stepper::{StepOutcome, Stepper};
use nalgebra::{DMatrix, DVector};

/// The lowest precision that a step may give `q` in any direction, relative to the precision before it. Lower
/// ones are attributed to sampling noise, so the standard deviation grows by a factor of at most `1 / √0.1`.
const MIN_RELATIVE_PRECISION: f64 = 0.1;

/// The rule of [`super::averaged_newton`] for the full Gaussian, where all of `C` determines the covariance.
///
/// At the optimum of a full Gaussian the precision is `E[−∇² log p]` (Opper and Archambeau 2009, §2), so in
/// the coordinates `w = L⁻¹ (z − μ)` a step changes it from `I` to `(1 − ρ) I + ρ C`. That is a
/// natural-gradient step of size `ρ` (Khan and Nielsen 2018, §3). As `ρ` is about the block's share of all
/// draws, the precision is an average over all blocks.
pub struct StochasticFullGaussianNewton {
    blocks: RunningCurvatureAverage,
    dim: usize,
    params: Vec<f64>,
    mean_weights: BlockWeights,
    factor_weights: BlockWeights,
}

impl StochasticFullGaussianNewton {
    /// See [`BlockWeights::new`] for `keeps_start`.
    pub fn new(start: Vec<f64>, dim: usize, keeps_start: bool) -> Self {
        Self {
            blocks: RunningCurvatureAverage::new(),
            dim,
            params: start,
            mean_weights: BlockWeights::new(keeps_start),
            factor_weights: BlockWeights::new(keeps_start),
        }
    }

    /// Sets `μ ← μ + L w` and `L ← L M`, where `M` is `factor`.
    fn apply_mean_and_factor_step(&mut self, w: &DVector<f64>, factor: &DMatrix<f64>) {
        let dim = self.dim;
        let own = scale_factor(&self.params, dim);
        let step = &own * w;
        let own = own * factor;
        let mut next = 2 * dim;
        for i in 0..dim {
            self.params[i] += step[i];
            self.params[dim + i] = own[(i, i)].ln();
            for j in 0..i {
                self.params[next] = own[(i, j)];
                next += 1;
            }
        }
    }
}

/// Returns the lower triangular `L` of a full Gaussian's `λ`.
pub fn scale_factor(params: &[f64], dim: usize) -> DMatrix<f64> {
    let mut factor = DMatrix::zeros(dim, dim);
    let mut next = 2 * dim;
    for i in 0..dim {
        for j in 0..i {
            factor[(i, j)] = params[next];
            next += 1;
        }
        factor[(i, i)] = params[dim + i].exp();
    }
    factor
}

/// Returns the lower triangular `M` with `M Mᵀ = P⁻¹`, where `P` is `precision`; `None` if `P − least · I` is
/// not positive definite.
///
/// Cholesky's factorisation with rows and columns in reverse order gives `P = U Uᵀ` with an upper triangular
/// `U`; `M` is `U⁻ᵀ`.
fn cholesky_of_inverse(precision: &DMatrix<f64>, least: f64) -> Option<DMatrix<f64>> {
    let dim = precision.nrows();
    let reversed = |matrix: &DMatrix<f64>| {
        DMatrix::from_fn(dim, dim, |i, j| matrix[(dim - 1 - i, dim - 1 - j)])
    };
    let reversed_precision = reversed(precision);
    let lessened = &reversed_precision - DMatrix::identity(dim, dim) * least;
    lessened.cholesky()?;
    let factor = reversed_precision.cholesky()?.unpack();
    let inverse = factor.solve_lower_triangular(&DMatrix::identity(dim, dim))?;
    Some(reversed(&inverse.transpose()))
}

impl Stepper for StochasticFullGaussianNewton {
    fn params_to_evaluate(&self) -> &[f64] {
        &self.params
    }

    fn current_solution(&self) -> &[f64] {
        &self.params
    }

    fn update_with_evaluation(&mut self, evaluation: Evaluation) -> StepOutcome {
        let block = evaluation.into_scored_block();
        let n_samples = block.n_samples();
        let ControlVariateCorrectedBlock {
            gradient,
            curvature,
            mut averaged,
            shrunk,
            squared_error,
            averaged_squared_error,
            parts,
            inflation,
            damping,
            n_blocks,
        } = self.blocks.add_and_correct_block(block);
        let dim = self.dim;
        let identity = DMatrix::identity(dim, dim);
        let ridge = shrunk.half_spectral_error() + damping;
        let metric = NewtonPreconditioner::new(&shrunk.mean, ridge);
        let excess = curvature - &identity;
        // For a symmetric change A of log L, the gradient is C − I, and the second derivative along A is
        // 2 |A|² where C = I: hence the predicted gain ¼ |C − I|².
        let of_mean = metric.square(gradient.clone().as_mut_slice());
        let decrement = 0.5 * of_mean + 0.25 * excess.norm_squared();
        let block = BlockGradient {
            gradient,
            parts: parts.as_ref().map(|parts| &parts.mean),
            inflation,
        };
        let for_mean = self
            .mean_weights
            .weigh(block, n_samples, decrement, |g| metric.square(g));
        let keeps_factor = self.factor_weights.keeps_start();
        let (excess, squared_error, n_compared) = if keeps_factor {
            (&averaged - &identity, averaged_squared_error, n_blocks)
        } else {
            (excess, squared_error, 1)
        };
        let n_entries = dim * (dim + 1) / 2;
        // The error of each block is known from the difference of its two halves.
        let freedom = n_entries as f64 * f64::from(n_compared);
        let share = SignalShare::new(excess.norm_squared(), squared_error, n_entries, freedom);
        let factor_weight = self
            .factor_weights
            .weigh_by_share(share, n_samples, decrement);
        let (mean_weight, gradient) = (for_mean.weight, for_mean.gradient);
        let step = metric.newton_mean_step(&gradient);
        self.blocks
            .set_weight(n_samples, mean_weight.max(factor_weight));
        let mut rate = factor_weight / (1.0 + damping);
        let factor = loop {
            let precision = &identity + &excess * rate;
            if let Some(factor) = cholesky_of_inverse(&precision, MIN_RELATIVE_PRECISION) {
                break factor;
            }
            // Terminates: the precision approaches the identity, since every evaluation here is finite.
            rate *= 0.5;
        };
        let shrink = shrink_factor(&step, &gradient, MAX_MEAN_STEP_IN_STDS);
        self.apply_mean_and_factor_step(&(step * (-mean_weight * shrink)), &factor);
        averaged = factor.transpose() * averaged * &factor;
        self.blocks.set_averaged_curvature(averaged);
        StepOutcome::Iterate { decrement }
    }
}
