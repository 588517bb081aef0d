//! A flow on `z` and auxiliary variables `v`, together with a learned model of `v` given `z`.

use super::columns::FeatureColumns;
use super::couplings::{CouplingStack, FlowOutput};
use super::full_gaussian::log_standard_normal_density;
use super::gaussians::FullGaussian;
use super::number::FloatNumber;
use super::per_datapoint::PerDatapointFamily;
use super::perceptron::{Perceptron, PerceptronActivations};
use gap_spec::family::{COUPLING_HIDDEN_UNITS, COUPLING_LAYERS};
use gap_torch::SeedKey;
use std::f64::consts::TAU;

/// `(u, v) = f(ε)` with coupling layers `f` over twice the latent dimension, and `z = μ + L u`. `λ` consists of
/// the full Gaussian's `λ`, then of the layers' parameters, and then of those of the reverse model `r(v | z)`.
/// The reverse model is a diagonal Gaussian, whose mean and log standard deviation a network computes from `u`.
///
/// The density `q(z)` cannot be computed. The ELBO is replaced by the auxiliary bound,
/// `E[log p(x, z) + log r(v | z) − log q(z, v)]` (Ranganath, Tran and Blei 2016, §2; also used by Cremer, Li
/// and Duvenaud 2018, §5.1). So `log_q` is `log q(z, v) − log r(v | z)`: estimates from it are still bounds of
/// the evidence, but the approximation gap includes the gap between this bound and the ELBO.
pub struct AuxiliaryFlow {
    gaussian: FullGaussian,
    couplings: CouplingStack,
    reverse: Perceptron,
}

/// The flow's output for some draws, and the reverse model's output there.
struct ReverseModelOutput<T> {
    flow: FlowOutput<T>,
    u: FeatureColumns<T>,
    pass: PerceptronActivations<T>,
    /// `(v − m) / s`, `[D, S]`, with the mean `m` and standard deviation `s` of `r(v | z)`.
    whitened: FeatureColumns<T>,
    /// `1 / s`, `[D, S]`.
    inverse_std: FeatureColumns<T>,
}

impl AuxiliaryFlow {
    /// A flow with as many auxiliary as latent variables, and with the numbers of layers and of hidden units of
    /// [`super::AffineFlow::new`].
    pub fn new(latent_dim: i64) -> Self {
        Self::with_layers_and_hidden_units(latent_dim, COUPLING_LAYERS, COUPLING_HIDDEN_UNITS)
    }

    /// A flow with `n_layers` layers, and `n_hidden` hidden units in every network.
    pub fn with_layers_and_hidden_units(latent_dim: i64, n_layers: usize, n_hidden: usize) -> Self {
        let dim = latent_dim as usize;
        let key = SeedKey::root(0).for_role("auxiliary-flow");
        Self {
            gaussian: FullGaussian::new(latent_dim),
            couplings: CouplingStack::new(2 * dim, n_layers, n_hidden, key.for_role("forward")),
            reverse: Perceptron::new(dim, n_hidden, 2 * dim, key.for_role("reverse")),
        }
    }

    /// Splits `λ` into the parameters of the Gaussian, of the layers, and of the reverse model.
    fn split_params<'a, T>(&self, params: &'a [T]) -> [&'a [T]; 3] {
        let (gaussian, rest) = params.split_at(self.gaussian.n_params());
        let (couplings, reverse) = rest.split_at(self.couplings.n_params());
        [gaussian, couplings, reverse]
    }

    fn run_reverse_model<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> ReverseModelOutput<T> {
        let dim = self.gaussian.dim();
        let [_, coupling_params, reverse_params] = self.split_params(params);
        let flow = self.couplings.forward(coupling_params, noise);
        let u = flow.end.select_features(0..dim);
        let inputs: Vec<&[T]> = u.iter().collect();
        let pass = self
            .reverse
            .forward(reverse_params, &inputs, noise.n_samples());
        let mut inverse_std = pass.output.select_features(dim..2 * dim);
        inverse_std.values_mut().iter_mut().for_each(|r| *r = -*r);
        T::exponentiate(inverse_std.values_mut());
        let mut whitened = flow.end.select_features(dim..2 * dim);
        whitened.subtract(&pass.output.select_features(0..dim));
        let values = whitened.values_mut().iter_mut();
        for (value, &inverse) in values.zip(inverse_std.iter().flatten()) {
            *value *= inverse;
        }
        ReverseModelOutput {
            flow,
            u,
            pass,
            whitened,
            inverse_std,
        }
    }
}

