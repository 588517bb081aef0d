//! AVX-512: registers of 16 `f32`, and products of `f32` factors or of pairs of 16-bit factors.

use crate::lanes::{FullPrecisionKernel, FullPrecisionLanes, Lanes, ProductKernel, VectorWork};
use std::arch::x86_64::*;

/// Registers of 16 lanes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes16;

impl Lanes for Lanes16 {
    type Vector = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add_to_doubles(sums: *mut f64, value: __m512) {
        unsafe {
            let halves = [
                _mm512_castps512_ps256(value),
                _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(value))),
            ];
            for (i, half) in halves.into_iter().enumerate() {
                let sum = sums.add(8 * i);
                _mm512_storeu_pd(
                    sum,
                    _mm512_add_pd(_mm512_loadu_pd(sum), _mm512_cvtps_pd(half)),
                );
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn divide(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn rough_inverse(a: __m512) -> __m512 {
        unsafe { _mm512_rcp14_ps(a) }
    }
    #[inline(always)]
    unsafe fn rough_inverse_sqrt(a: __m512) -> __m512 {
        unsafe { _mm512_rsqrt14_ps(a) }
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn where_positive(condition: __m512, a: __m512, b: __m512) -> __m512 {
        unsafe {
            let mask = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(condition, _mm512_setzero_ps());
            _mm512_mask_blend_ps(mask, b, a)
        }
    }
    #[inline(always)]
    unsafe fn equal(a: __m512, b: __m512) -> u32 {
        unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT }>(a) }
    }
    #[inline(always)]
    unsafe fn times_power_of_two(a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    unsafe fn exponent_and_mantissa(a: __m512) -> (__m512, __m512) {
        unsafe {
            let bits = _mm512_castps_si512(a);
            // The bits of √½, which is the least mantissa.
            let exponent =
                _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f35_04f3)));
            let mantissa = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(exponent));
            (_mm512_cvtepi32_ps(exponent), _mm512_castsi512_ps(mantissa))
        }
    }
}

impl FullPrecisionLanes for Lanes16 {
    const MICROKERNEL_ROWS: usize = 8;
    const MAX_PANEL_VECTORS: usize = 3;

    unsafe fn run_with_instructions(work: impl VectorWork) {
        #[target_feature(enable = "avx512f")]
        unsafe fn inside(work: impl VectorWork) {
            unsafe { work.run() }
        }
        unsafe { inside(work) }
    }
}

/// The kernel whose factors are `f32`.
pub(crate) type Avx512 = FullPrecisionKernel<Lanes16>;

/// The kernel with 16-bit factors (bfloat16, the upper half of an `f32`). One instruction adds two of their
/// products to a sum.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16;

impl ProductKernel for Avx512Bf16 {
    type Lanes = Lanes16;
    type Factor = u16;
    type FactorVector = __m512i;
    const PRODUCTS_PER_INSTRUCTION: usize = 2;
    const MICROKERNEL_ROWS: usize = 8;
    const MAX_PANEL_VECTORS: usize = 3;

    unsafe fn run_with_instructions(work: impl VectorWork) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
        unsafe fn inside(work: impl VectorWork) {
            unsafe { work.run() }
        }
        unsafe { inside(work) }
    }
    fn to_factor(value: f32) -> u16 {
        // Rounds to the nearest, ties to even; NaN stays NaN.
        let bits = value.to_bits();
        if value.is_nan() {
            return (bits >> 16) as u16 | 0x40;
        }
        (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16
    }
    fn borrow_as_factors(_: &[f32]) -> Option<&[u16]> {
        None
    }
    #[inline(always)]
    unsafe fn load(from: *const u16) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn repeat(from: *const u16) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn accumulate(a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: both types are 512 bits without invariants.
        unsafe {
            let [a, b] = [a, b].map(|factors| std::mem::transmute::<__m512i, __m512bh>(factors));
            _mm512_dpbf16_ps(sum, a, b)
        }
    }
    #[inline(always)]
    unsafe fn store_factors(to: *mut u16, value: __m512) {
        // SAFETY: both types are 256 bits without invariants.
        unsafe {
            let factors = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value));
            _mm256_storeu_si256(to.cast(), factors);
        }
    }
    #[inline(always)]
    unsafe fn load_factors(from: *const u16) -> __m512 {
        unsafe {
            let factors = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(factors))
        }
    }
}
