//! What may be asked: the words of the field, the settings of each method, and the files that say them.
//! No libtorch, no tables.
//!
//! Every word ([`Family`], [`Estimator`], [`StepRule`], …) and every setting ([`TrainingSpec`], [`Phase`], …)
//! is said here once, as plain data; the crates that compute take these types as they are. What is known of a
//! family, a step rule or an estimator before anything is computed stands in one row of one table
//! (`family.rs`, `step_rule.rs`, `estimator.rs`).
//!
//! [`ExperimentSpec`] is a file as written, [`document`] reads it, with overrides and variants, and says where
//! in the file a mistake is; `check` refuses what cannot run and gives a [`CheckedSpec`].

pub mod activation;
pub mod adaptive;
pub mod annealing;
pub mod ascent;
pub mod calibration;
mod check;
pub mod data;
pub mod document;
pub mod encoder;
pub mod estimator;
pub mod experiment;
pub mod family;
pub mod likelihood;
pub mod model;
mod named;
pub mod number;
pub mod pictures;
pub mod precision;
pub mod problem;
pub mod refinement;
pub mod search;
pub mod step_rule;
pub mod training;
pub mod trust;

pub use activation::Activation;
pub use adaptive::AdaptiveSpec;
pub use annealing::{AnnealedSpec, AnnealedStart, AnnealingSchedule, ScheduleShape};
pub use ascent::{Ascent, AscentSpec};
pub use calibration::CalibrationSpec;
pub use check::{CheckedSpec, SpecConflict};
pub use data::{DataSpec, SYNTHETIC, Split};
pub use encoder::{EncoderKind, EncoderLabel, EncoderSpec};
pub use estimator::{BoundSpec, Estimator, EstimatorSpec, Method, Side};
pub use experiment::{EvaluationSpec, ExperimentSpec};
pub use family::{Family, FamilySpec};
pub use likelihood::LikelihoodKind;
pub use model::{DecoderSharing, ModelKind, ModelSpec};
pub use number::{Count, Positive};
pub use pictures::PicturesSpec;
pub use precision::Precision;
pub use problem::{Experiment, Problem};
pub use refinement::RefinementSpec;
pub use search::{FreeFormSpec, Protocol, Start, StopKind};
pub use step_rule::{AdamSettings, NoiseSource, Phase, StepRule, StoppingRule};
pub use training::{ModelTrainingSpec, TrainingSpec};
pub use trust::{Diagnostics, Trust};
