//! Adam (Kingma and Ba 2015, Algorithm 1) with the paper's constants, ascending the objective.
//!
//! One implementation works on registers: kernels call it with a gradient that is in registers, and
//! [`ascend_slices`] with one in memory. With the same instructions, both give the same bits. Another
//! implementation is for processors without AVX2.

use crate::functions::{inverse, inverse_sqrt};
use crate::lanes::{Lanes, MAX_LANES, VectorWork};

/// The decay rate of the mean of gradients, `β₁`.
pub const MEAN_DECAY: f64 = 0.9;
/// The decay rate of the mean of squared gradients, `β₂`.
pub const SQUARE_DECAY: f64 = 0.999;
/// The constant `ε`, which keeps a step finite where all gradients were 0.
pub const EPSILON: f64 = 1e-8;

const ONE_MINUS_MEAN_DECAY: f32 = (1.0 - MEAN_DECAY) as f32;
const ONE_MINUS_SQUARE_DECAY: f32 = (1.0 - SQUARE_DECAY) as f32;

/// Mean squares are raised to at least this before their inverse root is taken. The roots of smaller ones are
/// negligible beside [`EPSILON`].
#[cfg(target_arch = "x86_64")]
const MIN_SECOND_MOMENT: f32 = 1e-36;

/// The size of one step, with the corrections for moments that start at zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    rate: f32,
    unbias: f32,
}

impl AdamStep {
    /// The `n`th step, counted from 1.
    pub fn from_step_number(n: i32, learning_rate: f64) -> Self {
        let rate = learning_rate / (1.0 - MEAN_DECAY.powi(n));
        let unbias = (1.0 - SQUARE_DECAY.powi(n)).sqrt().recip();
        Self {
            rate: rate as f32,
            unbias: unbias as f32,
        }
    }

    /// Takes the step for one parameter.
    #[inline(always)]
    fn ascend_scalar(self, value: &mut f32, gradient: f32, mean: &mut f32, square: &mut f32) {
        *mean += ONE_MINUS_MEAN_DECAY * (gradient - *mean);
        *square += ONE_MINUS_SQUARE_DECAY * (gradient * gradient - *square);
        *value += self.rate * *mean / (square.sqrt() * self.unbias + EPSILON as f32);
    }

    /// Takes the step for `LANES` parameters and their moments, in place in memory; returns the new values.
    ///
    /// # Safety
    ///
    /// As for [`Lanes`]; the pointers must be valid for `LANES` numbers.
    #[inline(always)]
    pub(crate) unsafe fn ascend_lanes<L: Lanes>(
        self,
        value: *mut f32,
        gradient: L::Vector,
        [mean, square]: [*mut f32; 2],
    ) -> L::Vector {
        unsafe {
            let (mean_rate, square_rate) = (
                L::splat(ONE_MINUS_MEAN_DECAY),
                L::splat(ONE_MINUS_SQUARE_DECAY),
            );
            let m = L::load(mean);
            let m = L::add(m, L::multiply(mean_rate, L::subtract(gradient, m)));
            let s = L::load(square);
            let change = L::subtract(L::multiply(gradient, gradient), s);
            let s = L::add(s, L::multiply(square_rate, change));
            // √s, as s · 1/√s. Where s is raised to the minimum, the product is not √s, but both are nearly 0.
            let root = L::multiply(s, inverse_sqrt::<L>(L::max(L::splat(MIN_SECOND_MOMENT), s)));
            let scale = L::multiply_add(root, L::splat(self.unbias), L::splat(EPSILON as f32));
            let change = L::multiply(L::multiply(L::splat(self.rate), m), inverse::<L>(scale));
            let v = L::add(L::load(value), change);
            L::store(mean, m);
            L::store(square, s);
            L::store(value, v);
            v
        }
    }
}

/// Takes one step of all `values` up their `gradient`, in one pass over memory.
///
/// # Panics
///
/// If lengths differ.
pub fn ascend_slices(
    values: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    step: AdamStep,
) {
    let lens = [gradient.len(), mean.len(), square.len()];
    assert_eq!(lens, [values.len(); 3], "a gradient and moments for each");
    #[cfg(target_arch = "x86_64")]
    {
        use crate::Instructions;
        use crate::avx2::{Avx2, Lanes8};
        use crate::avx512::{Avx512, Lanes16};
        use crate::lanes::ProductKernel;
        let moments = [&mut *mean, &mut *square];
        // SAFETY: these instructions are supported.
        match Instructions::best_supported() {
            Some(Instructions::Avx512) => {
                let pass = AdamPass::<Lanes16>::new(values, gradient, moments, step);
                return unsafe { Avx512::run_with_instructions(pass) };
            }
            Some(Instructions::Avx2) => {
                let pass = AdamPass::<Lanes8>::new(values, gradient, moments, step);
                return unsafe { Avx2::run_with_instructions(pass) };
            }
            None => (),
        }
    }
    let moments = mean.iter_mut().zip(square);
    for ((value, &gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
        step.ascend_scalar(value, gradient, mean, square);
    }
}

/// The step of [`ascend_slices`] in registers; all slices must have the same length.
#[cfg(target_arch = "x86_64")]
pub(crate) struct AdamPass<'a, L> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    step: AdamStep,
    lanes: std::marker::PhantomData<L>,
}

#[cfg(target_arch = "x86_64")]
impl<'a, L> AdamPass<'a, L> {
    pub(crate) const fn new(
        values: &'a mut [f32],
        gradient: &'a [f32],
        [mean, square]: [&'a mut [f32]; 2],
        step: AdamStep,
    ) -> Self {
        Self {
            values,
            gradient,
            mean,
            square,
            step,
            lanes: std::marker::PhantomData,
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> VectorWork for AdamPass<'_, L> {
    #[inline(always)]
    unsafe fn run(self) {
        let (lanes, step) = (L::LANES, self.step);
        let whole = self.values.len() - self.values.len() % lanes;
        unsafe {
            for i in (0..whole).step_by(lanes) {
                let gradient = L::load(self.gradient.as_ptr().add(i));
                let (mean, square) = (self.mean.as_mut_ptr(), self.square.as_mut_ptr());
                let moments = [mean.add(i), square.add(i)];
                step.ascend_lanes::<L>(self.values.as_mut_ptr().add(i), gradient, moments);
            }
            // The remaining numbers fill part of a register.
            let [mut value, mut gradient, mut mean, mut square] = [[0.0; MAX_LANES]; 4];
            let n = self.values.len() - whole;
            value[..n].copy_from_slice(&self.values[whole..]);
            gradient[..n].copy_from_slice(&self.gradient[whole..]);
            mean[..n].copy_from_slice(&self.mean[whole..]);
            square[..n].copy_from_slice(&self.square[whole..]);
            let moments = [mean.as_mut_ptr(), square.as_mut_ptr()];
            step.ascend_lanes::<L>(value.as_mut_ptr(), L::load(gradient.as_ptr()), moments);
            self.values[whole..].copy_from_slice(&value[..n]);
            self.mean[whole..].copy_from_slice(&mean[..n]);
            self.square[whole..].copy_from_slice(&square[..n]);
        }
    }
}
