//! Finds the optima that ascents are compared with.

use super::Work;
use crate::chunk::Chunk;
use crate::context::{Context, seed_key};
use crate::error::{RunError, stage_error};
use crate::json_file::{read_json, write_json};
use crate::stage_id::StageId;
use crate::starts::Starts;
use gap_data::Batch;
use gap_infer::free_form::SearchMode;
use gap_infer::{DiagonalGaussian, FreeFormInference};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_spec::{Precision, Start};
use serde::{Deserialize, Serialize};

/// The file with the optima, in the folder of their stage.
const OPTIMA_FILE: &str = "optima.json";

/// The tolerance of the searches, nats: the largest allowed bound on an optimum's remaining distance. It is a
/// twentieth of the default tolerance.
const OPTIMUM_TOLERANCE_NATS: f64 = 5e-4;

/// The number of evaluations of a datapoint, in all rounds together, after which no new round begins.
const SEARCH_MAX_STEPS: u32 = 50_000;

/// Finds the optima that ascents are compared with, from each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptimaWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The points, all in one batch, since an ascent is measured by means over all points.
    pub points: Chunk,
    /// The starts of the searches, which are those of the ascents.
    pub starts: Vec<Start>,
}

/// The optima at which a long search from one start ended.
#[derive(Serialize, Deserialize)]
pub(super) struct OptimaOfStart {
    pub start: Start,
    /// `λ` of each datapoint, of length `2D`.
    pub params: Vec<Vec<f64>>,
    /// The joint gradients that the search took, per datapoint.
    pub joint_gradients: f64,
}

impl Work for OptimaWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model]
    }

    fn task_description(&self) -> String {
        format!("optima of {} {} points", self.points.n, self.points.split)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let batch = chunk_as_one_batch(self.seed, model.as_ref(), self.points, context)?;
        let starts = Starts::load(&self.starts, &self.model, context)?;
        let family = DiagonalGaussian::new(model.latent_dim());
        let key = seed_key(self.seed).for_role("optima");
        let mut optima = Vec::with_capacity(self.starts.len());
        for (i, &start) in self.starts.iter().enumerate() {
            let search = FreeFormInference {
                family: &family,
                starts: vec![starts.starting_point(start)],
                search: SearchMode::UntilCertified,
                tolerance_nats: OPTIMUM_TOLERANCE_NATS,
                max_steps: SEARCH_MAX_STEPS,
                precision: Precision::Full,
            };
            let fit = search
                .search(model.as_ref(), &batch, key.for_role(start.as_str()))
                .map_err(stage_error)?;
            let spent = fit.fitted.costs.iter().map(|cost| cost.joint_gradients);
            optima.push(OptimaOfStart {
                start,
                params: fit.fitted.params.to_rows(),
                joint_gradients: spent.sum::<u64>() as f64 / batch.len() as f64,
            });
            (context.progress)((i + 1) as f64 / self.starts.len() as f64);
        }
        write_json(&optima, context.output, OPTIMA_FILE)?;
        Ok(Vec::new())
    }
}

/// Loads the optima of a finished stage.
pub(super) fn load_optima(
    stage: &StageId,
    context: &Context,
) -> Result<Vec<OptimaOfStart>, RunError> {
    read_json(&context.stage_input(stage).read(OPTIMA_FILE)?)
}

/// All points of a chunk in one batch.
pub(super) fn chunk_as_one_batch(
    seed: u32,
    model: &dyn LatentVariableModel,
    chunk: Chunk,
    context: &Context,
) -> Result<Batch, RunError> {
    let points = context.points(seed, model, chunk)?;
    let batch = points.batches(points.len(), context.device).next();
    batch.ok_or_else(|| stage_error("there are no points to ascend on"))
}
