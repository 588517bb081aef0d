//! The network of amortized inference: `x ↦ λ`.

use gap_model::PackedEncoder;
use gap_model::mlp::{Activation, Mlp};
use gap_torch::SeedKey;
use std::cell::OnceCell;
use tch::{Device, Tensor};

use crate::family::{VariationalFamily, VariationalParams};

/// A network that maps an observation to the parameters of its `q`.
pub struct Encoder {
    network: Mlp,
    /// The weights packed for evaluation: made on first use, and dropped when the network may change.
    packed: OnceCell<PackedEncoder>,
}

impl Encoder {
    /// Creates an encoder with these hidden widths; without hidden layers it is linear.
    ///
    /// Hidden layers are random and the output layer is zero, so that `λ = 0` for every observation. With a
    /// random output layer `σ = e^(w·x)` is huge at some observations, and fits of linear encoders diverged.
    pub fn with_random_hidden_layers(
        observed_dim: i64,
        hidden: &[i64],
        family: &dyn VariationalFamily,
        activation: Activation,
        key: SeedKey,
        device: Device,
    ) -> Self {
        let mut widths = vec![observed_dim];
        widths.extend_from_slice(hidden);
        widths.push(family.param_dim());
        Self::with_zero_output_layer(Mlp::random_perceptron(&widths, activation, key, device))
    }

    /// Creates an encoder with this network after setting its output layer to zero, as in
    /// [`Encoder::with_random_hidden_layers`].
    pub fn with_zero_output_layer(network: Mlp) -> Self {
        Self::new(network.with_zero_output())
    }

    /// Creates an encoder with this network, which has `Q` outputs and at most `X` inputs. A network with fewer
    /// inputs sees only the first columns of an observation, without the context in the last ones.
    pub const fn new(network: Mlp) -> Self {
        Self {
            network,
            packed: OnceCell::new(),
        }
    }

    /// The network.
    pub const fn network(&self) -> &Mlp {
        &self.network
    }

    /// The network, for fitting. The packed weights are dropped.
    pub fn network_mut(&mut self) -> &mut Mlp {
        self.packed.take();
        &mut self.network
    }

    /// Returns `λ` without a graph: `[B, X] -> [B, Q]`. A datapoint has the same `λ` in any batch.
    pub fn encode(&self, x: &Tensor) -> VariationalParams {
        let packed = self
            .packed
            .get_or_init(|| PackedEncoder::new(&self.network));
        VariationalParams(
            packed.forward(&self.network, &first_columns(x, self.network.input_dim())),
        )
    }

    /// The number of variational parameters of one datapoint, `Q`.
    pub fn param_dim(&self) -> i64 {
        self.network.output_dim()
    }
}

/// Returns the columns of observations that a network of `n_inputs` sees: `[B, X] -> [B, in]`.
pub(crate) fn first_columns(x: &Tensor, n_inputs: i64) -> Tensor {
    if n_inputs == x.size()[1] {
        x.shallow_clone()
    } else {
        x.narrow(1, 0, n_inputs).contiguous()
    }
}
