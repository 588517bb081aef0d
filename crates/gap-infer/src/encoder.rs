//! The network of amortized inference: `x ↦ λ`.

use gap_model::FrozenForward;
use gap_model::mlp::{Activation, Mlp};
use gap_torch::SeedKey;
use std::cell::OnceCell;
use tch::{Device, Tensor};

use crate::family::{VariationalFamily, VariationalParams};

/// A network from an observation to the parameters of its `q`.
pub struct Encoder {
    network: Mlp,
    /// Made when it is first asked for; forgotten when the network may change.
    frozen: OnceCell<FrozenForward>,
}

impl Encoder {
    /// A new encoder with these hidden widths; none makes it linear.
    ///
    /// Hidden layers are random, the last is zero: it starts from `λ = 0` everywhere. From a random
    /// last layer `σ = e^(w·x)` is huge at some points, and fits of a linear encoder ran away.
    pub fn random(
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
        Self::new(Mlp::random(&widths, activation, key, device).with_zero_output())
    }

    /// An encoder with this network: `X` inputs, `Q` outputs.
    pub const fn new(network: Mlp) -> Self {
        Self {
            network,
            frozen: OnceCell::new(),
        }
    }

    /// The network.
    pub const fn network(&self) -> &Mlp {
        &self.network
    }

    /// The network, to be fitted.
    pub fn network_mut(&mut self) -> &mut Mlp {
        self.frozen.take();
        &mut self.network
    }

    /// `λ` without a graph, the same for a datapoint in any batch: `[B, X] -> [B, Q]`.
    pub fn encode(&self, x: &Tensor) -> VariationalParams {
        let frozen = self.frozen.get_or_init(|| FrozenForward::of(&self.network));
        VariationalParams(frozen.forward(&self.network, x))
    }
}
