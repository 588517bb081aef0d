//! `precision`: the numbers that an experiment computes with, and the precision of the matrix products in gradients.

use crate::named_enum;

named_enum! {
    /// The numbers that an experiment infers and measures with.
    ///
    /// Networks, both decoders and encoders, are always fitted and stored in 32 bits. In 64 bits a fitted decoder is
    /// converted exactly, a model that is not fitted is made in 64 bits, and so are the observations that are drawn
    /// from it; `λ`, draws, scores, values, bounds and certificates have 64 bits. An encoder standardizes its inputs in
    /// 64 bits, its network computes in 32, and its outputs are exactly the `λ` that is measured.
    FloatPrecision {
        /// 32 bits; sums over many terms have 64.
        Single = "single",
        /// 64 bits throughout, by libtorch instead of the fused kernels, which takes several times as long.
        Double = "double",
    }
}

impl FloatPrecision {
    /// Whether this is [`Self::Single`].
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(crate) const fn is_single(&self) -> bool {
        matches!(self, Self::Single)
    }
}

named_enum! {
    /// The precision of the matrix products in gradients. Values and certificates are always computed in 32
    /// bits, or in 64 with [`FloatPrecision::Double`], where all products have 64.
    Precision {
        /// 16-bit factors with 32-bit sums, on processors with `AVX512_BF16`; 32 bits on others. The last tenth
        /// of a network fit, and the rounds of a free-form search that follow its scheduled phases, use 32 bits
        /// everywhere.
        Mixed = "mixed",
        /// 32 bits throughout.
        Full = "full",
    }
}

/// The precision if the spec does not set it.
pub(crate) const fn default_precision() -> Precision {
    Precision::Mixed
}
