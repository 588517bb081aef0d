//! A decoder network with a likelihood and a standard-normal prior, and its hand-derived score.

use crate::likelihood::Likelihood;
use crate::mlp::Mlp;
use crate::model::{LatentVariableModel, ModelError, check_sizes};
use gap_torch::{NoiseStream, map_row_blocks};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// `p(z) = N(0, I)`, `p(x | z)` a likelihood whose parameters an MLP computes from `z`.
pub struct MlpDecoder {
    network: Mlp,
    likelihood: Likelihood,
}

impl MlpDecoder {
    /// A decoder from its network (`D` inputs, `X` outputs) and its likelihood.
    pub const fn new(network: Mlp, likelihood: Likelihood) -> Self {
        Self {
            network,
            likelihood,
        }
    }

    /// The network.
    pub const fn network(&self) -> &Mlp {
        &self.network
    }

    /// The network, to be fitted.
    pub const fn network_mut(&mut self) -> &mut Mlp {
        &mut self.network
    }

    /// The same decoder in `f64`, to test gradients with.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        Self::new(self.network.to_kind(kind), self.likelihood)
    }

    /// `log p(x | z)` of rows, `f64`: `[N, X], [N, D] -> [N]`.
    fn log_likelihood_rows(&self, x: &Tensor, z: &Tensor) -> Tensor {
        self.likelihood.log_prob(x, &self.network.forward(z))
    }

    /// `∇_z log p(x, z)` of rows: `[N, X], [N, D] -> [N, D]`.
    ///
    /// With `l` the network's output, `∂ log p(x | z) / ∂l` is the likelihood's residual; it is
    /// pulled back through the layers by hand, and `∇_z log N(z; 0, I) = −z`.
    fn score_rows(&self, x: &Tensor, z: &Tensor) -> Tensor {
        let (output, hidden) = self.network.forward_with_hidden(z);
        let residual = self.likelihood.residual(x, &output);
        self.network.pull_back(&residual, &hidden) - z
    }
}

/// `x` (`[B, X]`) and `z` (`[S, B, D]`) as rows: `[S·B, X]` (one datapoint's rows `B` apart), `[S·B, D]`.
fn as_rows(x: &Tensor, z: &Tensor, n_samples: i64) -> (Tensor, Tensor) {
    let z_rows = z.reshape([-1, z.size()[2]]);
    let index = Tensor::arange(x.size()[0], (Kind::Int64, x.device())).repeat([n_samples]);
    (index, z_rows)
}

impl LatentVariableModel for MlpDecoder {
    fn latent_dim(&self) -> i64 {
        self.network.input_dim()
    }

    fn observed_dim(&self) -> i64 {
        self.network.output_dim()
    }

    fn device(&self) -> Device {
        self.network.device()
    }

    fn kind(&self) -> Kind {
        self.network.kind()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let [n_samples, batch] = check_sizes(self, x, z)?;
        let (index, z_rows) = as_rows(x, z, n_samples);
        let log_likelihood = if z.requires_grad() || self.network.is_trainable() {
            // One graph over the whole batch.
            self.log_likelihood_rows(&x.index_select(0, &index), &z_rows)
        } else {
            map_row_blocks(&[&index, &z_rows], |block| {
                self.log_likelihood_rows(&x.index_select(0, &block[0]), &block[1])
            })
        };
        let log_prior = z
            .square()
            .sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)
            * -0.5
            - 0.5 * self.latent_dim() as f64 * TAU.ln();
        Ok(log_likelihood.view([n_samples, batch]) + log_prior)
    }

    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let [n_samples, batch] = check_sizes(self, x, z)?;
        let _no_grad = tch::no_grad_guard();
        let (index, z_rows) = as_rows(x, z, n_samples);
        let score = map_row_blocks(&[&index, &z_rows], |block| {
            self.score_rows(&x.index_select(0, &block[0]), &block[1])
        });
        Ok(score.view([n_samples, batch, self.latent_dim()]))
    }

    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let z = noise
            .normal(1, self.latent_dim())
            .squeeze_dim(0)
            .to_kind(self.kind());
        let output = map_row_blocks(&[&z], |block| self.network.forward(&block[0]));
        Ok((self.likelihood.sample(&output, noise), z))
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        self.likelihood.check_support(x)
    }
}
