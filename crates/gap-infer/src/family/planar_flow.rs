//! A planar flow for each datapoint, followed by the affine map of the full Gaussian. Its density is known only
//! at its own draws.

use super::columns::FeatureColumns;
use super::full_gaussian::log_standard_normal_density;
use super::gaussians::FullGaussian;
use super::number::{FloatNumber, add_scaled, dot, sum};
use super::per_datapoint::PerDatapointFamily;
use gap_spec::family::PLANAR_LAYERS;
use gap_torch::{NoiseStream, SeedKey};
use tch::Device;

/// `z = μ + L f(ε)`, where `f` is a composition of layers `y ↦ y + û tanh(wᵀy + b)`. `λ` consists of the full
/// Gaussian's `λ`, and then of `u`, `w` and `b` for one layer after another, where `w` and `b` are differences
/// from a random start.
///
/// Rezende and Mohamed 2015, "Variational Inference with Normalizing Flows", §4.1. The inverse of a layer has
/// no formula, so the density and the score of `q` are known only at the family's own draws. That suffices for
/// path gradients, as in [`super::AffineFlow`].
pub struct PlanarFlow {
    gaussian: FullGaussian,
    /// `w` and `b` of each of the `K` layers at `λ = 0`: `[K, D + 1]`.
    start: Vec<f64>,
    n_layers: usize,
}

/// A layer's `û` (`bent`), `w` and `b`, and what the backward pass needs to differentiate `û`.
struct PlanarLayer<'a, T> {
    u: &'a [T],
    w: Vec<T>,
    b: T,
    bent: Vec<T>,
    /// The factor `k` in `û = u + k w`.
    k: T,
    /// `m′(wᵀu) − 1`, with `m` as in `layer_from_params`.
    less: T,
    /// `wᵀû`, above −1.
    product: T,
}

/// A layer's input (`[D, S]`), and its `tanh` at that input (`[S]`).
struct LayerActivations<T> {
    input: FeatureColumns<T>,
    tanh: Vec<T>,
}

struct FlowOutput<T> {
    end: FeatureColumns<T>,
    log_det: Vec<f64>,
    slope: FeatureColumns<T>,
    layers_passed: Vec<LayerActivations<T>>,
}

impl PlanarFlow {
    /// A flow with the default number of layers, [`PLANAR_LAYERS`].
    pub fn new(latent_dim: i64) -> Self {
        Self::with_n_layers(latent_dim, PLANAR_LAYERS)
    }

    /// A flow with `n_layers` layers.
    pub fn with_n_layers(latent_dim: i64, n_layers: usize) -> Self {
        let dim = latent_dim as usize;
        let key = SeedKey::root(0).for_role("planar-flow");
        let normals = NoiseStream::new(key, &[0], Device::Cpu).normal_values(n_layers, dim + 1);
        let scaled = normals.iter().enumerate().map(|(i, &normal)| {
            let is_weight = i % (dim + 1) < dim;
            f64::from(normal)
                * if is_weight {
                    (dim as f64).sqrt().recip()
                } else {
                    0.5
                }
        });
        Self {
            gaussian: FullGaussian::new(latent_dim),
            start: scaled.collect(),
            n_layers,
        }
    }

