//! The likelihoods `p(x | z)` of a decoder, by name.

use crate::named_enum;

named_enum! {
    /// `p(x | z)` given the decoder's output.
    LikelihoodKind {
        /// Independent binary pixels, from logits.
        Bernoulli = "bernoulli",
        /// Independent normal pixels around the decoder's output, all with the standard deviation
        /// `model.noise_std`.
        Gaussian = "gaussian",
        /// Independent normal pixels, each with a standard deviation that is learned with the decoder.
        LearnedGaussian = "learned-gaussian",
        /// Grey levels: a level's probability is that of a logistic variable rounding to it. The scale of each
        /// pixel is learned with the decoder (Salimans et al. 2017).
        DiscretizedLogistic = "discretized-logistic",
    }
}

impl LikelihoodKind {
    /// Whether it has parameters that are learned with the decoder.
    pub const fn is_learned(self) -> bool {
        matches!(self, Self::LearnedGaussian | Self::DiscretizedLogistic)
    }
}
