//! What one register can do: the same arithmetic on several `f32` at a time.

/// A register of `f32`.
///
/// # Safety
///
/// Every method but the constants needs the instructions of its path, and runs only inside a function
/// that was compiled for them; pointers must be good for as many numbers as the method says. All
/// methods are inlined, so that no register is ever passed through memory.
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// The register.
    type Vector: Copy;
    /// How many `f32` it holds.
    const LANES: usize;

    /// The same number in each lane.
    unsafe fn splat(value: f32) -> Self::Vector;
    /// `LANES` numbers from memory.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// `LANES` numbers to memory.
    unsafe fn store(to: *mut f32, value: Self::Vector);
    /// Adds `LANES` numbers to as many sums in `f64`.
    unsafe fn add_to_doubles(sums: *mut f64, value: Self::Vector);

    /// `a + b`
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b`
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b`
    unsafe fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    unsafe fn divide(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`, rounded once.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `1 / a` to 11 bits.
    unsafe fn rough_inverse(a: Self::Vector) -> Self::Vector;
    /// `1 / √a` to 11 bits.
    unsafe fn rough_inverse_sqrt(a: Self::Vector) -> Self::Vector;
    /// The greater of `a` and `b`; NaN where `b` is.
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lesser of `a` and `b`; NaN where `b` is.
    unsafe fn min(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where `condition > 0`, `b` elsewhere.
    unsafe fn where_positive(
        condition: Self::Vector,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector;
    /// A bit for each lane, from the lowest on: whether `a` and `b` are equal there.
    unsafe fn equal(a: Self::Vector, b: Self::Vector) -> u32;
    /// The nearest whole number.
    unsafe fn round(a: Self::Vector) -> Self::Vector;
    /// `a · 2ⁿ` for whole `n` from −126 to 127.
    unsafe fn times_power_of_two(a: Self::Vector, n: Self::Vector) -> Self::Vector;
    /// `e`, `m` with `a = m · 2ᵉ` and `m` from `√½` to `√2`, for positive normal `a`.
    unsafe fn exponent_and_mantissa(a: Self::Vector) -> (Self::Vector, Self::Vector);
}

/// The lanes of the largest register.
pub(crate) const MAX_LANES: usize = 16;

/// How products are added up: which factors, and how many at once.
///
/// # Safety
///
/// As for [`Lanes`].
pub(crate) trait ProductKernel: Copy + Send + Sync + 'static {
    /// The registers of its sums.
    type Lanes: Lanes;
    /// What a factor is kept as.
    type Factor: Copy + Default + Send + Sync;
    /// A register of factors: `LANES` columns, [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] of each.
    type FactorVector: Copy;
    /// Products that one instruction adds to a sum.
    const PRODUCTS_PER_INSTRUCTION: usize;
    /// Rows of a block.
    const MICROKERNEL_ROWS: usize;
    /// Registers of columns in a panel, at most: `MICROKERNEL_ROWS` times as many sums stay in registers,
    /// beside the factors.
    const MAX_PANEL_VECTORS: usize;

    /// Does `work` inside a function that is compiled for this path's instructions.
    unsafe fn run_with_instructions(work: impl VectorWork);
    /// A number as a factor.
    fn to_factor(value: f32) -> Self::Factor;
    /// `values` as factors, if those are kept as they are.
    fn borrow_as_factors(values: &[f32]) -> Option<&[Self::Factor]>;
    /// `LANES · PRODUCTS_PER_INSTRUCTION` factors from memory.
    unsafe fn load(from: *const Self::Factor) -> Self::FactorVector;
    /// `PRODUCTS_PER_INSTRUCTION` factors from memory, the same for each lane.
    unsafe fn repeat(from: *const Self::Factor) -> Self::FactorVector;
    /// `sum + a · b`, over [`ProductKernel::PRODUCTS_PER_INSTRUCTION`].
    unsafe fn accumulate(
        a: Self::FactorVector,
        b: Self::FactorVector,
        sum: <Self::Lanes as Lanes>::Vector,
    ) -> <Self::Lanes as Lanes>::Vector;
    /// Keeps `LANES` numbers as factors.
    unsafe fn store_factors(to: *mut Self::Factor, value: <Self::Lanes as Lanes>::Vector);
    /// `LANES` factors as numbers.
    unsafe fn load_factors(from: *const Self::Factor) -> <Self::Lanes as Lanes>::Vector;
}

/// A path whose factors are numbers of its lanes.
///
/// # Safety
///
/// As for [`Lanes`].
pub(crate) trait FullPrecisionLanes: Lanes {
    /// See [`ProductKernel::MICROKERNEL_ROWS`].
    const MICROKERNEL_ROWS: usize;
    /// See [`ProductKernel::MAX_PANEL_VECTORS`].
    const MAX_PANEL_VECTORS: usize;

    /// See [`ProductKernel::run_with_instructions`].
    unsafe fn run_with_instructions(work: impl VectorWork);
}

/// Factors of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct FullPrecisionKernel<L>(std::marker::PhantomData<L>);

impl<L: FullPrecisionLanes> ProductKernel for FullPrecisionKernel<L> {
    type Lanes = L;
    type Factor = f32;
    type FactorVector = L::Vector;
    const PRODUCTS_PER_INSTRUCTION: usize = 1;
    const MICROKERNEL_ROWS: usize = L::MICROKERNEL_ROWS;
    const MAX_PANEL_VECTORS: usize = L::MAX_PANEL_VECTORS;

    unsafe fn run_with_instructions(work: impl VectorWork) {
        unsafe { L::run_with_instructions(work) }
    }
    fn to_factor(value: f32) -> f32 {
        value
    }
    fn borrow_as_factors(values: &[f32]) -> Option<&[f32]> {
        Some(values)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> L::Vector {
        unsafe { L::load(from) }
    }
    #[inline(always)]
    unsafe fn repeat(from: *const f32) -> L::Vector {
        unsafe { L::splat(*from) }
    }
    #[inline(always)]
    unsafe fn accumulate(a: L::Vector, b: L::Vector, sum: L::Vector) -> L::Vector {
        unsafe { L::multiply_add(a, b, sum) }
    }
    #[inline(always)]
    unsafe fn store_factors(to: *mut f32, value: L::Vector) {
        unsafe { L::store(to, value) }
    }
    #[inline(always)]
    unsafe fn load_factors(from: *const f32) -> L::Vector {
        unsafe { L::load(from) }
    }
}

/// What is done inside a function that is compiled for a path's instructions.
///
/// # Safety
///
/// `run` must be inlined: outside of such a function every instruction would be a call.
pub(crate) trait VectorWork {
    unsafe fn run(self);
}
