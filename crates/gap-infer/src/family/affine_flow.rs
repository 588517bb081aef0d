//! An affine-coupling flow for each datapoint, followed by the affine map of the full Gaussian.

use super::columns::FeatureColumns;
use super::couplings::CouplingStack;
use super::full_gaussian::log_standard_normal_density;
use super::gaussians::FullGaussian;
use super::number::FloatNumber;
use super::per_datapoint::{
    PerDatapointFamily, log_prob_per_datapoint, weighted_path_gradient_per_datapoint,
};
use super::variational::{EvaluableDensityFamily, VariationalParams};
use gap_spec::family::{COUPLING_HIDDEN_UNITS, COUPLING_LAYERS};
use gap_torch::SeedKey;
use tch::Tensor;

/// `z = μ + L f(ε)` with coupling layers `f`. `λ` consists of the full Gaussian's `λ`, and then of the
/// parameters of the layers' networks.
///
/// The affine map comes last, so that the layers work in coordinates in which the best Gaussian is standard
/// normal, whatever the posterior's scale and shape. The density of `q` can be computed at any `z`, since the
/// layers can be inverted one after another.
///
/// Gradients are path gradients: the score of `q` is carried through the layers and subtracted from that of
/// the model, so that at the exact posterior the gradient of every draw is zero, not only their mean (Roeder,
/// Wu and Duvenaud 2017, "Sticking the landing", §3).
pub struct AffineFlow {
    gaussian: FullGaussian,
    couplings: CouplingStack,
}

impl AffineFlow {
    /// A flow with [`COUPLING_LAYERS`] layers, and [`COUPLING_HIDDEN_UNITS`] hidden units in each.
    pub fn new(latent_dim: i64) -> Self {
        Self::with_layers_and_hidden_units(latent_dim, COUPLING_LAYERS, COUPLING_HIDDEN_UNITS)
    }

    /// A flow with `n_layers` layers, and `n_hidden` hidden units in each.
    pub fn with_layers_and_hidden_units(latent_dim: i64, n_layers: usize, n_hidden: usize) -> Self {
        let key = SeedKey::root(0).for_role("affine-flow");
        Self {
            gaussian: FullGaussian::new(latent_dim),
            couplings: CouplingStack::new(latent_dim as usize, n_layers, n_hidden, key),
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

    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>) {
        let map = self.gaussian.affine_map(params);
        let flow = self
            .couplings
            .forward(&params[self.gaussian.n_params()..], noise);
        let mut log_q = log_standard_normal_density(noise);
        for (log_q, log_det) in log_q.iter_mut().zip(&flow.log_det) {
            *log_q -= map.log_det + log_det.to_f64();
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
        let coupling_params = &params[self.gaussian.n_params()..];
        let flow = self.couplings.forward(coupling_params, noise);
        let mut pull = map.whiten_score(score);
        pull.subtract(&flow.slope);
        let mut gradient = map.path_gradient(&flow.end, &pull);
        gradient.extend(self.couplings.pull_back(coupling_params, &flow, pull));
        gradient
    }

    fn as_evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        Some(self)
    }
}

impl EvaluableDensityFamily for AffineFlow {
    fn log_prob(&self, params: &VariationalParams, z: &Tensor) -> Tensor {
        log_prob_per_datapoint(
            PerDatapointFamily::n_params(self),
            params,
            z,
            |params, z| {
                let map = self.gaussian.affine_map(params);
                let coupling_params = &params[self.gaussian.n_params()..];
                let (noise, log_det) = self.couplings.invert(coupling_params, map.invert(z));
                let mut log_q = log_standard_normal_density(&noise);
                for (log_q, flow_log_det) in log_q.iter_mut().zip(log_det) {
                    *log_q -= map.log_det + flow_log_det;
                }
                log_q
            },
        )
    }

    fn weighted_path_gradient(
        &self,
        params: &VariationalParams,
        noise: &Tensor,
        score: &Tensor,
        weights: &Tensor,
    ) -> Tensor {
        weighted_path_gradient_per_datapoint(self, params, [noise, score, weights])
    }
}
