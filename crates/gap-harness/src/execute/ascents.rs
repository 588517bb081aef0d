//! Ascents that are compared: the optima that they are held against, and the way of each.

use super::settings::{self, ascent_schedule};
use super::{LibtorchExecutor, Measured, failed};
use crate::plan::StageId;
use crate::rows::StageRow;
use crate::run::{RunError, Workspace};
use gap_data::Batch;
use gap_infer::ascent::Precision;
use gap_infer::free_form::{Search, StartingPoint};
use gap_infer::trace::{AscentSnapshot, Trace, Tracer};
use gap_infer::{Encoder, FreeForm};
use gap_model::LatentVariableModel;
use gap_schema::rows_file;
use gap_schema::spec::{AscentSpec, FreeFormSpec, Start};
use gap_schema::trace::{OTHER_OPTIMUM_NATS, REACHED_NATS, TracePoint};
use serde::{Deserialize, Serialize};
use statrs::statistics::{Data, OrderStatistics, Statistics};
use std::fs;

/// The optima in their stage's folder.
const OPTIMA: &str = "optima.json";

/// What an optimum is certified to, nats: a twentieth of the default tolerance.
const OPTIMA_TOLERANCE_NATS: f64 = 5e-4;

/// Steps of all rounds together after which a search for an optimum is given up.
const OPTIMA_MAX_STEPS: u32 = 50_000;

/// The end of a long certified search from one start.
#[derive(Serialize, Deserialize)]
struct Optima {
    start: Start,
    /// `λ` of each datapoint, `2D` long.
    params: Vec<Vec<f64>>,
    /// Joint gradients per datapoint.
    joint_gradients: f64,
}

/// What ascends: the model, its own encoder if it has one, and all points of the split together.
struct Climb {
    model: Box<dyn LatentVariableModel>,
    companion: Option<Encoder>,
    batch: Batch,
}

impl LibtorchExecutor {
    /// The optima of each datapoint from each start, to the least distance that can be certified.
    pub(super) fn optima(
        &self,
        measured: Measured,
        starts: &[Start],
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let climb = self.climb(measured, starts, workspace)?;
        let mut optima = Vec::with_capacity(starts.len());
        for (i, &start) in starts.iter().enumerate() {
            let search = FreeForm {
                family: self.family(),
                starts: vec![climb.starting_point(start)],
                search: Search::UntilCertified,
                tolerance_nats: OPTIMA_TOLERANCE_NATS,
                max_steps: OPTIMA_MAX_STEPS,
                precision: Precision::Full,
            };
            let key = measured.key().role("optima");
            let fit = search
                .search(climb.model.as_ref(), &climb.batch, key.role(start.as_str()))
                .map_err(failed)?;
            let spent = fit.fitted.costs.iter().map(|cost| cost.joint_gradients);
            optima.push(Optima {
                start,
                params: fit.fitted.params.to_rows(),
                joint_gradients: spent.sum::<u64>() as f64 / climb.batch.len() as f64,
            });
            (workspace.progress)((i + 1) as f64 / starts.len() as f64);
        }
        let text = serde_json::to_string(&optima).map_err(failed)?;
        fs::write(workspace.output.join(OPTIMA), text).map_err(failed)
    }

