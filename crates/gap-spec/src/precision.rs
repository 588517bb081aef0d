//! `precision`: the precision of the matrix products in gradients.

use crate::named_enum;

named_enum! {
    /// The precision of the matrix products in gradients. Values and certificates are always computed in 32
    /// bits.
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
