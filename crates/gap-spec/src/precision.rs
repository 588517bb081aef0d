//! `precision`: how exact the products of gradients are.

use crate::named_enum;

named_enum! {
    /// How exact the products of gradients are. Values, and the certificate, are always in 32 bits.
    Precision {
        /// On processors with products of 16-bit factors (`AVX512_BF16`) those, with sums of 32 bits,
        /// but for the end: the last tenth of a fit, and what a free-form ascent needs after its
        /// first certificate. Elsewhere 32 bits.
        Mixed = "mixed",
        /// 32 bits throughout.
        Full = "full",
    }
}

/// What is taken where nothing is said.
pub(crate) const fn default_precision() -> Precision {
    Precision::Mixed
}
