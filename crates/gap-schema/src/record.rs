//! One row of a run's results: one datapoint, one method, one estimator.

use serde::{Deserialize, Serialize};

/// The version of the records' columns and of `summary.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// Declares an enum whose variants have one stable name each, in specs, tables and JSON alike.
macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// The name in specs, tables and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result { f.pad(self.as_str()) }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("`{text}` is not a {}", stringify!($name))),
                }
            }
        }
    };
}
pub(crate) use named_enum;

named_enum! {
    /// Which part of a data set a datapoint was measured on.
    Split {
        /// Points that the decoder and the encoders were fitted to.
        Train = "train",
        /// Points that nothing was fitted to.
        Test = "test",
        /// Points drawn from the model itself, where bounds from both sides can be had.
        Simulated = "simulated",
    }
}

named_enum! {
    /// Where the variational parameters of a `q` came from.
    Method {
        /// An ascent of its own for each datapoint: the reference `q*`.
        FreeForm = "free-form",
        /// One forward pass of an encoder.
        Amortized = "amortized",
        /// A fixed number of ascent steps from the encoder's output.
        Refined = "refined",
        /// No `q`: a property of the model and the datapoint alone.
        Model = "model",
    }
}

named_enum! {
    /// What was estimated.
    Estimator {
        /// The evidence lower bound `L[q]`.
        Elbo = "elbo",
        /// The importance-weighted bound `IW_K[q]` (Burda et al. 2016).
        ImportanceWeighted = "importance-weighted",
        /// The same draws with the largest weights smoothed (Vehtari et al. 2024): no bound.
        ParetoSmoothed = "pareto-smoothed",
        /// The importance-weighted bound with as many draws as its error asks for.
        AdaptiveImportanceWeighted = "importance-weighted-adaptive",
        /// Annealed importance sampling (Neal 2001; Wu et al. 2017).
        Annealed = "annealed",
        /// The same backwards from a draw of the posterior (Grosse et al. 2015).
        AnnealedReverse = "annealed-reverse",
        /// The exact value of the ELBO of `q`, where the model gives one.
        ExactElbo = "exact-elbo",
        /// The exact `log p(x)`, where the model gives one.
        ClosedForm = "closed-form",
        /// The exact maximum of the ELBO within the family, where the model gives one.
        OptimalElbo = "optimal-elbo",
    }
}

named_enum! {
    /// On which side of `log p(x)` the expectation of an estimate lies.
    Side {
        /// Not above it.
        Lower = "lower",
        /// Not below it.
        Upper = "upper",
        /// On it.
        Exact = "exact",
        /// On neither side for certain.
        Neither = "neither",
    }
}

named_enum! {
    /// Why the search for a `q` ended.
    StopKind {
        /// There was no search: one forward pass, or a fixed number of steps.
        Direct = "direct",
        /// The bound on the distance to the optimum fell below the tolerance.
        Converged = "converged",
        /// The search ended before that: its steps were spent, or its own rule stopped it.
        BudgetSpent = "budget-spent",
        /// A value stopped being finite; the parameters are the last finite ones.
        NonFinite = "non-finite",
    }
}

named_enum! {
    /// How an encoder is built.
    EncoderKind {
        /// `λ = W x + b`.
        Linear = "linear",
        /// A multi-layer perceptron.
        Mlp = "mlp",
        /// Two strided convolutions and a dense layer.
        Conv = "conv",
    }
}

named_enum! {
    /// The variational family `Q`.
    Family {
        /// `N(μ, diag σ²)`.
        DiagonalGaussian = "diagonal-gaussian",
        /// `N(μ, L Lᵀ)`.
        FullGaussian = "full-gaussian",
        /// Affine coupling layers before the map of a full Gaussian (Dinh et al. 2017).
        AffineFlow = "affine-flow",
        /// Coupling layers on `(z, v)` with a learned reverse model of `v` (Cremer et al. 2018).
        AuxiliaryFlow = "auxiliary-flow",
        /// Planar layers (Rezende and Mohamed 2015): sampled only, no density at arbitrary points.
        PlanarFlow = "planar-flow",
        /// A few Gaussians of equal weight.
        GaussianMixture = "gaussian-mixture",
    }
}

impl Family {
    /// Whether `log q(z)` can be computed at any `z`, not only at draws of `q`.
    pub const fn has_density(self) -> bool {
        match self {
            Self::DiagonalGaussian
            | Self::FullGaussian
            | Self::AffineFlow
            | Self::GaussianMixture => true,
            Self::AuxiliaryFlow | Self::PlanarFlow => false,
        }
    }

    /// Whether every `q` is a Gaussian.
    pub const fn is_gaussian(self) -> bool {
        matches!(self, Self::DiagonalGaussian | Self::FullGaussian)
    }

