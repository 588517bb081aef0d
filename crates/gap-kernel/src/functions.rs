//! Exponential, sigmoid, tanh and logarithm on registers, accurate to a few units in the last place.

use crate::lanes::Lanes;

/// `c₀ + c₁ x + …`, by Horner's rule.
#[inline(always)]
unsafe fn polynomial<L: Lanes, const N: usize>(coefficients: [f32; N], x: L::Vector) -> L::Vector {
    unsafe {
        let mut value = L::splat(coefficients[N - 1]);
        let mut i = N - 1;
        while i > 0 {
            i -= 1;
            value = L::multiply_add(value, x, L::splat(coefficients[i]));
        }
        value
    }
}

/// `eˣ`; arguments beyond ±87 count as ±87.
///
/// With `x = n ln 2 + r` and `|r| ≤ ½ ln 2`, it is `2ⁿ eʳ`, and the Taylor polynomial of degree 7 is enough
/// for `eʳ`.
#[inline(always)]
pub(crate) unsafe fn exp<L: Lanes>(x: L::Vector) -> L::Vector {
    const EXP_SERIES_COEFFICIENTS: [f32; 8] = [
        1.0,
        1.0,
        1.0 / 2.0,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5040.0,
    ];
    // ln 2 in two parts. The first has so few digits that its product with n is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    unsafe {
        let x = L::max(L::splat(-87.0), L::min(L::splat(87.0), x));
        let n = L::round(L::multiply(x, L::splat(std::f32::consts::LOG2_E)));
        let r = L::multiply_add(n, L::splat(-LN_2_HIGH), x);
        let r = L::multiply_add(n, L::splat(-LN_2_LOW), r);
        L::times_power_of_two(polynomial::<L, 8>(EXP_SERIES_COEFFICIENTS, r), n)
    }
}

/// `1 / x` of normal numbers, by one Newton step from an estimate: that takes a third of a division's time.
#[inline(always)]
pub(crate) unsafe fn inverse<L: Lanes>(x: L::Vector) -> L::Vector {
    unsafe {
        let rough = L::rough_inverse(x);
        // r + r (1 − x r)
        let missing = L::multiply_add(L::subtract(L::splat(0.0), x), rough, L::splat(1.0));
        L::multiply_add(rough, missing, rough)
    }
}

/// `1 / √x` of positive normal numbers, by one Newton step from an estimate.
#[inline(always)]
pub(crate) unsafe fn inverse_sqrt<L: Lanes>(x: L::Vector) -> L::Vector {
    unsafe {
        let rough = L::rough_inverse_sqrt(x);
        // r + r (1 − x r²) / 2
        let square = L::multiply(rough, rough);
        let missing = L::multiply_add(L::subtract(L::splat(0.0), x), square, L::splat(1.0));
        L::multiply_add(L::multiply(rough, L::splat(0.5)), missing, rough)
    }
}

/// `1 / (1 + e⁻ˣ)`
#[inline(always)]
pub(crate) unsafe fn sigmoid<L: Lanes>(x: L::Vector) -> L::Vector {
    unsafe {
        let one = L::splat(1.0);
        let power = exp::<L>(L::subtract(L::splat(0.0), x));
        inverse::<L>(L::add(one, power))
    }
}

/// `tanh x`, as `x p(x²) / q(x²)`: a rational approximation that keeps its relative precision near 0.
#[inline(always)]
pub(crate) unsafe fn tanh<L: Lanes>(x: L::Vector) -> L::Vector {
    const TANH_NUMERATOR: [f32; 7] = [
        4.893_524_6e-3,
        6.372_619_3e-4,
        1.485_722_4e-5,
        5.122_297_1e-8,
        -8.604_672e-11,
        2.000_188e-13,
        -2.760_768_5e-16,
    ];
    const TANH_DENOMINATOR: [f32; 4] =
        [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];
    // Arguments are clamped to ± this, where tanh is within 3e-7 of ±1.
    const TANH_SATURATION_POINT: f32 = 7.905_311;
    unsafe {
        let x = L::max(
            L::splat(-TANH_SATURATION_POINT),
            L::min(L::splat(TANH_SATURATION_POINT), x),
        );
        let square = L::multiply(x, x);
        let above = L::multiply(x, polynomial::<L, 7>(TANH_NUMERATOR, square));
        L::multiply(
            above,
            inverse::<L>(polynomial::<L, 4>(TANH_DENOMINATOR, square)),
        )
    }
}

/// `ln x` of positive normal numbers.
///
/// With `x = m 2ᵉ`, it is `e ln 2 + ln m`, and `ln m = 2 artanh s` with `s = (m − 1) / (m + 1)`,
/// `|s| < 0.172`.
#[inline(always)]
pub(crate) unsafe fn ln<L: Lanes>(x: L::Vector) -> L::Vector {
    const ARTANH_SERIES_COEFFICIENTS: [f32; 5] = [2.0, 2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0];
    unsafe {
        let (exponent, mantissa) = L::exponent_and_mantissa(x);
        let one = L::splat(1.0);
        let s = L::divide(L::subtract(mantissa, one), L::add(mantissa, one));
        let ln_mantissa = L::multiply(
            s,
            polynomial::<L, 5>(ARTANH_SERIES_COEFFICIENTS, L::multiply(s, s)),
        );
        L::multiply_add(exponent, L::splat(std::f32::consts::LN_2), ln_mantissa)
    }
}
