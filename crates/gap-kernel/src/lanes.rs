//! Operations on registers: the same arithmetic on several `f32` at a time.

/// Operations on registers of `f32`.
///
/// # Safety
///
/// A method may be called only inside a function that is compiled for its instructions, on a processor that
/// supports them; pointers must be valid for as many numbers as the method says. All methods are inlined, so
/// that no register is passed through memory.
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// The register type.
    type Vector: Copy;
    /// The number of `f32` in a register.
    const LANES: usize;

    /// Puts the same number in each lane.
    unsafe fn splat(value: f32) -> Self::Vector;
    /// Loads `LANES` numbers from memory.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Stores `LANES` numbers in memory.
    unsafe fn store(to: *mut f32, value: Self::Vector);
    /// Adds lane `i` of `value` to the `i`th of the `LANES` sums in `f64` at `sums`.
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
    /// `1 / a`, accurate to at least 11 bits.
    unsafe fn rough_inverse(a: Self::Vector) -> Self::Vector;
    /// `1 / √a`, accurate to at least 11 bits.
    unsafe fn rough_inverse_sqrt(a: Self::Vector) -> Self::Vector;
    /// The greater of `a` and `b`; NaN if `b` is NaN.
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lesser of `a` and `b`; NaN if `b` is NaN.
    unsafe fn min(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where `condition > 0`, `b` elsewhere.
    unsafe fn where_positive(
        condition: Self::Vector,
        a: Self::Vector,
        b: Self::Vector,
    ) -> Self::Vector;
    /// One bit for each lane, the lowest for the first: whether `a` and `b` are equal there.
    unsafe fn equal(a: Self::Vector, b: Self::Vector) -> u32;
    /// The nearest whole number.
    unsafe fn round(a: Self::Vector) -> Self::Vector;
    /// `a · 2ⁿ` for whole `n` from −126 to 127.
    unsafe fn times_power_of_two(a: Self::Vector, n: Self::Vector) -> Self::Vector;
    /// The `e` and `m` with `a = m · 2ᵉ` and `m` from `√½` to `√2`, for positive normal `a`.
    unsafe fn exponent_and_mantissa(a: Self::Vector) -> (Self::Vector, Self::Vector);
}

/// The number of lanes in the largest register.
pub(crate) const MAX_LANES: usize = 16;

/// How products are computed: what a factor is, and how many products an instruction adds up.
///
/// # Safety
///
/// As for [`Lanes`].
pub(crate) trait ProductKernel: Copy + Send + Sync + 'static {
    /// The registers that hold sums.
    type Lanes: Lanes;
    /// The number type of factors.
    type Factor: Copy + Default + Send + Sync;
    /// A register of factors: [`ProductKernel::PRODUCTS_PER_INSTRUCTION`] factors for each of `LANES`
    /// columns.
    type FactorVector: Copy;
    /// The number of products that one instruction adds to a sum.
    const PRODUCTS_PER_INSTRUCTION: usize;
    /// The number of rows in a block. A product computes the sums of all rows of a block together.
    const MICROKERNEL_ROWS: usize;
    /// The most registers of columns in a panel. The sums of a block take
    /// `MICROKERNEL_ROWS · MAX_PANEL_VECTORS` registers, which must leave room for the factors.
    const MAX_PANEL_VECTORS: usize;

    /// Runs `work` inside a function that is compiled for this kernel's instructions.
    unsafe fn run_with_instructions(work: impl VectorWork);
    /// Converts a number to a factor.
    fn to_factor(value: f32) -> Self::Factor;
    /// `values` themselves if factors are stored as `f32`; `None` otherwise.
    fn borrow_as_factors(values: &[f32]) -> Option<&[Self::Factor]>;
    /// Loads `LANES · PRODUCTS_PER_INSTRUCTION` factors.
    unsafe fn load(from: *const Self::Factor) -> Self::FactorVector;
    /// Loads `PRODUCTS_PER_INSTRUCTION` factors and repeats them for each lane.
    unsafe fn repeat(from: *const Self::Factor) -> Self::FactorVector;
    /// `sum + a · b`, where each lane of `a · b` adds up [`ProductKernel::PRODUCTS_PER_INSTRUCTION`]
    /// products.
    unsafe fn accumulate(
        a: Self::FactorVector,
        b: Self::FactorVector,
        sum: <Self::Lanes as Lanes>::Vector,
    ) -> <Self::Lanes as Lanes>::Vector;
    /// Converts `LANES` numbers to factors and stores them.
    unsafe fn store_factors(to: *mut Self::Factor, value: <Self::Lanes as Lanes>::Vector);
    /// Loads `LANES` factors and converts them to numbers.
    unsafe fn load_factors(from: *const Self::Factor) -> <Self::Lanes as Lanes>::Vector;
}

/// Registers with the block sizes that suit products of `f32` factors on them.
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

/// The kernel whose factors are `f32`, on the registers `L`.
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

/// Work that runs inside a function that is compiled for a kernel's vector instructions.
///
/// # Safety
///
/// `run` must be inlined into such a function: elsewhere every instruction would be a call.
pub(crate) trait VectorWork {
    unsafe fn run(self);
}
