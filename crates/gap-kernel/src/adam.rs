//! Adam (Kingma and Ba 2015, Algorithm 1) with the paper's constants, uphill.
//!
//! The same arithmetic twice: on slices, and on registers for the kernels that have a gradient there.
//! Neither rounds a product and a sum at once, so that both give the same bits on every path.

use crate::lanes::{Lanes, Work};

/// How much of the mean of gradients stays at a step.
pub const MEAN_DECAY: f64 = 0.9;
/// How much of the mean of their squares stays.
pub const SQUARE_DECAY: f64 = 0.999;
/// What keeps a step finite where no gradient was.
pub const EPSILON: f64 = 1e-8;

const OF_MEAN: f32 = (1.0 - MEAN_DECAY) as f32;
const OF_SQUARE: f32 = (1.0 - SQUARE_DECAY) as f32;

/// How far one step goes, with the corrections for moments that began at zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    rate: f32,
    unbias: f32,
}

impl Step {
    /// The `n`th step, counted from 1.
    pub fn nth(n: i32, learning_rate: f64) -> Self {
        let rate = learning_rate / (1.0 - MEAN_DECAY.powi(n));
        let unbias = (1.0 - SQUARE_DECAY.powi(n)).sqrt().recip();
        Self {
            rate: rate as f32,
            unbias: unbias as f32,
        }
    }

    /// Of one parameter.
    #[inline(always)]
    fn ascend(self, value: &mut f32, gradient: f32, mean: &mut f32, square: &mut f32) {
        *mean += OF_MEAN * (gradient - *mean);
        *square += OF_SQUARE * (gradient * gradient - *square);
        *value += self.rate * *mean / (square.sqrt() * self.unbias + EPSILON as f32);
    }

    /// Of a register of them, where they lie; gives their values.
    ///
    /// # Safety
    ///
    /// As for [`Lanes`]; the pointers are good for `LANES` numbers.
    #[inline(always)]
    pub(crate) unsafe fn ascend_lanes<L: Lanes>(
        self,
        value: *mut f32,
        gradient: L::Vector,
        [mean, square]: [*mut f32; 2],
    ) -> L::Vector {
        unsafe {
            let (of_mean, of_square) = (L::splat(OF_MEAN), L::splat(OF_SQUARE));
            let m = L::load(mean);
            let m = L::add(m, L::multiply(of_mean, L::subtract(gradient, m)));
            let s = L::load(square);
            let change = L::subtract(L::multiply(gradient, gradient), s);
            let s = L::add(s, L::multiply(of_square, change));
            let scale = L::multiply(L::sqrt(s), L::splat(self.unbias));
            let scale = L::add(scale, L::splat(EPSILON as f32));
            let change = L::divide(L::multiply(L::splat(self.rate), m), scale);
            let v = L::add(L::load(value), change);
            L::store(mean, m);
            L::store(square, s);
            L::store(value, v);
            v
        }
    }
}

/// One step of all `values` up their `gradient`, in one pass over memory.
///
/// # Panics
///
/// If lengths differ.
pub fn ascend(
    values: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    step: Step,
) {
    let lens = [gradient.len(), mean.len(), square.len()];
    assert_eq!(lens, [values.len(); 3], "a gradient and moments for each");
    let pass = Pass {
        values,
        gradient,
        mean,
        square,
        step,
    };
    // SAFETY: a path is only entered where its instructions are there.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use crate::{Instructions, lanes::Kernel};
        match Instructions::best() {
            Some(Instructions::Avx512) => crate::avx512::Avx512::enter(pass),
            Some(Instructions::Avx2) => crate::avx2::Avx2::enter(pass),
            None => pass.run(),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        pass.run();
    }
}

/// One pass over slices of the same length.
pub(crate) struct Pass<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) mean: &'a mut [f32],
    pub(crate) square: &'a mut [f32],
    pub(crate) step: Step,
}

impl Work for Pass<'_> {
    /// A plain loop: the compiler makes registers of it.
    #[inline(always)]
    unsafe fn run(self) {
        let moments = self.mean.iter_mut().zip(self.square);
        let values = self.values.iter_mut().zip(self.gradient);
        for ((value, &gradient), (mean, square)) in values.zip(moments) {
            self.step.ascend(value, gradient, mean, square);
        }
    }
}
