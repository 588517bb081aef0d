//! `p(x | z)` given a decoder's output, by name.

use crate::named_enum;

named_enum! {
    /// `p(x | z)` given the decoder's output.
    LikelihoodKind {
        /// Independent binary pixels, from logits.
        Bernoulli = "bernoulli",
        /// Independent normal pixels around the decoder's output, with one standard deviation for all
        /// of them: `model.noise_std`.
        Gaussian = "gaussian",
        /// The same with a standard deviation for each pixel, learned with the decoder.
        LearnedGaussian = "learned-gaussian",
        /// Grey levels, each the probability that a logistic variable rounds to it, with a scale for each
        /// pixel, learned with the decoder (Salimans et al. 2017).
        DiscretizedLogistic = "discretized-logistic",
    }
}

impl LikelihoodKind {
    /// Whether something of it is learned with the decoder.
    pub const fn is_learned(self) -> bool {
        matches!(self, Self::LearnedGaussian | Self::DiscretizedLogistic)
    }
}
