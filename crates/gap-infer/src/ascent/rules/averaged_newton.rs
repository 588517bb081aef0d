//! Newton steps averaged over blocks of new draws, each corrected by the curvature of the earlier blocks.

use super::blocks::{ControlVariateCorrectedBlock, RunningCurvatureAverage};
use crate::ascent::curvature::{NewtonPreconditioner, shrink_factor};
use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::{Evaluation, EvaluationRequest};
use crate::ascent::stepper::{StepOutcome, Stepper};

/// The largest step in any one mean, in standard deviations of `q`, and in any one `log σ`, before the step is
/// multiplied by the block's weight.
pub const MAX_MEAN_STEP_IN_STDS: f64 = 1.0;
const MAX_LOG_STD_STEP: f64 = 0.5;

pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest {
    curvature: true,
    ..EvaluationRequest::GRADIENT_ONLY
};

/// Stochastic approximation by Newton steps whose size is about the block's share of all draws so far. The
/// iterate is then an average over all blocks: every gradient counts, and there is no bias from a fixed set of
/// draws.
///
/// The average curvature of earlier blocks is a control variate: it predicts which part of a block's gradient
/// is due to the mean and covariance of its draws. The loss is not checked, so the start must be near the
/// optimum.
pub struct StochasticNewton {
    blocks: RunningCurvatureAverage,
    params: Vec<f64>,
}

impl StochasticNewton {
    pub const fn new(start: Vec<f64>) -> Self {
        Self {
            blocks: RunningCurvatureAverage::new(),
            params: start,
        }
    }
}

impl Stepper for StochasticNewton {
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
        let log_std_gradient = curvature.diagonal().add_scalar(-1.0);
        let metric = NewtonPreconditioner::new(&averaged, damping);
        let (step, log_step) = metric.newton_mean_and_log_std_steps(&gradient, &log_std_gradient);
        let decrement = 0.5 * step.dot(&gradient) + 0.5 * log_step.dot(&log_std_gradient);
        let shrink = shrink_factor(&step, MAX_MEAN_STEP_IN_STDS);
        let dim = self.params.len() / 2;
        for i in 0..dim {
            let log_move = weight * log_step[i].clamp(-MAX_LOG_STD_STEP, MAX_LOG_STD_STEP);
            self.params[i] -= weight * self.params[dim + i].exp() * shrink * step[i];
            self.params[dim + i] -= log_move;
            // The whitened coordinates, and the curvature in them, scale with σ.
            averaged.row_mut(i).scale_mut((-log_move).exp());
            averaged.column_mut(i).scale_mut((-log_move).exp());
        }
        self.blocks.set_averaged_curvature(averaged);
        StepOutcome::Iterate { decrement }
    }
}
