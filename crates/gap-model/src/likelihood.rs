//! Likelihoods `p(x | z)` given the decoder's output: their values, and hand-derived gradients.
//!
//! A new likelihood is one file beside `learned_gaussian.rs` with one `impl` of `LikelihoodFormulas`
//! (`formulas.rs`), and one variant here. If its gradient has the form of `CanonicalGradient`, the `impl`
//! should return that form: what an observation contributes to the score is then computed only once. The
//! kernels support the Bernoulli likelihood and the Gaussian with a given standard deviation; libtorch computes
//! all others.

mod bernoulli;
mod discretized_logistic;
mod formulas;
mod gaussian;
mod learned_gaussian;
mod learned_scale;

pub use discretized_logistic::DiscretizedLogistic;
pub use learned_gaussian::LearnedGaussian;
pub use learned_scale::{LearnedScale, rounding_error_std};

use crate::model_error::ModelError;
use crate::network::read_stored_tensor;
use bernoulli::Bernoulli;
pub(crate) use formulas::CanonicalGradient;
use formulas::{LikelihoodFormulas, SupportMask};
use gap_spec::LikelihoodKind;
use gap_torch::NoiseStream;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gaussian::Gaussian;
use tch::{Device, Kind, Tensor};

/// A likelihood with independent observed dimensions. A clone shares the learned parameters.
#[derive(Clone, Debug)]
pub enum Likelihood {
    /// Binary observations from logits.
    Bernoulli,
    /// Real observations `N(output, std² I)`.
    Gaussian {
        /// The standard deviation of each observed dimension: positive and finite.
        std: f64,
    },
    /// Real observations, with a learned standard deviation for each dimension.
    LearnedGaussian(LearnedGaussian),
    /// Observations on equally spaced levels of `[0, 1]`, with a learned scale for each dimension.
    DiscretizedLogistic(DiscretizedLogistic),
}

/// What must be known of the observations to make a likelihood.
#[derive(Clone, Copy, Debug)]
pub struct ObservedValues {
    /// The observed dimension, `X`.
    pub dim: i64,
    /// The number of grey levels from 0 to 1; `None` if values are not grey levels.
    pub n_levels: Option<i64>,
}

/// The initial value of a learned scale, which is a pixel's standard deviation or the scale of its logistic
/// variable.
const INITIAL_LEARNED_SCALE: f64 = 0.2;

/// The smallest scale of a pixel's logistic variable, in units of the distance between two levels. At this
/// scale a level has a probability of up to 0.987.
const MIN_LOGISTIC_SCALE_IN_LEVELS: f64 = 0.1;

impl Likelihood {
    /// The likelihood of this kind, before anything is learned; only [`LikelihoodKind::Gaussian`] uses `std`.
    ///
    /// # Panics
    ///
    /// If a scale is to be learned, and the number of levels is missing or too small (the scale's floor must
    /// be positive and below its initial value).
    pub fn from_kind(
        kind: LikelihoodKind,
        observations: ObservedValues,
        std: f64,
        device: Device,
    ) -> Self {
        let levels = || {
            let n_levels = observations.n_levels;
            n_levels.expect("a learned likelihood has data")
        };
        let scale =
            |floor: f64| LearnedScale::new(observations.dim, INITIAL_LEARNED_SCALE, floor, device);
        match kind {
            LikelihoodKind::Bernoulli => Self::Bernoulli,
            LikelihoodKind::Gaussian => Self::Gaussian { std },
            LikelihoodKind::LearnedGaussian => Self::LearnedGaussian(LearnedGaussian {
                std: scale(rounding_error_std(levels())),
            }),
            LikelihoodKind::DiscretizedLogistic => {
                let n_levels = levels();
                Self::DiscretizedLogistic(DiscretizedLogistic {
                    n_levels,
                    scale: scale(MIN_LOGISTIC_SCALE_IN_LEVELS / (n_levels - 1) as f64),
                })
            }
        }
    }
}

impl Likelihood {
    /// Calls `f` with the formulas of this likelihood, and returns its result.
    fn with_formulas<T>(&self, f: impl FnOnce(&dyn LikelihoodFormulas) -> T) -> T {
        match self {
            Self::Bernoulli => f(&Bernoulli),
            Self::Gaussian { std } => f(&Gaussian { std: *std }),
            Self::LearnedGaussian(learned) => f(learned),
            Self::DiscretizedLogistic(logistic) => f(logistic),
        }
    }

    /// `log p(x | output)`, nats, summed in `f64`: `[N, X], [N, X] -> [N]`.
    pub fn log_prob(&self, x: &Tensor, output: &Tensor) -> Tensor {
        self.with_formulas(|formulas| formulas.log_prob(x, output))
    }