    /// Returns layer `k`; `params` is the whole `λ`.
    ///
    /// As in appendix A.1 of Rezende and Mohamed, `û = u + (m(wᵀu) − wᵀu) w / |w|²` keeps `wᵀû` above −1, which
    /// makes the layer invertible. Here `m(a) = log(1 + (e − 1) eᵃ) − 1`, which unlike theirs is 0 at 0, so
    /// that `u = 0` gives the identity.
    fn layer_from_params<'a, T: FloatNumber>(
        &self,
        params: &'a [T],
        k: usize,
    ) -> PlanarLayer<'a, T> {
        let dim = self.gaussian.dim();
        let own = &params[self.gaussian.n_params() + k * (2 * dim + 1)..][..2 * dim + 1];
        let (u, rest) = own.split_at(dim);
        let start = &self.start[k * (dim + 1)..][..dim + 1];
        let moved = rest
            .iter()
            .zip(start)
            .map(|(&p, &start)| p + T::from_f64(start));
        let mut w: Vec<T> = moved.collect();
        let b = w.pop().expect("w has D numbers and b behind them");
        let square = dot(&w, &w);
        let product = dot(&w, u);
        let mut power = [product];
        T::exponentiate(&mut power);
        let raised = (std::f64::consts::E - 1.0) * power[0].to_f64();
        let bent_product = T::from_f64(raised.ln_1p() - 1.0);
        let factor = (bent_product - product) / square;
        let bent = u.iter().zip(&w).map(|(&u, &w)| u + factor * w).collect();
        PlanarLayer {
            u,
            b,
            bent,
            k: factor,
            less: T::from_f64(raised / (1.0 + raised) - 1.0),
            product: bent_product,
            w,
        }
    }

    fn forward<T: FloatNumber>(&self, params: &[T], noise: &FeatureColumns<T>) -> FlowOutput<T> {
        let (dim, n_samples) = (self.gaussian.dim(), noise.n_samples());
        let one = T::from_f64(1.0);
        let mut slope = noise.clone();
        slope.values_mut().iter_mut().for_each(|v| *v = -*v);
        let mut flow = FlowOutput {
            end: noise.clone(),
            log_det: vec![0.0; n_samples],
            slope,
            layers_passed: Vec::with_capacity(self.n_layers),
        };
        for k in 0..self.n_layers {
            let layer = self.layer_from_params(params, k);
            let input = flow.end.clone();
            // tanh a = 1 − 2 / (1 + e^2a).
            let mut tanh = vec![layer.b + layer.b; n_samples];
            for (i, &w) in layer.w.iter().enumerate() {
                add_scaled(&mut tanh, w + w, input.feature(i));
            }
            T::exponentiate(&mut tanh);
            tanh.iter_mut()
                .for_each(|t| *t = one - T::from_f64(2.0) / (one + *t));
            // Jᵀ = I + h′ w ûᵀ, and ∇ log |det J| = h″ ûᵀw / (1 + h′ ûᵀw) w.
            let mut along = vec![T::default(); n_samples]; // ûᵀ slope
            for (i, &bent) in layer.bent.iter().enumerate() {
                add_scaled(&mut along, bent, flow.slope.feature(i));
            }
            let draws = tanh.iter().zip(&mut along).zip(&mut flow.log_det);
            for ((&h, along), log_det) in draws {
                let bend = one - h * h;
                let det = one + layer.product * bend;
                *log_det += det.to_f64().ln();
                let det_slope = T::from_f64(-2.0) * h * bend * layer.product / det;
                // J⁻ᵀ (slope − det_slope w) = slope − w (det_slope + h′ ûᵀ(slope − det_slope w) / det).
                *along = -(det_slope + bend * (*along - det_slope * layer.product) / det);
            }
            for i in 0..dim {
                add_scaled(flow.end.feature_mut(i), layer.bent[i], &tanh);
                add_scaled(flow.slope.feature_mut(i), layer.w[i], &along);
            }
            flow.layers_passed.push(LayerActivations { input, tanh });
        }
        flow
    }

    /// Returns the gradient in the layers' parameters, averaged over draws, given the gradient `pull` in the
    /// last layer's output.
    fn pull_back<T: FloatNumber>(
        &self,
        params: &[T],
        flow: &FlowOutput<T>,
        mut pull: FeatureColumns<T>,
    ) -> Vec<T> {
        let dim = self.gaussian.dim();
        let share = T::from_f64(1.0 / pull.n_samples() as f64);
        let mut layers = Vec::with_capacity(self.n_layers);
        for k in (0..self.n_layers).rev() {
            let layer = self.layer_from_params(params, k);
            let LayerActivations { input, tanh } = &flow.layers_passed[k];
            let in_bent: Vec<T> = pull.iter().map(|pull| dot(pull, tanh) * share).collect();
            let mut in_argument = vec![T::default(); tanh.len()];
            for (i, &bent) in layer.bent.iter().enumerate() {
                add_scaled(&mut in_argument, bent, pull.feature(i));
            }
            for (value, &h) in in_argument.iter_mut().zip(tanh) {
                *value *= T::from_f64(1.0) - h * h;
            }
            let in_w = input.iter().map(|input| dot(input, &in_argument) * share);
            let mut in_w: Vec<T> = in_w.collect();
            let in_b = sum(&in_argument) * share;
            // û = u + k w, with k = (m(wᵀu) − wᵀu) / |w|².
            let square = dot(&layer.w, &layer.w);
            let in_k = dot(&in_bent, &layer.w) / square;
            let mut own = Vec::with_capacity(2 * dim + 1);
            for i in 0..dim {
                let (u, w) = (layer.u[i], layer.w[i]);
                own.push(in_bent[i] + in_k * layer.less * w);
                in_w[i] += layer.k * in_bent[i] + in_k * (layer.less * u - (layer.k + layer.k) * w);
            }
            own.extend(in_w);
            own.push(in_b);
            layers.push(own);
            for i in 0..dim {
                add_scaled(pull.feature_mut(i), layer.w[i], &in_argument);
            }
        }
        layers.into_iter().rev().flatten().collect()
    }
}

impl PerDatapointFamily for PlanarFlow {
    fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    fn n_params(&self) -> usize {
        self.gaussian.n_params() + self.n_layers * (2 * self.gaussian.dim() + 1)
    }

    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>) {
        let map = self.gaussian.affine_map(params);
        let flow = self.forward(params, noise);
        let mut log_q = log_standard_normal_density(noise);
        for (log_q, log_det) in log_q.iter_mut().zip(&flow.log_det) {
            *log_q -= map.log_det + log_det;
        }
        (map.apply(&flow.end), log_q)
    }

    fn gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
    ) -> Vec<T> {
        let map = self.gaussian.affine_map(params);
        let flow = self.forward(params, noise);
        let mut pull = map.whiten_score(score);
        pull.subtract(&flow.slope);
        let mut gradient = map.path_gradient(&flow.end, &pull);
        gradient.extend(self.pull_back(params, &flow, pull));
        gradient
    }
}
