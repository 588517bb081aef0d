//! An affine-coupling flow of each datapoint's own, before the map of the full Gaussian.

use super::columns::Columns;
use super::couplings::Couplings;
use super::full_gaussian::log_standard_normal;
use super::gaussians::FullGaussian;
use super::number::Number;
use super::per_datapoint::{PerDatapointFamily, log_prob_per_datapoint};
use super::variational::{EvaluableFamily, VariationalParams};
use gap_spec::family::{COUPLING_HIDDEN, COUPLING_LAYERS};
use gap_torch::SeedKey;
use tch::Tensor;

/// `z = μ + L f(ε)` with coupling layers `f`: `λ` is that of the full Gaussian, and then the networks'.
///
/// The Gaussian's map comes last, so that the layers see coordinates in which the best Gaussian is
/// standard, whatever the posterior's size and shape. `q` has a density at any `z`: the layers are
/// inverted one after another.
///
/// Gradients are path gradients: the score of `q` itself is carried along and subtracted, so that at
/// the exact posterior every draw's gradient is zero, not only their mean (Roeder, Wu and Duvenaud
/// 2017, "Sticking the landing", §3).
pub struct AffineFlow {
    gaussian: FullGaussian,
    couplings: Couplings,
}

impl AffineFlow {
    /// The layers and hidden units of the table of families.
    pub fn new(latent_dim: i64) -> Self {
        Self::with_sizes(latent_dim, COUPLING_LAYERS, COUPLING_HIDDEN)
    }

    /// Any number of layers and of hidden units.
    pub fn with_sizes(latent_dim: i64, n_layers: usize, n_hidden: usize) -> Self {
        let key = SeedKey::root(0).role("affine-flow");
        Self {
            gaussian: FullGaussian::new(latent_dim),
            couplings: Couplings::new(latent_dim as usize, n_layers, n_hidden, key),
        }
    }
}

impl PerDatapointFamily for AffineFlow {
    fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    fn n_params(&self) -> usize {
        self.gaussian.n_params() + self.couplings.n_params()
    }

    fn draw<T: Number>(&self, params: &[T], noise: &Columns<T>) -> (Columns<T>, Vec<f64>) {
        let map = self.gaussian.map(params);
        let flow = self
            .couplings
            .forward(&params[self.gaussian.n_params()..], noise);
        let mut log_q = log_standard_normal(noise);
        for (log_q, log_det) in log_q.iter_mut().zip(&flow.log_det) {
            *log_q -= map.log_det + log_det.to_f64();
        }
        (map.apply(&flow.end), log_q)
    }

    fn gradient<T: Number>(&self, params: &[T], noise: &Columns<T>, score: &Columns<T>) -> Vec<T> {
        let map = self.gaussian.map(params);
        let coupling_params = &params[self.gaussian.n_params()..];
        let flow = self.couplings.forward(coupling_params, noise);
        let mut pull = map.score(score);
        pull.subtract(&flow.slope);
        let mut gradient = map.path_gradient(&flow.end, &pull);
        gradient.extend(self.couplings.pull_back(coupling_params, &flow, pull));
        gradient
    }

    fn as_evaluable(&self) -> Option<&dyn EvaluableFamily> {
        Some(self)
    }
}

impl EvaluableFamily for AffineFlow {
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor {
        log_prob_per_datapoint(
            PerDatapointFamily::n_params(self),
            params,
            z,
            |params, z| {
                let map = self.gaussian.map(params);
                let coupling_params = &params[self.gaussian.n_params()..];
                let (noise, log_det) = self.couplings.invert(coupling_params, map.invert(z));
                let mut log_q = log_standard_normal(&noise);
                for (log_q, flow_log_det) in log_q.iter_mut().zip(log_det) {
                    *log_q -= map.log_det + flow_log_det;
                }
                log_q
            },
        )
    }
}
