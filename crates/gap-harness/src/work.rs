//! The kinds of work that a plan is made of: one struct and one file for each.
//!
//! What a struct holds is what its numbers depend on, and all that is hashed into the name of its stage; it is
//! run from that and from the `Context` alone, and never sees the spec. A new kind of work is a file here
//! with an `impl` of [`Work`], a line in the list below, and a place in the planner.

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
pub use calibration::{CalibratedEstimator, CalibrationWork};
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

/// A piece of work that is done whole or not at all.
pub trait Work {
    /// The seed of the repetition that it belongs to.
    fn seed(&self) -> u32;

    /// The stages whose results it reads.
    fn input_stages(&self) -> Vec<&StageId>;

    /// What it does, in a few words: the same for every seed, and for every part of one work.
    fn task_description(&self) -> String;

    /// The same, with the points of this part.
    fn task_description_with_points(&self) -> String {
        self.task_description()
    }

    /// The file of rows that it leaves beside its records, if it leaves some.
    fn row_file_name(&self) -> Option<&'static str> {
        None
    }

    /// Does it: gives its records, and leaves files for later stages, and rows of other kinds, in the
    /// context's output folder.
    ///
    /// # Errors
    ///
    /// [`RunError`] if it cannot be done; bad numerics are records.
    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError>;
}

/// Declares the one enum of all kinds of work: serialised for the digest, dispatched.
macro_rules! works {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $work:ident),+ $(,)?) => {
        /// A piece of work of some kind, as a plan holds it.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "stage")]
        pub enum Stage {
            $($(#[$doc])* #[serde(rename = $name)] $kind(Box<$work>)),+
        }

        impl Stage {
            /// What kind of work it is: the first part of its name.
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
    /// Makes and freezes a model, and the encoder that it was fitted with, if it was fitted.
    Model = "model": ModelWork,
    /// Fits an encoder to a frozen model.
    Encoder = "encoder": EncoderWork,
    /// Finds, keeps and measures `q*`.
    FreeForm = "free-form": FreeFormWork,
    /// Measures an encoder's `q`, and its refinements.
    Amortized = "amortized": AmortizedWork,
    /// Estimates `log p(x)` from as many draws of `q*` as its error asks for.
    Adaptive = "adaptive": AdaptiveWork,
    /// Estimates `log p(x)` by annealing, from below.
    Annealed = "annealed": AnnealedWork,
    /// Estimates `log p(x)` from both sides, on points that are drawn from the model.
    Simulated = "simulated": SimulatedWork,
    /// Holds the errors that one estimator reports to the spread of its estimates, on one datapoint.
    Calibration = "calibration": CalibrationWork,
    /// Shows the posteriors of some test points, and what stands for them.
    Pictures = "pictures": PosteriorGridWork,
    /// Finds the optima that ascents are held against, from each start.
    Optima = "optima": OptimaWork,
    /// Follows one ascent from each start, with an eye on how far it has come.
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

    /// See [`Work::task_description`].
    pub fn task_description(&self) -> String {
        self.as_work().task_description()
    }

    /// See [`Work::row_file_name`].
    pub fn row_file_name(&self) -> Option<&'static str> {
        self.as_work().row_file_name()
    }

    /// What it does, for people.
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
