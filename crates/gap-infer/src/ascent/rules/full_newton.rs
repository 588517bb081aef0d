//! Averaged Newton steps for the full Gaussian: its precision is the average of the curvatures seen.

use super::averaged_newton::MAX_MEAN_STEP_IN_STDS;
use super::blocks::{ControlVariateCorrectedBlock, RunningCurvatureAverage};
use crate::ascent::curvature::{NewtonPreconditioner, shrink_factor};
use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::Evaluation;
use crate::ascent::stepper::{StepOutcome, Stepper};
use nalgebra::{DMatrix, DVector};

/// No step makes `q` more than `1 / √0.1` times as wide in any direction: below lies sampling noise.
const MIN_RELATIVE_PRECISION: f64 = 0.1;

/// As [`super::averaged_newton`], but that all of `C` is put to use: at the optimum of a full Gaussian
/// the precision is `E[−∇² log p]` (Opper and Archambeau 2009, §2), so in coordinates `w = L⁻¹ (z − μ)`
/// it moves to `(1 − ρ) I + ρ C`. That is the natural gradient with step `ρ` (Khan and Nielsen 2018,
/// §3), and with steps that are the blocks' shares of all draws the precision is an average over all
/// blocks.
pub struct StochasticFullGaussianNewton {
    blocks: RunningCurvatureAverage,
    dim: usize,
    params: Vec<f64>,
}

impl StochasticFullGaussianNewton {
    pub const fn new(start: Vec<f64>, dim: usize) -> Self {
        Self {
            blocks: RunningCurvatureAverage::new(),
            dim,
            params: start,
        }
    }

    /// `μ ← μ + L w`, `L ← L M`.
    fn apply_mean_and_factor_step(&mut self, w: &DVector<f64>, factor: &DMatrix<f64>) {
        let dim = self.dim;
        let mut own = DMatrix::zeros(dim, dim);
        let mut next = 2 * dim;
        for i in 0..dim {
            for j in 0..i {
                own[(i, j)] = self.params[next];
                next += 1;
            }
            own[(i, i)] = self.params[dim + i].exp();
        }
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

/// The lower `M` with `M Mᵀ = P⁻¹`; none if `P` less `least` is not positive definite.
///
/// With rows and columns in reverse order, Cholesky's factor of `P` is upper, and the transpose of its
/// inverse lower.
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

    fn update_with_evaluation(
        &mut self,
        evaluation: &Evaluation,
        draws: &NoiseDraws,
    ) -> StepOutcome {
        let ControlVariateCorrectedBlock {
            gradient,
            curvature,
            mut averaged,
            weight,
            damping,
        } = self.blocks.add_and_correct_block(evaluation, draws);
        let dim = self.dim;
        let step = NewtonPreconditioner::new(&averaged, damping).newton_mean_step(&gradient);
        let identity = DMatrix::identity(dim, dim);
        let excess = curvature - &identity;
        // Where C is the identity the curvature in a symmetric move A of log L is 2 |A|².
        let decrement = 0.5 * step.dot(&gradient) + 0.25 * excess.norm_squared();
        let mut rate = weight / (1.0 + damping);
        let factor = loop {
            let precision = &identity + &excess * rate;
            if let Some(factor) = cholesky_of_inverse(&precision, MIN_RELATIVE_PRECISION) {
                break factor;
            }
            // Ends: the identity is positive definite, and what is not finite was refused before.
            rate *= 0.5;
        };
        let shrink = shrink_factor(&step, MAX_MEAN_STEP_IN_STDS);
        self.apply_mean_and_factor_step(&(step * (-weight * shrink)), &factor);
        averaged = factor.transpose() * averaged * &factor;
        self.blocks.set_averaged_curvature(averaged);
        StepOutcome::Iterate { decrement }
    }
}
