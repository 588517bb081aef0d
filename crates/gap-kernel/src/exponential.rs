//! The exponential of every number in a slice, for use outside networks.

use crate::Instructions;
#[cfg(target_arch = "x86_64")]
use crate::{
    avx2::{Avx2, Lanes8},
    avx512::{Avx512, Lanes16},
    functions::exp,
    lanes::{Lanes, MAX_LANES, ProductKernel, VectorWork},
};

/// Replaces every `x` by `eˣ`; arguments beyond ±87 count as ±87.
///
/// It uses the best instructions of this processor, whatever the environment sets for networks.
pub fn exponentials(numbers: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    match Instructions::best_supported() {
        Some(Instructions::Avx512) => {
            let pass = ExponentialPass::<Lanes16>::from_numbers(numbers);
            // SAFETY: these instructions are supported.
            unsafe { Avx512::run_with_instructions(pass) };
            return;
        }
        Some(Instructions::Avx2) => {
            let pass = ExponentialPass::<Lanes8>::from_numbers(numbers);
            // SAFETY: these instructions are supported.
            unsafe { Avx2::run_with_instructions(pass) };
            return;
        }
        None => (),
    }
    for number in numbers {
        *number = number.clamp(-87.0, 87.0).exp();
    }
}

#[cfg(target_arch = "x86_64")]
struct ExponentialPass<'a, L> {
    numbers: &'a mut [f32],
    lanes: std::marker::PhantomData<L>,
}

#[cfg(target_arch = "x86_64")]
impl<'a, L> ExponentialPass<'a, L> {
    const fn from_numbers(numbers: &'a mut [f32]) -> Self {
        Self {
            numbers,
            lanes: std::marker::PhantomData,
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> VectorWork for ExponentialPass<'_, L> {
    #[inline(always)]
    unsafe fn run(self) {
        let mut registers = self.numbers.chunks_exact_mut(L::LANES);
        for register in &mut registers {
            let register = register.as_mut_ptr();
            unsafe { L::store(register, exp::<L>(L::load(register))) };
        }
        let rest = registers.into_remainder();
        let mut register = [0.0; MAX_LANES];
        register[..rest.len()].copy_from_slice(rest);
        let numbers = register.as_mut_ptr();
        unsafe { L::store(numbers, exp::<L>(L::load(numbers))) };
        rest.copy_from_slice(&register[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::exponentials;

    #[test]
    fn they_are_right_to_the_last_places_and_keep_what_is_no_number() {
        let x: Vec<f32> = (-870..=870).map(|i| i as f32 * 0.1).collect();
        let mut values = x.clone();
        exponentials(&mut values);
        for (x, value) in x.iter().zip(&values) {
            let expected = f64::from(*x).exp();
            assert!(
                (f64::from(*value) / expected - 1.0).abs() < 3e-7,
                "{x}: {value}"
            );
        }
        let mut odd = [f32::NAN, 1000.0, -1000.0];
        exponentials(&mut odd);
        assert!(
            odd[0].is_nan() && odd[1].is_finite() && odd[2] > 0.0,
            "{odd:?}"
        );
    }
}
