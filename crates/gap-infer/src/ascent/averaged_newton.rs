//! Newton steps that are averaged over new draws, each block corrected by the blocks before it.

use super::curvature::NewtonMetric;
use super::objective::{Evaluation, Wanted};
use super::{Draws, Progress, StepRule};
use nalgebra::DMatrix;

/// Added to the curvature in the first step, and less and less in later ones: far from the optimum
/// the flattest directions are steeper than they look.
const FIRST_DAMPING: f64 = 0.4;
/// A block weighs this much more than its share of all draws: earlier ones were farther off.
const FORGETTING: f64 = 1.3;
/// The longest step in any one mean, standard deviations, and in any one `log σ`.
const LONGEST_STEP: f64 = 1.0;
const LONGEST_LOG_STEP: f64 = 0.5;

pub const WANTED: Wanted = Wanted {
    curvature: true,
    ..Wanted::GRADIENT
};

/// Stochastic approximation with Newton steps whose size is about the block's share of all draws so
/// far: the iterate is an average over all blocks, so no gradient is lost, and no fixed set of draws
/// leaves its bias.
///
/// The curvature of the blocks before is a control variate: it says how much of a block's gradient
/// comes from its draws' own mean and covariance. There is no check on the value: start it near.
pub struct AveragedNewton {
    blocks: u32,
    drawn: f64,
    /// The running `C` of earlier blocks, in whitened coordinates of the present `σ`.
    curvature: Option<DMatrix<f64>>,
    params: Vec<f64>,
}

impl AveragedNewton {
    pub const fn new(start: Vec<f64>) -> Self {
        Self {
            blocks: 0,
            drawn: 0.0,
            curvature: None,
            params: start,
        }
    }
}

impl StepRule for AveragedNewton {
    fn trial(&self) -> &[f64] {
        &self.params
    }

    fn answer(&self) -> &[f64] {
        &self.params
    }

    fn tell(&mut self, evaluation: &Evaluation, draws: &Draws) -> Progress {
        let drawn = draws.n_samples() as f64;
        self.drawn += drawn;
        let weight = (FORGETTING * drawn / self.drawn).min(1.0);
        let damping = FIRST_DAMPING / f64::from(self.blocks + 1).powi(2);
        let mut gradient = evaluation.mean_gradient.clone();
        let mut curvature = evaluation.curvature().clone();
        if let Some(known) = &self.curvature {
            // With σs ≈ a − Cε the block's own ē and G are taken out.
            gradient -= known * &draws.mean;
            let outer = -&gradient * draws.mean.transpose();
            let mut spread = draws.second_moment.clone();
            spread -= DMatrix::identity(spread.nrows(), spread.ncols());
            let excess = known * spread;
            curvature += (&outer + outer.transpose() - &excess - excess.transpose()) * 0.5;
        }
        let log_std_gradient = curvature.diagonal().add_scalar(-1.0);
        let mut averaged = match self.curvature.take() {
            Some(known) => &known + (curvature - &known) * weight,
            None => curvature,
        };
        let metric = NewtonMetric::new(&averaged, damping);
        let (step, log_step) = metric.step(&gradient, &log_std_gradient);
        let decrement = 0.5 * step.dot(&gradient) + 0.5 * log_step.dot(&log_std_gradient);
        let longest = step.amax();
        let shrink = if longest > LONGEST_STEP {
            LONGEST_STEP / longest
        } else {
            1.0
        };
        let dim = self.params.len() / 2;
        for i in 0..dim {
            let log_move = weight * log_step[i].clamp(-LONGEST_LOG_STEP, LONGEST_LOG_STEP);
            self.params[i] -= weight * self.params[dim + i].exp() * shrink * step[i];
            self.params[dim + i] -= log_move;
            // The coordinates stretch with σ, and the curvature in them.
            averaged.row_mut(i).scale_mut((-log_move).exp());
            averaged.column_mut(i).scale_mut((-log_move).exp());
        }
        self.curvature = Some(averaged);
        self.blocks += 1;
        Progress::Iterate { decrement }
    }
}
