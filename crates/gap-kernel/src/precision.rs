//! How exact products are.

/// How exact the factors of products are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    Full,
    /// Factors of 16 bits (`bf16`), sums of 32, where the processor has such products; else 32 bits. A
    /// relative error near 1e-3, at up to twice the speed: for gradients far from an optimum, and for
    /// most of a fit; not for values.
    Half,
}
