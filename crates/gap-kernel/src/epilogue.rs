//! Epilogues: the work between two products, on sums that are still in registers.

use crate::functions::{exp, ln, sigmoid, tanh};
use crate::lanes::{Lanes, ProductKernel};
use crate::network::KernelLikelihood;
use crate::product::Epilogue;
use gap_spec::Activation;

/// The activation `a(u)`.
#[inline(always)]
unsafe fn activate<L: Lanes>(activation: Activation, u: L::Vector) -> L::Vector {
    unsafe {
        match activation {
            Activation::Tanh => tanh::<L>(u),
            Activation::Relu => L::max(L::splat(0.0), u),
            Activation::Elu => {
                let below = L::subtract(exp::<L>(u), L::splat(1.0));
                L::where_positive(u, u, below)
            }
        }
    }
}

/// The activation's slope `a'(u)`, from its `value` `a(u)`.
#[inline(always)]
unsafe fn slope<L: Lanes>(activation: Activation, value: L::Vector) -> L::Vector {
    unsafe {
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        match activation {
            // 1 − a²
            Activation::Tanh => L::multiply_add(L::subtract(zero, value), value, one),
            Activation::Relu => L::where_positive(value, one, zero),
            // Below zero, a = eᵘ − 1 and a' = eᵘ.
            Activation::Elu => L::where_positive(value, one, L::add(value, one)),
        }
    }
}

/// The mean of an observation, given the network's output.
#[inline(always)]
pub(crate) unsafe fn mean<L: Lanes>(likelihood: KernelLikelihood, output: L::Vector) -> L::Vector {
    match likelihood {
        KernelLikelihood::Bernoulli => unsafe { sigmoid::<L>(output) },
        KernelLikelihood::Gaussian { .. } => output,
    }
}

/// Finishes a hidden layer: adds the bias, applies the activation, and stores the value.
pub(crate) struct HiddenLayerEpilogue<K: ProductKernel> {
    pub(crate) activation: Activation,
    pub(crate) bias: *const f32,
    pub(crate) to: *mut K::Factor,
    pub(crate) stride: usize,
}

impl<K: ProductKernel> Epilogue<K::Lanes> for HiddenLayerEpilogue<K> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: <K::Lanes as Lanes>::Vector) {
        unsafe {
            let bias = <K::Lanes as Lanes>::load(self.bias.add(column));
            let value = activate::<K::Lanes>(self.activation, <K::Lanes as Lanes>::add(sum, bias));
            K::store_factors(self.to.add(row * self.stride + column), value);
        }
    }
}

/// Finishes a decoder's output: adds the bias, and computes `mean − x` for the backward pass and the terms of
/// the log likelihood, each if it is asked for.
pub(crate) struct LikelihoodEpilogue<'a, K: ProductKernel> {
    pub(crate) likelihood: KernelLikelihood,
    pub(crate) bias: *const f32,
    /// `x` of each row, padded with zeros to the width of the packed output.
    pub(crate) x: &'a [*const f32],
    /// Where `mean − x` is written, and the distance between its rows.
    pub(crate) excess: Option<(*mut K::Factor, usize)>,
    /// Where the terms are added up: `LANES` sums in `f64` for each row.
    pub(crate) terms: Option<*mut f64>,
}

impl<K: ProductKernel> Epilogue<K::Lanes> for LikelihoodEpilogue<'_, K> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: <K::Lanes as Lanes>::Vector) {
        unsafe { self.finish(row, column, [sum]) }
    }

    #[inline(always)]
    unsafe fn finish<const V: usize>(
        &self,
        row: usize,
        column: usize,
        sums: [<K::Lanes as Lanes>::Vector; V],
    ) {
        unsafe {
            let lanes = K::Lanes::LANES;
            let mut output = sums;
            for (v, sum) in output.iter_mut().enumerate() {
                let bias = <K::Lanes as Lanes>::load(self.bias.add(column + v * lanes));
                *sum = <K::Lanes as Lanes>::add(*sum, bias);
            }
            let x = self.x[row].add(column);
            if let Some(sums) = self.terms {
                let terms = match self.likelihood {
                    KernelLikelihood::Bernoulli => bernoulli_terms::<K::Lanes, V>(x, output),
                    KernelLikelihood::Gaussian { .. } => squares::<K::Lanes, V>(x, output),
                };
                <K::Lanes as Lanes>::add_to_doubles(sums.add(row * lanes), terms);
            }
            let Some((to, stride)) = self.excess else {
                return;
            };
            for (v, output) in output.into_iter().enumerate() {
                let mean = mean::<K::Lanes>(self.likelihood, output);
                let x = <K::Lanes as Lanes>::load(x.add(v * lanes));
                let excess = <K::Lanes as Lanes>::subtract(mean, x);
                K::store_factors(to.add(row * stride + column + v * lanes), excess);
            }
        }
    }
}

