//! Fits a decoder: its network, and the parameters of its likelihood.

use super::adam::FlatAdam;
use super::network::NetworkLearner;
use super::state::OptimizerState;
use crate::decoder::Decoder;
use crate::likelihood::Likelihood;
use crate::model::LatentVariableModel;
use gap_kernel::{LikelihoodTarget, Precision};
use tch::Tensor;

/// A decoder that is fitted by steps up the mean of `log p(x | z)` over rows. The decoder itself is guaranteed
/// to have the learned parameters only after [`DecoderLearner::finish`].
pub struct DecoderLearner<'a> {
    network: NetworkLearner<'a>,
    likelihood: Likelihood,
    /// The optimizer of the likelihood's parameters, if it has any.
    scale: Option<FlatAdam>,
}

/// Draws of `z` in slices, each of which belongs to an observation.
#[derive(Clone, Copy, Debug)]
pub struct LatentDraws<'a> {
    /// Observations, `[M, X]`.
    pub x: &'a [f32],
    /// The row of `x` that each draw belongs to: `[N]`.
    pub observations: &'a [usize],
    /// The draws, `[N, D]`.
    pub z: &'a [f32],
}

impl<'a> DecoderLearner<'a> {
    /// Prepares `decoder` for steps that use at most `most_rows` rows each. If `has_thread`, and the kernels do
    /// the computation, the Adam steps of [`DecoderLearner::step_rows`] are taken on another thread.
    pub fn new(decoder: &'a mut Decoder, most_rows: usize, has_thread: bool) -> Self {
        let (kind, device) = (decoder.kind(), decoder.device());
        let likelihood = decoder.likelihood_mut();
        let scale = (likelihood.n_learned_parameters() > 0).then(|| {
            let adam = FlatAdam::new(likelihood.n_learned_parameters(), kind, device);
            likelihood.move_parameters_into(adam.parameters());
            adam
        });
        Self {
            likelihood: decoder.likelihood(),
            scale,
            network: NetworkLearner::new_with_thread(decoder.network_mut(), most_rows, has_thread),
        }
    }

    /// Sets the precision of the products in later steps on the kernels.
    pub fn set_precision(&mut self, precision: Precision) {
        self.network.set_precision(precision);
    }

    /// Whether the fused kernels do the computation, rather than libtorch. [`DecoderLearner::step_rows`] may be
    /// called only then.
    pub const fn is_on_kernels(&self) -> bool {
        self.network.is_on_kernels() && self.likelihood.kernel_likelihood().is_some()
    }

    /// Takes one step that uses `draws`, and writes `∇_z log p(x, z)` before the step to `score`, `[N, D]`.
    ///
    /// # Panics
    ///
    /// If libtorch does the computation, lengths do not fit, or an observation does not exist.
    pub fn step_rows(&mut self, draws: &LatentDraws<'_>, learning_rate: f64, score: &mut [f32]) {
        let likelihood = self.likelihood.kernel_likelihood();
        let n_rows = draws.observations.len() as f32;
        let observed = LikelihoodTarget {
            x: draws.x,
            rows: draws.observations,
            likelihood: likelihood.expect("only likelihoods of the kernels read rows"),
            scale: 1.0 / n_rows,
        };
        let learner = self.network.background_learner_mut();
        let training = learner.wait_for_learner().training_mut();
        training.forward_and_backward(draws.z, &observed, Some(score));
        learner.take_pending_step(learning_rate);
        for (score, z) in score.iter_mut().zip(draws.z) {
            *score = *score * n_rows - z; // the scores of likelihood and prior
        }
    }

    /// Takes one step that uses the draws `z` for the observations `x`, and returns `∇_z log p(x, z)` before
    /// the step, without a graph: `[B, X], [S, B, D] -> [S, B, D]`. The caller holds a no-grad guard.
    pub fn step(&mut self, x: &Tensor, z: &Tensor, learning_rate: f64) -> Tensor {
        let n_rows = z.size()[0] * z.size()[1];
        let x = x.repeat([z.size()[0], 1]);
        let rows = z.reshape([n_rows, -1]);
        let output = self.network.forward(&rows);
        let scale = 1.0 / n_rows as f64;
        let residual = self.likelihood.output_gradient(&x, &output) * scale;
        if let Some(adam) = &mut self.scale {
            let into = adam.gradient();
            (self.likelihood).pull_back_to_parameters(&x, &output, scale, into);
            adam.step(learning_rate);
        }
        let in_z = self.network.step_and_pull_back(residual, learning_rate);
        (in_z / scale - rows).view_as(z)
    }

    /// What is learned so far, with the states of the optimizers.
    pub fn states(&mut self) -> Vec<OptimizerState> {
        let of_scale = self.scale.as_ref().map(FlatAdam::state);
        std::iter::once(self.network.state())
            .chain(of_scale)
            .collect()
    }

    /// Goes back to what [`DecoderLearner::states`] returned. `false`, with nothing changed, if that has another
    /// number or another kind of parameters; nothing else is compared.
    #[must_use]
    pub fn restore(&mut self, states: &[OptimizerState]) -> bool {
        let _no_grad = tch::no_grad_guard();
        match (states, &mut self.scale) {
            ([network], None) => self.network.restore(network),
            ([network, own], Some(scale)) => {
                let before = scale.state();
                let is_restored = scale.restore(own);
                if is_restored && !self.network.restore(network) {
                    let is_undone = scale.restore(&before);
                    assert!(is_undone, "it is the state of this scale");
                    return false;
                }
                is_restored
            }
            _ => false,
        }
    }

    /// Whether all learned parameters are finite.
    pub fn is_finite(&mut self) -> bool {
        self.network.is_finite() && self.scale.as_ref().is_none_or(FlatAdam::is_finite)
    }

    /// Writes the learned parameters to the decoder.
    pub fn finish(self) {
        self.network.finish();
    }
}
