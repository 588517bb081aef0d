//! `p(x | z)` given the decoder's output: its value, and its gradients by hand.
//!
//! A new likelihood is one file beside `learned_gaussian.rs` with one `impl` of `LikelihoodFormulas`
//! (`formulas.rs`), and one variant here. Those whose gradient has the form of `CanonicalGradient` also have
//! it easier: what the observation contributes to the score is computed once. The kernels know the
//! Bernoulli and the Gaussian with one standard deviation; everything else is computed by libtorch.

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

/// A likelihood with independent observed dimensions. A clone shares what is learned.
#[derive(Clone, Debug)]
pub enum Likelihood {
    /// Binary observations from logits.
    Bernoulli,
    /// Real observations `N(output, std² I)`.
    Gaussian {
        /// The standard deviation of each observed dimension: positive and finite.
        std: f64,
    },
    /// Real observations, with a standard deviation for each dimension that is learned.
    LearnedGaussian(LearnedGaussian),
    /// Observations on equally spaced levels of `[0, 1]`, with a scale for each dimension that is
    /// learned.
    DiscretizedLogistic(DiscretizedLogistic),
}

/// What a likelihood must know of the observations.
#[derive(Clone, Copy, Debug)]
pub struct ObservedValues {
    /// `X`.
    pub dim: i64,
    /// Grey levels from 0 to 1, where numbers are levels.
    pub n_levels: Option<i64>,
}

/// Standard deviation of a pixel, and scale of its logistic variable, before anything is learned.
const INITIAL_LEARNED_SCALE: f64 = 0.2;

/// The scale below which no pixel's logistic variable goes, in distances of two levels: at it a level
/// has a probability of up to 0.987.
const MIN_LOGISTIC_SCALE_IN_LEVELS: f64 = 0.1;

impl Likelihood {
    /// The likelihood of this name before anything of it is learned; `std` is that of
    /// [`LikelihoodKind::Gaussian`].
    ///
    /// # Panics
    ///
    /// If its scale is to be learned and observations are no levels.
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
    /// What `f` makes of this likelihood's formulas.
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

    /// The same, written over `output`. No graph: the caller holds a no-grad guard.
    pub(crate) fn output_gradient_in_place(&self, x: &Tensor, output: &mut Tensor) {
        self.with_formulas(|formulas| formulas.output_gradient_in_place(x, output));
    }

    /// The form of its gradient, if it is that of [`CanonicalGradient`].
    pub(crate) fn canonical_gradient(&self) -> Option<CanonicalGradient> {
        self.with_formulas(|formulas| formulas.canonical_gradient())
    }

    /// The likelihood in the kernels' words, if they know it.
    pub(crate) const fn kernel_likelihood(&self) -> Option<gap_kernel::KernelLikelihood> {
        match self {
            Self::Bernoulli => Some(gap_kernel::KernelLikelihood::Bernoulli),
            Self::Gaussian { std } => Some(gap_kernel::KernelLikelihood::Gaussian { std: *std }),
            Self::LearnedGaussian(_) | Self::DiscretizedLogistic(_) => None,
        }
    }

    /// One observation for each row of `output`, `[B, X]`, with draws from `noise`.
    pub fn sample(&self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        self.with_formulas(|formulas| formulas.sample(output, noise))
    }

    /// Whether the likelihood has a density at every row of `x` (`[B, X]`).
    ///
    /// # Errors
    ///
    /// [`ModelError::OffSupport`] for the first row where it has none.
    pub fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        check_inside_support(x, &self.with_formulas(|formulas| formulas.support_mask(x)))
    }

    /// The scale that is learned, if there is one.
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

    /// How many parameters are learned.
    pub fn n_learned_parameters(&self) -> u64 {
        self.learned_scale()
            .map_or(0, |scale| scale.raw.numel() as u64)
    }

    /// Puts the parameters that are learned into `memory`, `[P]`, of their kind; clones made from then on
    /// share it.
    ///
    /// # Panics
    ///
    /// If it does not hold [`Likelihood::n_learned_parameters`] numbers.
    pub fn move_parameters_into(&mut self, memory: &Tensor) {
        let fits = memory.numel() as u64 == self.n_learned_parameters();
        assert!(fits, "memory is as long as the parameters");
        if let Some(scale) = self.learned_scale_mut() {
            memory.shallow_clone().copy_(&scale.raw);
            scale.raw = memory.shallow_clone();
        }
    }

    /// Writes the gradient of `weight · Σ_n log p(x_n | output_n)` in the parameters that are learned to
    /// `into`, `[P]`: `[N, X], [N, X]`. No graph: the caller holds a no-grad guard.
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

    /// Adds what is learned, if anything, to `checkpoint`, as `prefix.scale`.
    pub fn store(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        if let Some(scale) = self.learned_scale() {
            checkpoint.insert(format!("{prefix}.scale"), &scale.raw);
        }
    }

    /// The same likelihood with what [`Likelihood::store`] wrote, on `device`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if it is not there, or of another shape.
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

/// Refuses the first value of `x` that is not inside.
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