    /// `∂ log p(x | output) / ∂ output`, without a graph: `[N, X], [N, X] -> [N, X]`.
    pub fn output_gradient(&self, x: &Tensor, output: &Tensor) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        let mut residual = output.detach().copy();
        self.output_gradient_in_place(x, &mut residual);
        residual
    }

    /// Replaces `output` by [`Likelihood::output_gradient`], in place. No graph is built: the caller holds a
    /// no-grad guard.
    pub(crate) fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        self.with_formulas(|formulas| formulas.output_gradient_in_place(x, output));
    }

    /// The canonical form of the likelihood's gradient, if it has one.
    pub(crate) fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        self.with_formulas(|formulas| formulas.canonical_gradient())
    }

    /// The likelihood as the kernels describe it, if they support it.
    pub(crate) const fn kernel_likelihood(&self) -> Option<gap_kernel::KernelLikelihood> {
        match self {
            Self::Bernoulli => Some(gap_kernel::KernelLikelihood::Bernoulli),
            Self::Gaussian { std } => Some(gap_kernel::KernelLikelihood::Gaussian { std: *std }),
            Self::LearnedGaussian(_) | Self::DiscretizedLogistic(_) => None,
        }
    }

    /// Draws one observation for each row of `output`, `[B, X]`, from `noise`.
    pub fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        self.with_formulas(|formulas| formulas.sample(output, noise))
    }

    /// Checks that the likelihood has a density at every row of `x` (`[B, X]`).
    ///
    /// # Errors
    ///
    /// [`ModelError::OffSupport`] for the first row where it has none.
    pub fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        check_inside_support(x, &self.with_formulas(|formulas| formulas.support_mask(x)))
    }

    /// The learned scale, if there is one.
    pub const fn learned_scale(&self) -> Option<&LearnedScale> {
        match self {
            Self::Bernoulli | Self::Gaussian { .. } => None,
            Self::LearnedGaussian(learned) => Some(&learned.std),
            Self::DiscretizedLogistic(logistic) => Some(&logistic.scale),
        }
    }

    const fn learned_scale_mut(&mut self) -> Option<&mut LearnedScale> {
        match self {
            Self::Bernoulli | Self::Gaussian { .. } => None,
            Self::LearnedGaussian(learned) => Some(&mut learned.std),
            Self::DiscretizedLogistic(logistic) => Some(&mut logistic.scale),
        }
    }

    /// The number of learned parameters.
    pub fn n_learned_parameters(&self) -> u64 {
        self.learned_scale()
            .map_or(0, |scale| scale.raw.numel() as u64)
    }

    /// Copies the learned parameters to `memory`, `[P]`, and uses them from there: later changes of `memory`
    /// change this likelihood and the clones made of it afterwards. `memory` must have the parameters' kind.
    ///
    /// # Panics
    ///
    /// If `memory` does not hold exactly [`Likelihood::n_learned_parameters`] numbers.
    pub fn move_parameters_into(&mut self, memory: &Tensor) {
        let fits = memory.numel() as u64 == self.n_learned_parameters();
        assert!(fits, "memory is as long as the parameters");
        if let Some(scale) = self.learned_scale_mut() {
            memory.shallow_clone().copy_(&scale.raw);
            scale.raw = memory.shallow_clone();
        }
    }

    /// Writes the gradient of `weight · Σ_n log p(x_n | output_n)` with respect to the learned parameters, if
    /// there are any, to `into`, `[P]`: `[N, X], [N, X]`. No graph is built: the caller holds a no-grad guard.
    pub fn pull_back_to_parameters(&self, x: &Tensor, output: &Tensor, weight: f64, into: &Tensor) {
        let residual = self.with_formulas(|formulas| formulas.log_scale_gradient(x, output));
        if let (Some(scale), Some(residual)) = (self.learned_scale(), residual) {
            let rows = [0_i64];
            let in_log_scale =
                residual.sum_dim_intlist(rows.as_slice(), false, residual.kind()) * weight;
            into.shallow_clone().copy_(&scale.pull_back(&in_log_scale));
        }
    }

    /// The same likelihood with tensors of another kind.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        let mut copy = self.clone();
        if let Some(scale) = copy.learned_scale_mut() {
            scale.raw = scale.raw.detach().to_kind(kind);
        }
        copy
    }

    /// Adds the learned parameters, if any, to `checkpoint`, as `prefix.scale`.
    pub fn store(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        if let Some(scale) = self.learned_scale() {
            checkpoint.insert(format!("{prefix}.scale"), &scale.raw);
        }
    }

    /// The same likelihood on `device`, with the parameters that [`Likelihood::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if a tensor is not there, or has another shape.
    pub fn restored(
        mut self,
        checkpoint: &Checkpoint,
        prefix: &str,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        if let Some(scale) = self.learned_scale_mut() {
            scale.raw =
                read_stored_tensor(checkpoint, &format!("{prefix}.scale"), &scale.raw, device)?;
        }
        Ok(self)
    }
}

/// Returns an error for the first value of `x` that lies outside the support.
fn check_inside_support(x: &Tensor, support: &SupportMask) -> Result<(), ModelError> {
    let places = support.inside.logical_not().nonzero();
    if places.size()[0] == 0 {
        return Ok(());
    }
    let (row, column) = (places.int64_value(&[0, 0]), places.int64_value(&[0, 1]));
    Err(ModelError::OffSupport {
        likelihood: support.likelihood,
        needs: support.needs,
        row,
        value: x.double_value(&[row, column]),
    })
}
