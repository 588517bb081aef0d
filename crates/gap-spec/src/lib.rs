//! Experiment specs: the field's terms as enums, the settings of each method, and the files that hold them.
//! This crate has no libtorch and no tables of results.
//!
//! Every term ([`Family`], [`Estimator`], [`StepRule`], …) and every setting ([`TrainingSpec`], [`Phase`], …)
//! is defined here once, as plain data; the crates that compute use these types directly. The fixed properties
//! of each family, step rule and estimator are one row of a table (in `family.rs`, `step_rule.rs` and
//! `estimator.rs`).
//!
//! [`input_file`] reads files that a user names, of any kind; crates that read others than specs use it too.
//!
//! [`ExperimentSpec`] is a spec file as written. [`document`] reads the file, applies overrides and variants,
//! and locates mistakes in it; `check` refuses specs that cannot run and returns the others as a
//! [`CheckedSpec`].

pub mod activation;
pub mod adaptive;
pub mod annealing;
pub mod ascent;
pub mod calibration;
mod check;
pub mod data;
pub mod document;
pub mod draw_blocks;
pub mod encoder;
pub mod estimator;
pub mod experiment;
pub mod family;
pub mod input_file;
pub mod likelihood;
pub mod model;
mod named;
pub mod number;
pub mod objective;
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
pub use draw_blocks::{BlockDeviations, N_DRAW_BLOCKS};
pub use encoder::{EncoderInputs, EncoderKind, EncoderLabel, EncoderSpec};
pub use estimator::{BoundSpec, Estimator, EstimatorSpec, Method, Side};
pub use experiment::{EvaluationSpec, ExperimentSpec};
pub use family::{Family, FamilySpec};
pub use likelihood::LikelihoodKind;
pub use model::{
    DecoderSharing, MAX_CONDITION_NUMBER, MAX_CONDITION_NUMBER_IN_DOUBLE, ModelKind, ModelSpec,
};
pub use number::{Count, Positive};
pub use objective::{ObjectiveKind, ObjectiveSpec};
pub use pictures::PicturesSpec;
pub use precision::{FloatPrecision, Precision};
pub use problem::{Experiment, Problem};
pub use refinement::RefinementSpec;
pub use search::{FreeFormSpec, Protocol, Start, StopKind};
pub use step_rule::{AdamSettings, NoiseSource, Phase, StepRule, StoppingRule};
pub use training::{ModelTrainingSpec, TrainingSpec};
pub use trust::{Diagnostics, Trust};