impl PerDatapointFamily for AuxiliaryFlow {
    fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    fn n_params(&self) -> usize {
        self.gaussian.n_params() + self.couplings.n_params() + self.reverse.n_params()
    }

    fn noise_normals_per_draw(&self) -> usize {
        2 * self.gaussian.dim()
    }

    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>) {
        let dim = self.gaussian.dim();
        let map = self.gaussian.affine_map(params);
        let reverse_output = self.run_reverse_model(params, noise);
        let mut log_q = log_standard_normal_density(noise);
        for (log_q, log_det) in log_q.iter_mut().zip(&reverse_output.flow.log_det) {
            *log_q += 0.5 * dim as f64 * TAU.ln() - map.log_det - log_det.to_f64();
        }
        // Subtracts log r(v | z), except for its constant, which was subtracted above.
        for i in 0..dim {
            let draws = reverse_output
                .whitened
                .feature(i)
                .iter()
                .zip(reverse_output.pass.output.feature(dim + i));
            for (log_q, (whitened, log_std)) in log_q.iter_mut().zip(draws) {
                *log_q += 0.5 * whitened.to_f64().powi(2) + log_std.to_f64();
            }
        }
        (map.apply(&reverse_output.u), log_q)
    }

    /// Returns path gradients for the layers and the affine map, and the gradient of `log r` for the reverse
    /// model.
    ///
    /// The affine map moves `z`, but not `u` and `v`, on which `r` depends. Its gradient therefore includes the
    /// score of `q(u, v)`, but no term from `r`.
    fn gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
    ) -> Vec<T> {
        let dim = self.gaussian.dim();
        let n_samples = noise.n_samples();
        let [_, coupling_params, reverse_params] = self.split_params(params);
        let map = self.gaussian.affine_map(params);
        let reverse_output = self.run_reverse_model(params, noise);
        let mut in_u = map.whiten_score(score);
        in_u.subtract(&reverse_output.flow.slope.select_features(0..dim));
        let mut gradient = map.path_gradient(&reverse_output.u, &in_u);
        // ∂ log r / ∂ (m, log s) = (w / s, w² − 1), and ∂ log r / ∂v = −w / s, with w = (v − m) / s.
        let mut in_output = FeatureColumns::zeros(2 * dim, n_samples);
        let mut in_v = FeatureColumns::zeros(dim, n_samples);
        for i in 0..dim {
            let draws = reverse_output
                .whitened
                .feature(i)
                .iter()
                .zip(reverse_output.inverse_std.feature(i));
            for (s, (&whitened, &inverse)) in draws.enumerate() {
                in_output.feature_mut(i)[s] = whitened * inverse;
                in_output.feature_mut(dim + i)[s] = whitened * whitened - T::from_f64(1.0);
                in_v.feature_mut(i)[s] = -(whitened * inverse);
            }
        }
        in_v.subtract(&reverse_output.flow.slope.select_features(dim..2 * dim));
        let mut in_reverse = vec![T::default(); self.reverse.n_params()];
        let inputs: Vec<&[T]> = reverse_output.u.iter().collect();
        let mut columns: Vec<&mut [T]> = in_u.iter_mut().collect();
        let pass = &reverse_output.pass;
        self.reverse.pull_back(
            reverse_params,
            pass,
            &inputs,
            &in_output,
            &mut columns,
            &mut in_reverse,
        );
        let share = T::from_f64(1.0 / n_samples as f64);
        in_reverse.iter_mut().for_each(|g| *g *= share);
        let pull = in_u.concat_features(&in_v);
        gradient.extend(
            self.couplings
                .pull_back(coupling_params, &reverse_output.flow, pull),
        );
        gradient.extend(in_reverse);
        gradient
    }
}
