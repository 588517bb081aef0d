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
        Self::starting_at_zero(Mlp::random(&widths, activation, key, device))
    }

    /// A new encoder with this network, whose last layer is put to zero, as in [`Encoder::random`].
    pub fn starting_at_zero(network: Mlp) -> Self {
        Self::new(network.with_zero_output())
    }

    /// An encoder with this network: `Q` outputs, and `X` inputs or fewer. With fewer it sees only the
    /// first numbers of an observation, not those that are its context.
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
        VariationalParams(frozen.forward(&self.network, &seen(&self.network, x)))
    }

    /// `Q`.
    pub fn param_dim(&self) -> i64 {
        self.network.output_dim()
    }

    /// Whether it sees whole observations of `observed_dim` numbers.
    pub fn sees_all(&self, observed_dim: i64) -> bool {
        self.network.input_dim() == observed_dim
    }
}

/// The part of observations that the network of an encoder sees: `[B, X] -> [B, in]`.
pub fn seen(network: &Mlp, x: &Tensor) -> Tensor {
    if network.input_dim() == x.size()[1] {
        x.shallow_clone()
    } else {
        x.narrow(1, 0, network.input_dim()).contiguous()
    }
}
