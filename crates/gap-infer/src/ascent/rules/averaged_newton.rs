//! Newton steps averaged over blocks of new draws, each corrected by the curvature of the earlier blocks.

use super::block_weights::{BlockGradient, BlockWeights};
use super::blocks::{ControlVariateCorrectedBlock, RunningCurvatureAverage};
use crate::ascent::curvature::{NewtonPreconditioner, log_std_step_per_gradient, shrink_factor};
use crate::ascent::evaluation::{Evaluation, EvaluationRequest};
use crate::ascent::stepper::{StepOutcome, Stepper};

/// The largest step in any one mean, in standard deviations of `q`, and in any one `log σ`, before the step is
/// multiplied by the block's weight.
pub const MAX_MEAN_STEP_IN_STDS: f64 = 1.0;
const MAX_LOG_STD_STEP: f64 = 0.5;
/// Lower estimates of the curvature in a `log σ`, relative to that at the optimum, are taken for sampling noise.
const MIN_LOG_STD_CURVATURE: f64 = 0.05;

/// A step overshot if there is more to gain after it than this multiple of what there was before it, plus this.
/// Along a narrow bent valley, a step of a few standard deviations of `q` may lead out of it.
const OVERSHOT_RATIO: f64 = 4.0;
const OVERSHOT_NATS: f64 = 1.0;

pub const EVALUATION_REQUEST: EvaluationRequest = EvaluationRequest {
    scores: true,
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
    before: Option<EarlierIterate>,
    /// The factor, at most 1, of steps in the mean: less after a step that overshot.
    pace: f64,
    mean_weights: BlockWeights,
    log_std_weights: BlockWeights,
}

/// The state before the last step.
struct EarlierIterate {
    params: Vec<f64>,
    blocks: RunningCurvatureAverage,
    /// The gain that the step promised.
    promised_nats: f64,
}

impl StochasticNewton {
    /// See [`BlockWeights::new`] for `keeps_start`.
    pub fn new(start: Vec<f64>, keeps_start: bool) -> Self {
        Self {
            blocks: RunningCurvatureAverage::new(),
            params: start,
            before: None,
            pace: 1.0,
            mean_weights: BlockWeights::new(keeps_start),
            log_std_weights: BlockWeights::new(keeps_start),
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

    fn update_with_evaluation(&mut self, evaluation: Evaluation) -> StepOutcome {
        let block = evaluation.into_scored_block();
        let n_samples = block.n_samples();
        let ControlVariateCorrectedBlock {
            gradient,
            curvature,
            mut averaged,
            shrunk,
            parts,
            inflation,
            damping,
            ..
        } = self.blocks.add_and_correct_block(block);
        let ridge = shrunk.half_spectral_error() + damping;
        let metric = NewtonPreconditioner::new(&shrunk.mean, ridge);
        let per_log_std_gradient = averaged
            .diagonal()
            .map(|h| log_std_step_per_gradient(h, MIN_LOG_STD_CURVATURE) / (1.0 + damping));
        let mean_square = |gradient: &mut [f64]| metric.square(gradient);
        let log_std_square = |gradient: &mut [f64]| {
            let pairs = gradient.iter().zip(&per_log_std_gradient);
            pairs.map(|(g, per_gradient)| g * g * per_gradient).sum()
        };
        let log_std_gradient = curvature.diagonal().add_scalar(-1.0);
        let gain = 0.5 * mean_square(gradient.clone().as_mut_slice())
            + 0.5 * log_std_square(log_std_gradient.clone().as_mut_slice());
        let block = BlockGradient {
            gradient,
            parts: parts.as_ref().map(|parts| &parts.mean),
            inflation,
        };
        let for_mean = self.mean_weights.weigh(block, n_samples, gain, mean_square);
        let block = BlockGradient {
            gradient: log_std_gradient,
            parts: parts.as_ref().map(|parts| &parts.log_std),
            inflation,
        };
        let for_log_std = self
            .log_std_weights
            .weigh(block, n_samples, gain, log_std_square);
        let (mean_weight, log_std_weight) = (for_mean.weight, for_log_std.weight);
        let (gradient, log_std_gradient) = (for_mean.gradient, for_log_std.gradient);
        let step = metric.newton_mean_step(&gradient);
        let log_step = log_std_gradient.component_mul(&per_log_std_gradient);
        let decrement = 0.5 * step.dot(&gradient) + 0.5 * log_step.dot(&log_std_gradient);
        self.blocks
            .set_weight(n_samples, mean_weight.max(log_std_weight));
        if let Some(before) = self.before.take()
            && decrement > OVERSHOT_RATIO * before.promised_nats + OVERSHOT_NATS
        {
            self.params = before.params;
            self.blocks = before.blocks;
            self.pace *= 0.25;
            self.mean_weights.forget_step();
            self.log_std_weights.forget_step();
            return StepOutcome::Searching;
        }
        let shrink = self.pace * shrink_factor(&step, &gradient, MAX_MEAN_STEP_IN_STDS);
        self.pace = (2.0 * self.pace).min(1.0);
        let before = self.params.clone();
        let dim = before.len() / 2;
        let log_moves =
            log_step.map(|s| log_std_weight * s.clamp(-MAX_LOG_STD_STEP, MAX_LOG_STD_STEP));
        for i in 0..dim {
            self.params[i] -= mean_weight * self.params[dim + i].exp() * shrink * step[i];
            self.params[dim + i] -= log_moves[i];
        }
        // The whitened coordinates, and the curvature in them, scale with σ.
        let scales = log_moves.map(|log_move| (-log_move).exp());
        for (j, mut column) in averaged.column_iter_mut().enumerate() {
            column.component_mul_assign(&scales);
            column.scale_mut(scales[j]);
        }
        let in_new_coordinates = gradient.component_mul(&scales);
        self.mean_weights
            .remember_step(in_new_coordinates, mean_weight * shrink);
        self.log_std_weights
            .remember_step(log_std_gradient, log_std_weight);
        self.before = Some(EarlierIterate {
            params: before,
            blocks: self.blocks.replace_average(averaged),
            promised_nats: decrement,
        });
        StepOutcome::Iterate { decrement }
    }
}
