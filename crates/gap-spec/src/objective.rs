//! `objective` of `[[encoders]]`: what an encoder is fitted by.
//!
//! A further objective is a variant here, with what it needs of a family, and a file beside those of
//! `gap-infer/src/train/objective`.

use crate::named_enum;
use crate::number::Count;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

named_enum! {
    /// What the fit of an encoder to a frozen decoder raises.
    ObjectiveKind {
        /// The evidence lower bound, `L[q]`.
        Elbo = "elbo",
        /// The importance-weighted bound of several draws (Burda et al. 2016).
        ImportanceWeighted = "importance-weighted",
        /// `E[log q]` under the posterior, by importance weights: the wake phase of reweighted wake-sleep
        /// (Bornschein and Bengio 2015), which lowers the forward divergence `KL(p(z | x) ‖ q)`.
        ReweightedWake = "reweighted-wake",
    }
}

impl ObjectiveKind {
    /// Whether each estimate of it weighs several draws against each other, whose number is `n_importance`.
    pub const fn weighs_draws(self) -> bool {
        match self {
            Self::Elbo => false,
            Self::ImportanceWeighted | Self::ReweightedWake => true,
        }
    }

    /// Whether it needs a family in which `log q(z)` can be computed at any `z`.
    pub const fn needs_density(self) -> bool {
        match self {
            Self::Elbo => false,
            Self::ImportanceWeighted | Self::ReweightedWake => true,
        }
    }
}

/// The default of [`ObjectiveSpec::n_importance`]: the smaller of the two numbers in the experiments of Burda
/// et al. 2016.
const DEFAULT_N_IMPORTANCE: Count = Count::new(5);

/// `objective`: its name, or a table of its name and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectiveSpec {
    /// What is raised.
    pub kind: ObjectiveKind,
    /// The number of draws that are weighed against each other, of which `encoder_training.n_samples` sets are
    /// made for each datapoint and step. Default: 5.
    pub n_importance: Option<Count>,
}

impl ObjectiveSpec {
    /// The ELBO, by which encoders are fitted unless their spec says otherwise.
    pub const ELBO: Self = Self {
        kind: ObjectiveKind::Elbo,
        n_importance: None,
    };

    /// Whether this is the ELBO.
    pub fn is_elbo(&self) -> bool {
        self.kind == ObjectiveKind::Elbo
    }

    /// The number of draws that one estimate weighs against each other; 1 for the ELBO.
    pub fn draws_per_estimate(&self) -> u32 {
        if self.kind.weighs_draws() {
            self.n_importance.unwrap_or(DEFAULT_N_IMPORTANCE).get()
        } else {
            1
        }
    }

    /// The label by which results tell encoders with different objectives apart, as in `importance-weighted-5`;
    /// `None` for the ELBO.
    pub fn label(&self) -> Option<String> {
        match self.kind {
            ObjectiveKind::Elbo => None,
            kind if kind.weighs_draws() => Some(format!("{kind}-{}", self.draws_per_estimate())),
            kind => Some(kind.to_string()),
        }
    }

    /// Fills in the default number of draws.
    pub(crate) fn fill_in_defaults(&mut self) {
        if self.kind.weighs_draws() {
            self.n_importance.get_or_insert(DEFAULT_N_IMPORTANCE);
        }
    }
}

impl Default for ObjectiveSpec {
    fn default() -> Self {
        Self::ELBO
    }
}

/// An objective with settings, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectiveTable {
    kind: ObjectiveKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_importance: Option<Count>,
}

impl Serialize for ObjectiveSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, n_importance } = *self;
        match n_importance {
            None => kind.serialize(serializer),
            Some(_) => ObjectiveTable { kind, n_importance }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ObjectiveSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectiveVisitor)
    }
}

struct ObjectiveVisitor;

impl<'de> Visitor<'de> for ObjectiveVisitor {
    type Value = ObjectiveSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in ObjectiveKind::ALL {
            write!(f, "`\"{kind}\"`, ")?;
        }
        f.write_str("or a table with `kind` and `n_importance`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<ObjectiveSpec, E> {
        let kind = name.parse();
        let kind = kind.map_err(|_| E::invalid_value(Unexpected::Str(name), &self))?;
        Ok(ObjectiveSpec {
            kind,
            n_importance: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ObjectiveSpec, A::Error> {
        let table = ObjectiveTable::deserialize(MapAccessDeserializer::new(table))?;
        Ok(ObjectiveSpec {
            kind: table.kind,
            n_importance: table.n_importance,
        })
    }
}
