//! Where the searches of a stage start.

use crate::context::Context;
use crate::encoders::FittedEncoder;
use crate::error::RunError;
use crate::stage_id::StageId;
use gap_infer::free_form::StartingPoint;
use gap_infer::{FreeFormInference, VariationalFamily};
use gap_spec::{FreeFormSpec, Start};
use gap_torch::SeedKey;

/// The name of all random starts in records.
const RANDOM_START_NAME: &str = "random";

/// The name of the start at this position of a search from the `named` starts, and then from random ones.
pub fn name_of_start(named: &[Start], position: usize) -> String {
    let start = named.get(position);
    start.map_or_else(|| RANDOM_START_NAME.to_owned(), Start::to_string)
}

/// The starts of a stage's searches, with the model's own encoder if it is one of them.
pub struct Starts<'a> {
    pub starts: &'a [Start],
    companion: Option<FittedEncoder>,
}

impl<'a> Starts<'a> {
    /// Loads the encoder that `model` was fitted with, if it is one of `starts`.
    pub fn load(starts: &'a [Start], model: &StageId, context: &Context) -> Result<Self, RunError> {
        let companion = if starts.contains(&Start::Encoder) {
            Some(context.load_encoder(model)?)
        } else {
            None
        };
        Ok(Self { starts, companion })
    }

    /// The starting point that [`FreeFormInference`] takes for `start`.
    pub fn starting_point(&self, start: Start) -> StartingPoint<'_> {
        match (start, &self.companion) {
            (Start::Encoder, Some(fitted)) => StartingPoint::Encoder(&fitted.encoder),
            _ => StartingPoint::Prior,
        }
    }

    /// The name of the start at this position of the search that [`Self::search`] returns.
    pub fn name_of_start(&self, position: usize) -> String {
        name_of_start(self.starts, position)
    }

    /// The search that `spec` asks for, from these starts, and from random ones drawn with `key`.
    pub fn search<'b>(
        &'b self,
        spec: &FreeFormSpec,
        family: &'b dyn VariationalFamily,
        key: SeedKey,
    ) -> FreeFormInference<'b> {
        let starts = self.starts.iter();
        let named = starts.map(|&start| self.starting_point(start));
        search_from(named.collect(), spec, family, key)
    }
}

/// The search that `spec` asks for, from the `named` starts, and from random ones drawn with `key`.
pub fn search_from<'a>(
    named: Vec<StartingPoint<'a>>,
    spec: &FreeFormSpec,
    family: &'a dyn VariationalFamily,
    key: SeedKey,
) -> FreeFormInference<'a> {
    let key = key.for_role("random-start");
    let random = (0..spec.random_starts).map(|index| StartingPoint::Random { key, index });
    let starts = named.into_iter().chain(random);
    FreeFormInference::new(family, starts.collect(), spec)
}
