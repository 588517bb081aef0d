//! Where the searches of a stage start.

use crate::context::Context;
use crate::encoders::FittedEncoder;
use crate::error::RunError;
use crate::stage_id::StageId;
use gap_infer::free_form::StartingPoint;
use gap_infer::{FreeFormInference, VariationalFamily};
use gap_spec::{FreeFormSpec, Start};

/// Where searches start: the model's own encoder is there if one of them starts from it.
pub struct Starts<'a> {
    pub starts: &'a [Start],
    companion: Option<FittedEncoder>,
}

impl<'a> Starts<'a> {
    /// The starts of a search under a model, with the model's encoder where it is one of them.
    pub fn load(starts: &'a [Start], model: &StageId, context: &Context) -> Result<Self, RunError> {
        let companion = if starts.contains(&Start::Encoder) {
            Some(context.load_encoder(model)?)
        } else {
            None
        };
        Ok(Self { starts, companion })
    }

    /// A start as a search has it.
    pub fn starting_point(&self, start: Start) -> StartingPoint<'_> {
        match (start, &self.companion) {
            (Start::Encoder, Some(fitted)) => StartingPoint::Encoder(&fitted.encoder),
            _ => StartingPoint::Prior,
        }
    }

    /// The search that `spec` asks for, from these starts.
    pub fn search<'b>(
        &'b self,
        spec: &FreeFormSpec,
        family: &'b dyn VariationalFamily,
    ) -> FreeFormInference<'b> {
        let starts = self.starts.iter();
        let starts = starts.map(|&start| self.starting_point(start));
        FreeFormInference::new(family, starts.collect(), spec)
    }
}
