//! The network of amortized inference: `x ↦ λ`.

use gap_model::PackedEncoder;
use gap_model::mlp::{Activation, Mlp};
use gap_torch::SeedKey;
use std::cell::OnceCell;
use tch::{Device, Tensor};

use crate::family::{VariationalFamily, VariationalParams};

/// A network from an observation to the parameters of its `q`.
pub struct Encoder {
    network: Mlp,
    /// Made when it is first asked for; forgotten when the network may change.
    packed: OnceCell<PackedEncoder>,
}

impl Encoder {
    /// A new encoder with these hidden widths; none makes it linear.
    ///
    /// Hidden layers are random, the last is zero: it starts from `λ = 0` everywhere. From a random
    /// last layer `σ = e^(w·x)` is huge at some points, and fits of a linear encoder ran away.
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

    /// A new encoder with this network, whose last layer is put to zero, as in
    /// [`Encoder::with_random_hidden_layers`].
    pub fn with_zero_output_layer(network: Mlp) -> Self {
        Self::new(network.with_zero_output())
    }

    /// An encoder with this network: `Q` outputs, and `X` inputs or fewer. With fewer it sees only the
    /// first numbers of an observation, not those that are its context.
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

    /// The network, to be fitted.
    pub fn network_mut(&mut self) -> &mut Mlp {
        self.packed.take();
        &mut self.network
    }

    /// `λ` without a graph, the same for a datapoint in any batch: `[B, X] -> [B, Q]`.
    pub fn encode(&self, x: &Tensor) -> VariationalParams {
        let packed = self
            .packed
            .get_or_init(|| PackedEncoder::new(&self.network));
        VariationalParams(
            packed.forward(&self.network, &first_columns(x, self.network.input_dim())),
        )
    }

    /// `Q`.
    pub fn param_dim(&self) -> i64 {
        self.network.output_dim()
    }
}

/// The part of observations that a network of `n_inputs` sees: `[B, X] -> [B, in]`.
pub(crate) fn first_columns(x: &Tensor, n_inputs: i64) -> Tensor {
    if n_inputs == x.size()[1] {
        x.shallow_clone()
    } else {
        x.narrow(1, 0, n_inputs).contiguous()
    }
}