/// `Σ x l − log(1 + eˡ)` over `V` registers, lane by lane.
///
/// `log(1 + eˡ) = max(l, 0) + log(1 + e^−|l|)`. The factors `1 + e^−|l|` are at most 2, so the `V` factors are
/// multiplied, and one logarithm of the product replaces `V` logarithms.
#[inline(always)]
unsafe fn bernoulli_terms<L: Lanes, const V: usize>(
    x: *const f32,
    logits: [L::Vector; V],
) -> L::Vector {
    unsafe {
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        let (mut linear, mut factors) = (zero, one);
        for (v, logit) in logits.into_iter().enumerate() {
            let x = L::load(x.add(v * L::LANES));
            let positive = L::max(zero, logit);
            linear = L::add(linear, L::subtract(L::multiply(x, logit), positive));
            // −|l| = l − 2 max(l, 0)
            let below = L::subtract(logit, L::add(positive, positive));
            factors = L::multiply(factors, L::add(one, exp::<L>(below)));
        }
        L::subtract(linear, ln::<L>(factors))
    }
}

/// `Σ (x − m)²` over `V` registers, lane by lane.
#[inline(always)]
unsafe fn squares<L: Lanes, const V: usize>(x: *const f32, means: [L::Vector; V]) -> L::Vector {
    unsafe {
        let mut sum = L::splat(0.0);
        for (v, mean) in means.into_iter().enumerate() {
            let residual = L::subtract(L::load(x.add(v * L::LANES)), mean);
            sum = L::multiply_add(residual, residual, sum);
        }
        sum
    }
}

/// The backward pass into a hidden layer: multiplies `sum`, the gradient with respect to the layer's output, by
/// the activation's slope `a'`.
pub(crate) struct ActivationGradientEpilogue<K: ProductKernel> {
    pub(crate) activation: Activation,
    /// The layer's output.
    pub(crate) values: *const K::Factor,
    pub(crate) to: *mut K::Factor,
    pub(crate) stride: usize,
}

impl<K: ProductKernel> Epilogue<K::Lanes> for ActivationGradientEpilogue<K> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: <K::Lanes as Lanes>::Vector) {
        unsafe {
            let place = row * self.stride + column;
            let slope = slope::<K::Lanes>(self.activation, K::load_factors(self.values.add(place)));
            let gradient = <K::Lanes as Lanes>::multiply(sum, slope);
            K::store_factors(self.to.add(place), gradient);
        }
    }
}

/// The backward pass into the input: stores the sum unchanged.
pub(crate) struct StoreEpilogue {
    pub(crate) to: *mut f32,
    pub(crate) stride: usize,
}

impl<L: Lanes> Epilogue<L> for StoreEpilogue {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: L::Vector) {
        unsafe { L::store(self.to.add(row * self.stride + column), sum) }
    }
}

/// Finishes an output layer without an activation: stores `sum + bias`.
pub(crate) struct OutputBiasEpilogue {
    pub(crate) bias: *const f32,
    pub(crate) to: *mut f32,
    pub(crate) stride: usize,
}

impl<L: Lanes> Epilogue<L> for OutputBiasEpilogue {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: L::Vector) {
        unsafe {
            let value = L::add(sum, L::load(self.bias.add(column)));
            L::store(self.to.add(row * self.stride + column), value);
        }
    }
}

/// Passes row `n` of a product on to the epilogue `to`, as row `places[n]`.
pub(crate) struct ScatterEpilogue<'a, E> {
    pub(crate) places: &'a [usize],
    pub(crate) to: &'a E,
}

impl<L: Lanes, E: Epilogue<L>> Epilogue<L> for ScatterEpilogue<'_, E> {
    #[inline(always)]
    unsafe fn finish_one(&self, row: usize, column: usize, sum: L::Vector) {
        unsafe { self.to.finish_one(self.places[row], column, sum) }
    }

    #[inline(always)]
    unsafe fn finish<const V: usize>(&self, row: usize, column: usize, sums: [L::Vector; V]) {
        unsafe { self.to.finish(self.places[row], column, sums) }
    }
}
