//! `[[encoders]]`: how encoders are built, and how results name them.

use crate::activation::Activation;
use crate::named_enum;
use crate::number::Count;
use crate::objective::ObjectiveSpec;
use serde::{Deserialize, Serialize};

named_enum! {
    /// How an encoder is built.
    EncoderKind {
        /// `λ = W x + b`.
        Linear = "linear",
        /// A multi-layer perceptron.
        Mlp = "mlp",
        /// Two strided convolutions and a dense layer.
        Conv = "conv",
        /// One that was not fitted here: only a program that uses the library has it.
        Own = "own",
    }
}

named_enum! {
    /// How an encoder sees observations.
    EncoderInputs {
        /// Less the means of the training points, and divided by their standard deviations, feature by feature.
        Standardized = "standardized",
        /// As they are.
        Raw = "raw",
    }
}

/// `[[encoders]]`: one encoder that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// How it is built.
    pub kind: EncoderKind,
    /// Widths of its hidden layers, for an MLP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<Count>>,
    /// Output channels of the first and the second convolution of a `conv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<[Count; 2]>,
    /// The number of observations that the encoder sees: the datapoint's own, and then its neighbours'.
    /// Default: as many as the model's posterior depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Count>,
    /// Its nonlinearity. Default: `tanh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// How it sees observations. Default: standardized if they are real numbers of any size, and raw if they are
    /// levels from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<EncoderInputs>,
    /// What it is fitted by. Default: the ELBO.
    #[serde(default, skip_serializing_if = "ObjectiveSpec::is_elbo")]
    pub objective: ObjectiveSpec,
}

impl EncoderSpec {
    /// An MLP with these hidden widths, or a linear encoder if there are none.
    pub fn perceptron(hidden: Vec<Count>) -> Self {
        Self {
            kind: if hidden.is_empty() {
                EncoderKind::Linear
            } else {
                EncoderKind::Mlp
            },
            hidden: Some(hidden),
            channels: None,
            context: None,
            activation: None,
            inputs: None,
            objective: ObjectiveSpec::ELBO,
        }
    }

    /// Widths of the hidden layers, or channels of the convolutions.
    pub fn widths(&self) -> Vec<u32> {
        let counts = |counts: &[Count]| counts.iter().map(|count| count.get()).collect();
        match (&self.hidden, &self.channels) {
            (Some(hidden), _) => counts(hidden),
            (None, Some(channels)) => counts(channels),
            (None, None) => Vec::new(),
        }
    }

    /// The nonlinearity between layers.
    pub fn activation(&self) -> Activation {
        self.activation.unwrap_or(Activation::Tanh)
    }

    /// The name of its network: `linear`, `mlp-64`, `mlp-256-256`, `conv-16-32`.
    pub fn network_name(&self) -> String {
        encoder_name(self.kind, &self.widths(), None)
    }

    /// The name of its network, and of its objective if that is not the ELBO: `mlp-64-importance-weighted-5`.
    pub fn name(&self) -> String {
        let objective = self.objective.label();
        encoder_name(self.kind, &self.widths(), objective.as_deref())
    }
}

/// The properties by which results identify an encoder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EncoderLabel {
    /// How it is built.
    pub kind: EncoderKind,
    /// Widths of its hidden layers, or channels of its convolutions; empty for a linear encoder.
    pub hidden: Vec<u32>,
    /// The number of its weights and biases.
    pub weights: u64,
    /// The number of observations that it sees: the datapoint's own and its neighbours'; 1 if the data have no
    /// order.
    pub context: u32,
    /// What it was fitted by, as in [`ObjectiveSpec::label`]; `None` for the ELBO.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub objective: Option<String>,
}

impl EncoderLabel {
    /// A short name, as [`EncoderSpec::name`] gives it.
    pub fn short_name(&self) -> String {
        encoder_name(self.kind, &self.hidden, self.objective.as_deref())
    }
}

fn encoder_name(kind: EncoderKind, hidden: &[u32], objective: Option<&str>) -> String {
    std::iter::once(kind.to_string())
        .chain(hidden.iter().map(u32::to_string))
        .chain(objective.map(str::to_owned))
        .collect::<Vec<_>>()
        .join("-")
}
