//! Encoders: the maps `x ↦ λ` of amortized inference, and the network that is fitted as one.

mod standardization;

pub use standardization::Standardization;

use gap_model::PackedEncoder;
use gap_model::mlp::{Activation, Mlp};
use gap_torch::SeedKey;
use std::cell::OnceCell;
use tch::{Device, Tensor};

use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_model::ModelError;

/// What becomes of the model while an encoder is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelDuringFit {
    /// It stays as it is.
    Frozen,
    /// It is fitted too, on draws from the encoder's `q`.
    Fitted,
}

/// The factor of the random weights of a new encoder's means if the model is frozen. With a factor of 1 each weight
/// has the variance `1 / inputs`.
const MEAN_SCALE_WITH_FROZEN_MODEL: f64 = 0.1;

/// A map from an observation to the parameters of its `q`: an [`Encoder`] that was fitted here, or one of your own.
pub trait Encode {
    /// Returns `λ` without a graph, of the kind of `x`: `[B, X] -> [B, Q]`. The `λ` of a datapoint must not depend on
    /// the others in the batch.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if `x` does not fit, or [`ModelError::Own`].
    fn encode(&self, x: &Tensor) -> Result<VariationalParams, ModelError>;

    /// The number of variational parameters of one datapoint, `Q`.
    fn param_dim(&self) -> i64;

    /// The number of its weights and biases, for results; 0 if that is not known.
    fn n_weights(&self) -> u64 {
        0
    }
}

impl Encode for Encoder {
    fn encode(&self, x: &Tensor) -> Result<VariationalParams, ModelError> {
        Ok(Self::encode(self, x))
    }

    fn param_dim(&self) -> i64 {
        self.network.output_dim()
    }
}

/// The `λ` that `encoder` gives for each row of `x`, after a check that its length is one of `lengths`: that of a family
/// first, then those of smaller ones.
pub(crate) fn encoded_params(
    encoder: &dyn Encode,
    lengths: &[i64],
    x: &Tensor,
) -> Result<VariationalParams, InferError> {
    let params = encoder.encode(x)?;
    let (n, given) = (x.size()[0], params.0.size());
    let fits = lengths.iter().any(|&length| given == [n, length]);
    if !fits || params.0.kind() != x.kind() {
        return Err(InferError::Encoded {
            given: format!("{given:?} of {:?}", params.0.kind()),
            needed: format!("{:?} of {:?}", [n, lengths[0]], x.kind()),
        });
    }
    Ok(params)
}

/// A network that maps an observation to the parameters of its `q`.
pub struct Encoder {
    network: Mlp,
    /// What the network's inputs are computed by; `None` if it sees observations as they are.
    standardization: Option<Standardization>,
    /// The weights packed for evaluation: made on first use, and dropped when the network may change.
    packed: OnceCell<PackedEncoder>,
}

impl Encoder {
    /// Creates a [new](Encoder::new_for_fitting) encoder with these hidden widths, to be fitted to a frozen model;
    /// without hidden layers it is linear.
    pub fn with_random_layers(
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
        let network = Mlp::random_perceptron(&widths, activation, key, device);
        Self::new_for_fitting(network, family, ModelDuringFit::Frozen)
    }

    /// Creates an encoder to be fitted, from a network of random weights: the means of `q` depend on `x`, and all
    /// other entries of `λ` are 0. (With random weights of `log σ`, `σ = e^(w·x)` is huge at some observations.)
    ///
    /// A decoder that is fitted with it learns at first from its draws, so these must say something about `x`. With
    /// a frozen model, random means are only something to unlearn, beyond what makes encoders of one shape differ.
    /// Measurements are in [`crate::train`].
    pub fn new_for_fitting(
        network: Mlp,
        family: &dyn VariationalFamily,
        model: ModelDuringFit,
    ) -> Self {
        let scale = match model {
            ModelDuringFit::Frozen => MEAN_SCALE_WITH_FROZEN_MODEL,
            ModelDuringFit::Fitted => 1.0,
        };
        Self::new(network.with_first_outputs_times(family.latent_dim(), scale))
    }

    /// Creates an encoder with this network, which has `Q` outputs and at most `X` inputs. A network with fewer
    /// inputs sees only the first columns of an observation, without the context in the last ones.
    pub const fn new(network: Mlp) -> Self {
        Self {
            network,
            standardization: None,
            packed: OnceCell::new(),
        }
    }

    /// The same encoder, whose network sees standardized observations.
    #[must_use]
    pub fn with_standardization(mut self, standardization: Standardization) -> Self {
        self.standardization = Some(standardization);
        self
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

    /// The network, for fitting as from [`Self::network_mut`], and how observations are standardized before it sees
    /// them.
    pub(crate) fn parts_for_fitting(&mut self) -> (&mut Mlp, Option<&Standardization>) {
        self.packed.take();
        (&mut self.network, self.standardization.as_ref())
    }

    /// How observations are standardized before the network sees them, if they are.
    pub const fn standardization(&self) -> Option<&Standardization> {
        self.standardization.as_ref()
    }

    /// Returns `λ` without a graph, of the kind of `x`: `[B, X] -> [B, Q]`. A datapoint has the same `λ` in any batch.
    ///
    /// Observations in `f64` are standardized in `f64`; the network then computes in its own kind, `f32`, and its
    /// outputs are exactly the `λ` that is returned.
    pub fn encode(&self, x: &Tensor) -> VariationalParams {
        let packed = self
            .packed
            .get_or_init(|| PackedEncoder::new(&self.network));
        let inputs = network_inputs(x, self.network.input_dim(), self.standardization.as_ref());
        let params = packed.forward(&self.network, &inputs.to_kind(self.network.kind()));
        VariationalParams(params.to_kind(x.kind()))
    }
}

/// Returns what an encoder's network of `n_inputs` inputs sees of the observations `x`: the first columns,
/// standardized if the encoder does that. `[B, X] -> [B, in]`.
pub(crate) fn network_inputs(
    x: &Tensor,
    n_inputs: i64,
    standardization: Option<&Standardization>,
) -> Tensor {
    let seen = if n_inputs == x.size()[1] {
        x.shallow_clone()
    } else {
        x.narrow(1, 0, n_inputs).contiguous()
    };
    match standardization {
        Some(standardization) => standardization.apply(&seen),
        None => seen,
    }
}