    /// The way of one ascent from each start, as a table.
    pub(super) fn ascent(
        &self,
        measured: Measured,
        optima: &StageId,
        name: &str,
        spec: &AscentSpec,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let path = workspace.store.stage_folder(optima).join(OPTIMA);
        let text = fs::read_to_string(path).map_err(failed)?;
        let optima: Vec<Optima> = serde_json::from_str(&text).map_err(failed)?;
        let starts: Vec<Start> = optima.iter().map(|optima| optima.start).collect();
        let climb = self.climb(measured, &starts, workspace)?;
        let known: Vec<Vec<Vec<f64>>> = optima.iter().map(|o| o.params.clone()).collect();
        let key = measured.key();
        let tracer = Tracer {
            model: climb.model.as_ref(),
            batch: &climb.batch,
            optima: &known,
            n_samples: measured.estimators.elbo_samples.get() as usize,
            key: key.role("looks"),
        };
        let dim = climb.model.latent_dim() as usize;
        let FreeFormSpec {
            tolerance_nats,
            precision,
            ..
        } = &self.spec.free_form;
        let schedule = ascent_schedule(spec, dim, tolerance_nats.get_ref().get())
            .with_precision(settings::precision(*precision));
        let mut points = Vec::new();
        for (i, of_start) in optima.iter().enumerate() {
            let start = climb
                .starting_point(of_start.start)
                .params(self.family(), &climb.batch);
            let key = key.role("ascent").role(of_start.start.as_str());
            let traced = tracer
                .trace(&schedule, start.to_rows(), key)
                .map_err(failed)?;
            for look in &traced.snapshots {
                let standing = Standing::of(&traced, look);
                points.push(TracePoint {
                    // A stage may serve several: the plan says which.
                    variant: None,
                    dataset: self.spec.data.name.get_ref().clone(),
                    split: measured.chunk.split,
                    seed: u64::from(measured.seed),
                    model: measured.model.to_string(),
                    latent_dim: self.spec.model.latent_dim.get_ref().get(),
                    ascent: name.to_owned(),
                    phases: schedule.to_string(),
                    start: of_start.start,
                    n: climb.batch.len() as u64,
                    steps: look.steps.iter().copied().max().unwrap_or(0),
                    joint_gradients: look.joint_gradients as f64 / climb.batch.len() as f64,
                    seconds: look.seconds,
                    climbing: standing.climbing,
                    nats_to_go: standing.to_go.as_slice().mean(),
                    nats_to_go_std_error: standing.std_error(),
                    nats_to_go_median: Data::new(standing.to_go.clone()).median(),
                    nats_to_go_worst: standing.to_go.as_slice().max(),
                    above_tolerance: standing.above(REACHED_NATS),
                    other_optimum: standing.elsewhere.len() as u64,
                    other_optimum_nats: standing.elsewhere.iter().sum::<f64>()
                        / climb.batch.len() as f64,
                    non_finite: standing.non_finite,
                    reference_joint_gradients: of_start.joint_gradients,
                });
            }
            (workspace.progress)((i + 1) as f64 / optima.len() as f64);
        }
        rows_file::write(&workspace.output.join(TracePoint::FILE), &points).map_err(failed)
    }

    fn climb(
        &self,
        measured: Measured,
        starts: &[Start],
        workspace: &Workspace,
    ) -> Result<Climb, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let batch = points.batches(points.len(), self.device).next();
        Ok(Climb {
            companion: if starts.contains(&Start::Encoder) {
                Some(self.companion(measured.model, None, workspace.store)?)
            } else {
                None
            },
            model,
            batch: batch.ok_or_else(|| failed("there are no points to ascend on"))?,
        })
    }
}

impl Climb {
    fn starting_point(&self, start: Start) -> StartingPoint<'_> {
        match (start, &self.companion) {
            (Start::Encoder, Some(encoder)) => StartingPoint::Encoder(encoder),
            _ => StartingPoint::Prior,
        }
    }
}

/// Where the datapoints of a look stand.
struct Standing {
    /// Datapoints that go on.
    climbing: u64,
    /// Distances to the optimum that each finite datapoint's ascent leads to, nats.
    to_go: Vec<f64>,
    /// By how much worse optima are below the best known, nats.
    elsewhere: Vec<f64>,
    /// Datapoints that are in neither.
    non_finite: u64,
}

impl Standing {
    fn of(traced: &Trace, look: &AscentSnapshot) -> Self {
        let end = traced.snapshots.last().expect("an ascent is looked at");
        let n = look.loss.len();
        let goes_on = |&i: &usize| {
            let stood = look.steps[i] == end.steps[i] && (look != end || traced.stopped[i]);
            !look.failed[i] && !stood
        };
        let finite = |&i: &usize| {
            !look.failed[i] && look.loss[i].is_finite() && traced.leads_to[i].is_finite()
        };
        let finite: Vec<usize> = (0..n).filter(finite).collect();
        let to_go = finite.iter().map(|&i| look.loss[i] - traced.leads_to[i]);
        let below_best = finite.iter().map(|&i| traced.leads_to[i] - traced.best[i]);
        Self {
            climbing: (0..n).filter(goes_on).count() as u64,
            to_go: to_go.collect(),
            elsewhere: below_best
                .filter(|&nats| nats > OTHER_OPTIMUM_NATS)
                .collect(),
            non_finite: (n - finite.len()) as u64,
        }
    }

    fn std_error(&self) -> f64 {
        self.to_go.as_slice().std_dev() / (self.to_go.len() as f64).sqrt()
    }

    fn above(&self, nats: f64) -> u64 {
        self.to_go.iter().filter(|&&to_go| to_go > nats).count() as u64
    }
}
