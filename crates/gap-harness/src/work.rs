//! The kinds of work that a plan is made of: one struct and one file for each.
//!
//! The fields of a struct are the settings that its numbers depend on; they are hashed into the name of its
//! stage. A piece of work runs with these fields and a `Context` alone, and never sees the spec. To add a kind
//! of work, add a file here with an `impl` of [`Work`], a line to the list below, and its stages to the
//! planner.

mod adaptive;
mod amortized;
mod annealed;
mod ascent;
mod calibration;
mod encoder;
mod free_form;
mod model;
mod optima;
mod pictures;
mod simulated;

pub use adaptive::AdaptiveWork;
pub use amortized::AmortizedWork;
pub use annealed::AnnealedWork;
pub use ascent::AscentWork;
pub use calibration::{CalibratedEstimator, CalibrationWork, REPLICATES_PER_BATCH};
pub use encoder::EncoderWork;
pub use free_form::FreeFormWork;
pub use model::{ModelWork, TrainingDataKey};
pub use optima::OptimaWork;
pub use pictures::PosteriorGridWork;
pub use simulated::SimulatedWork;

use crate::context::Context;
use crate::error::RunError;
use crate::stage_id::StageId;
use gap_schema::Record;
use serde::Serialize;

/// A piece of work, which is done completely or not at all.
pub trait Work {
    /// The seed of the repetition that it belongs to.
    fn seed(&self) -> u32;

    /// The stages whose results it reads.
    fn input_stages(&self) -> Vec<&StageId>;

    /// What the work does, in a few words; the same for all seeds and for all chunks of points.
    fn task_description(&self) -> String;

    /// [`Self::task_description`], with the points of this chunk if the work is divided into chunks.
    fn task_description_with_points(&self) -> String {
        self.task_description()
    }

    /// The name of the file of rows that the work writes beside its records, if it writes one.
    fn row_file_name(&self) -> Option<&'static str> {
        None
    }

    /// Whether its numbers depend on the precision of the experiment: not those of fits, which have 32 bits.
    fn depends_on_precision(&self) -> bool {
        true
    }

    /// Does the work and returns its records. Files for later stages, and rows of other kinds, are written to
    /// the context's output folder.
    ///
    /// # Errors
    ///
    /// [`RunError`] if it cannot be done. Values that are not finite are no error, but go into the records.
    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError>;
}

/// Declares `Stage`, the enum of all kinds of work. It is serialised for the digest, and dispatches to `Work`.
macro_rules! works {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $work:ident),+ $(,)?) => {
        /// A stage of a plan: a piece of work of any kind.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "stage")]
        pub enum Stage {
            $($(#[$doc])* #[serde(rename = $name)] $kind(Box<$work>)),+
        }

        impl Stage {
            /// The kind of work, which is the first part of the stage's name.
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name),+ }
            }

            fn as_work(&self) -> &dyn Work {
                match self { $(Self::$kind(work) => work.as_ref()),+ }
            }
        }

        $(impl From<$work> for Stage {
            fn from(work: $work) -> Self {
                Self::$kind(Box::new(work))
            }
        })+
    };
}

works! {
    /// Makes a model, which is frozen from then on. If it is fitted to data, an encoder is fitted jointly with
    /// it.
    Model = "model": ModelWork,
    /// Fits an encoder to a frozen model.
    Encoder = "encoder": EncoderWork,
    /// Finds, saves and measures `q*`.
    FreeForm = "free-form": FreeFormWork,
    /// Measures an encoder's `q`, and its refinements.
    Amortized = "amortized": AmortizedWork,
    /// Estimates `log p(x)` from as many draws of `q*` as the target standard error needs.
    Adaptive = "adaptive": AdaptiveWork,
    /// Estimates `log p(x)` by annealing, with lower bounds.
    Annealed = "annealed": AnnealedWork,
    /// Estimates `log p(x)` by annealing, with lower and upper bounds, on points that are drawn from the model.
    Simulated = "simulated": SimulatedWork,
    /// Compares the standard errors that one estimator reports with the spread of its estimates, on one
    /// datapoint.
    Calibration = "calibration": CalibrationWork,
    /// Pictures the posteriors of some test points, and the `q`s that approximate them.
    Pictures = "pictures": PosteriorGridWork,
    /// Finds the optima that ascents are compared with, from each start.
    Optima = "optima": OptimaWork,
    /// Runs one ascent from each start, and records its distance from the optimum along the way.
    Ascent = "ascent": AscentWork,
}

impl Stage {
    /// The stages whose results it reads.
    pub fn input_stages(&self) -> Vec<&StageId> {
        self.as_work().input_stages()
    }

    /// The seed of the repetition that it belongs to.
    pub fn seed(&self) -> u32 {
        self.as_work().seed()
    }

    /// See [`Work::depends_on_precision`].
    pub fn depends_on_precision(&self) -> bool {
        self.as_work().depends_on_precision()
    }

    /// See [`Work::task_description`].
    pub fn task_description(&self) -> String {
        self.as_work().task_description()
    }

    /// See [`Work::row_file_name`].
    pub fn row_file_name(&self) -> Option<&'static str> {
        self.as_work().row_file_name()
    }

    /// The seed, the work and its points, as text for people.
    pub fn title(&self) -> String {
        let work = self.as_work();
        format!(
            "seed {}: {}",
            work.seed(),
            work.task_description_with_points()
        )
    }

    /// See [`Work::run`].
    ///
    /// # Errors
    ///
    /// [`RunError`] if it cannot be done.
    pub fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        self.as_work().run(context)
    }
}