    /// Whether every `q` of `smaller`, another family, is one of this one too: its best ELBO is then not
    /// above this one's.
    pub const fn contains(self, smaller: Self) -> bool {
        match (smaller, self) {
            (Self::DiagonalGaussian, larger) => !matches!(larger, Self::DiagonalGaussian),
            (Self::FullGaussian, larger) => !larger.is_gaussian(),
            _ => false,
        }
    }
}

/// An encoder as results name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EncoderLabel {
    /// How it is built.
    pub kind: EncoderKind,
    /// Widths of its hidden layers, or channels of its convolutions; empty for a linear one.
    pub hidden: Vec<u32>,
    /// How many weights it has, biases included.
    pub weights: u64,
    /// How many observations it sees, its own and its neighbours', where the data has an order; 1
    /// elsewhere.
    pub context: u32,
}

impl EncoderLabel {
    /// A short name: `linear`, `mlp-64`, `mlp-256-256`.
    pub fn short(&self) -> String {
        encoder_name(self.kind, &self.hidden)
    }
}

/// A short name for an encoder: `linear`, `mlp-64`, `mlp-256-256`.
pub fn encoder_name(kind: EncoderKind, hidden: &[u32]) -> String {
    std::iter::once(kind.to_string())
        .chain(hidden.iter().map(u32::to_string))
        .collect::<Vec<_>>()
        .join("-")
}

/// What an estimator says of its estimate, and what that cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// `(Σw)² / Σw²` of its weights (Kong 1992).
    pub effective_samples: Option<f64>,
    /// The shape `k̂` of the weights' tail (Vehtari et al. 2024).
    pub pareto_k: Option<f64>,
    /// The mean acceptance of its transitions.
    pub acceptance: Option<f64>,
    /// The step size of its transitions, fixed before the chain began.
    pub step_size: Option<f64>,
    /// Distributions from the start of its path to the end.
    pub n_temperatures: Option<u32>,
    /// Wall time of the estimate, this datapoint's share, seconds; where several estimators take the
    /// same draws, that of all of them.
    pub seconds: f64,
    /// Evaluations of the joint or of its gradient.
    pub joint_evaluations: u64,
}

/// One row: one datapoint, one method, one estimator.
///
/// Bad numerics are rows like any other: `value_nats` may be NaN, and `stop` and `trust` say why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The variant of the experiment, where it has several.
    pub variant: Option<String>,
    /// The data set.
    pub dataset: String,
    /// The part of it that the datapoint belongs to.
    pub split: Split,
    /// The datapoint's number in its data set, stable across splits and subsets.
    pub datapoint: u64,
    /// The seed of this repetition.
    pub seed: u64,
    /// The frozen model: rows with the same model, split and datapoint can be paired.
    pub model: String,
    /// The variational family.
    pub family: Family,
    /// Parameters of one `q` of it, `Q`; 0 as read from a table that is older than the column.
    pub family_params: u64,
    /// The encoder; `None` where no encoder took part.
    pub encoder: Option<EncoderLabel>,
    /// Where `q` came from.
    pub method: Method,
    /// Ascent steps from the encoder's output, for [`Method::Refined`].
    pub refinement_steps: Option<u32>,
    /// What was estimated.
    pub estimator: Estimator,
    /// Draws per datapoint (`K` for the importance-weighted bound); 0 for exact values.
    pub n_samples: u64,
    /// The estimate, in nats.
    pub value_nats: f64,
    /// Its Monte Carlo standard error, in nats; 0 for exact values.
    pub std_error_nats: f64,
    /// Which side of `log p(x)` its expectation is on.
    pub side: Side,
    /// `ok`, or what makes the standard error unreliable.
    pub trust: String,
    /// What else is known of the estimate. Tables that are older have nothing here.
    pub diagnostics: Diagnostics,
    /// Why the search for `q` ended.
    pub stop: StopKind,
    /// Steps that the search took.
    pub stop_steps: u32,
    /// Estimated distance of `L[q]` to the family's optimum, in nats, where it was estimated.
    pub remaining_nats: Option<f64>,
    /// Its standard error, in nats.
    pub remaining_std_error_nats: Option<f64>,
    /// What that distance is below for at least 95% of points, in nats: the estimate with a margin
    /// for its error. [`StopKind`] compares it with the tolerance.
    pub remaining_bound_nats: Option<f64>,
    /// How far below the best start's end the worst one's was, in nats, on common draws; for a search
    /// with several starts.
    pub starts_apart_nats: Option<f64>,
    /// Where the search that won had started (`prior` or `encoder`), for [`Method::FreeForm`].
    pub start: Option<String>,
    /// Wall time spent on this datapoint's `q`, its share of a batch, in seconds.
    pub seconds: f64,
    /// Joint gradients `∇_z log p(x, z)` spent on this datapoint's `q`.
    pub joint_gradients: u64,
    /// Wall time of fitting the encoder, in seconds, shared by all its datapoints.
    pub fit_seconds: f64,
    /// Joint gradients spent on fitting the encoder, shared by all its datapoints.
    pub fit_joint_gradients: u64,
}
