//! AVX2 and FMA: registers of 8 `f32`, and products of `f32` factors.

use crate::lanes::{FullPrecisionKernel, FullPrecisionLanes, Lanes, VectorWork};
use std::arch::x86_64::*;

/// Registers of 8 lanes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes8;

impl Lanes for Lanes8 {
    type Vector = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn add_to_doubles(sums: *mut f64, value: __m256) {
        unsafe {
            let halves = [
                _mm256_castps256_ps128(value),
                _mm256_extractf128_ps::<1>(value),
            ];
            for (i, half) in halves.into_iter().enumerate() {
                let sum = sums.add(4 * i);
                _mm256_storeu_pd(
                    sum,
                    _mm256_add_pd(_mm256_loadu_pd(sum), _mm256_cvtps_pd(half)),
                );
            }
        }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn subtract(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn divide(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn rough_inverse(a: __m256) -> __m256 {
        unsafe { _mm256_rcp_ps(a) }
    }
    #[inline(always)]
    unsafe fn rough_inverse_sqrt(a: __m256) -> __m256 {
        unsafe { _mm256_rsqrt_ps(a) }
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn where_positive(condition: __m256, a: __m256, b: __m256) -> __m256 {
        unsafe {
            let mask = _mm256_cmp_ps::<_CMP_GT_OQ>(condition, _mm256_setzero_ps());
            _mm256_blendv_ps(b, a, mask)
        }
    }
    #[inline(always)]
    unsafe fn equal(a: __m256, b: __m256) -> u32 {
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b)) as u32 }
    }
    #[inline(always)]
    unsafe fn round(a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    unsafe fn times_power_of_two(a: __m256, n: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    unsafe fn exponent_and_mantissa(a: __m256) -> (__m256, __m256) {
        unsafe {
            let bits = _mm256_castps_si256(a);
            // The bits of √½, which is the least mantissa.
            let exponent =
                _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f35_04f3)));
            let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(exponent));
            (_mm256_cvtepi32_ps(exponent), _mm256_castsi256_ps(mantissa))
        }
    }
}

impl FullPrecisionLanes for Lanes8 {
    const MICROKERNEL_ROWS: usize = 4;
    const MAX_PANEL_VECTORS: usize = 2;

    unsafe fn run_with_instructions(work: impl VectorWork) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn inside(work: impl VectorWork) {
            unsafe { work.run() }
        }
        unsafe { inside(work) }
    }
}

/// The kernel whose factors are `f32`.
pub(crate) type Avx2 = FullPrecisionKernel<Lanes8>;
