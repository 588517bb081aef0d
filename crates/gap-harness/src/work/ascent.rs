//! Runs one ascent, and records its distance from the optimum along the way.

use super::Work;
use super::optima::{self, chunk_as_one_batch};
use crate::chunk::Chunk;
use crate::context::{Context, seed_key};
use crate::error::{RunError, stage_error};
use crate::stage_id::StageId;
use crate::starts::Starts;
use gap_infer::DiagonalGaussian;
use gap_infer::ascent::PhaseSchedule;
use gap_infer::free_form::ASCENT_TOLERANCE_FRACTION;
use gap_infer::trace::{AscentSnapshot, AscentTrace, AscentTracer};
use gap_schema::trace::{MIN_OTHER_OPTIMUM_NATS, REACHED_TOLERANCE_NATS, TracePoint};
use gap_schema::{Record, RowFile};
use gap_spec::{Ascent, AscentSpec, Count, Precision, Protocol, Start};
use serde::Serialize;
use statrs::statistics::{Data, OrderStatistics, Statistics};

/// Runs one ascent from each start, and records its distance from the optimum along the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AscentWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model.
    pub model: StageId,
    /// The stage that found the optima of the same points; the ascents have the same starts as its searches.
    pub optima: StageId,
    /// The points, all in one batch, since an ascent is measured by means over all points.
    pub points: Chunk,
    /// The ascent's name in the spec.
    pub name: String,
    /// The ascent's settings.
    pub ascent: AscentSpec,
    /// The tolerance of the free-form search, nats, on which the default protocol's stopping rule depends.
    pub tolerance_nats: f64,
    /// The precision of products in gradients.
    pub precision: Precision,
    /// The number of draws from which distances from the optimum are estimated.
    pub elbo_samples: Count,
}

impl Work for AscentWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model, &self.optima]
    }

    fn row_file_name(&self) -> Option<&'static str> {
        Some(TracePoint::FILE_NAME)
    }

    fn task_description(&self) -> String {
        let Chunk { split, n, .. } = self.points;
        format!("ascent {}, {n} {split} points", self.name)
    }

    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let optima = optima::load_optima(&self.optima, context)?;
        let starts: Vec<Start> = optima.iter().map(|optima| optima.start).collect();
        let model = context.load_model(&self.model)?;
        let batch = chunk_as_one_batch(self.seed, model.as_ref(), self.points, context)?;
        let starts = Starts::load(&starts, &self.model, context)?;
        let known: Vec<Vec<Vec<f64>>> = optima.iter().map(|o| o.params.clone()).collect();
        let key = seed_key(self.seed);
        let tracer = AscentTracer {
            model: model.as_ref(),
            batch: &batch,
            optima: &known,
            n_samples: self.elbo_samples.get() as usize,
            key: key.for_role("looks"),
        };
        let dim = model.latent_dim();
        let family = DiagonalGaussian::new(dim);
        let schedule = self.schedule(dim as usize);
        let mut points = Vec::new();
        for (i, of_start) in optima.iter().enumerate() {
            let start = starts
                .starting_point(of_start.start)
                .params(&family, &batch)
                .map_err(stage_error)?;
            let key = key.for_role("ascent").for_role(of_start.start.as_str());
            let traced = tracer
                .trace_ascent(&schedule, start.to_rows(), key)
                .map_err(stage_error)?;
            for look in &traced.snapshots {
                let standing = DistancesToOptimum::new(&traced, look);
                points.push(TracePoint {
                    // Variants may share a stage, so `collect_rows` fills this in.
                    variant: None,
                    dataset: context.observations.name().to_owned(),
                    split: self.points.split,
                    seed: u64::from(self.seed),
                    model: self.model.to_string(),
                    latent_dim: dim as u32,
                    ascent: self.name.clone(),
                    phases: schedule.to_string(),
                    start: of_start.start,
                    n: batch.len() as u64,
                    steps: look.steps.iter().copied().max().unwrap_or(0),
                    joint_gradients: look.joint_gradients as f64 / batch.len() as f64,
                    seconds: look.seconds,
                    climbing: standing.climbing,
                    nats_to_go: standing.to_go.as_slice().mean(),
                    nats_to_go_std_error: standing.std_error(),
                    nats_to_go_median: Data::new(standing.to_go.clone()).median(),
                    nats_to_go_worst: standing.to_go.as_slice().max(),
                    above_tolerance: standing.count_above(REACHED_TOLERANCE_NATS),
                    other_optimum: standing.elsewhere.len() as u64,
                    other_optimum_nats: standing.elsewhere.iter().sum::<f64>() / batch.len() as f64,
                    non_finite: standing.non_finite,
                    reference_joint_gradients: of_start.joint_gradients,
                });
            }
            (context.progress)((i + 1) as f64 / optima.len() as f64);
        }
        context.save_rows(&points)?;
        Ok(Vec::new())
    }
}

impl AscentWork {
    fn schedule(&self, dim: usize) -> PhaseSchedule {
        let max_steps = self.ascent.max_steps.get();
        let schedule = match self.ascent.ascent(self.precision) {
            Ascent::Protocol(Protocol::Default) => PhaseSchedule::default_for_latent_dim(
                dim,
                ASCENT_TOLERANCE_FRACTION * self.tolerance_nats,
                max_steps,
            ),
            Ascent::Protocol(Protocol::AdamCremer2018) => {
                PhaseSchedule::adam_cremer_2018(max_steps)
            }
            Ascent::Steps(phase) => PhaseSchedule {
                phases: vec![phase],
            },
        };
        schedule.with_precision(self.precision)
    }
}

/// How far the datapoints of one snapshot are from their optima.
struct DistancesToOptimum {
    /// The number of datapoints that are still climbing. At the end of the ascent these are the ones that the
    /// step limit cut off.
    climbing: u64,
    /// For each datapoint with a finite ELBO, the distance to the optimum that its ascent leads to, nats.
    to_go: Vec<f64>,
    /// For each ascent that leads to an optimum more than [`MIN_OTHER_OPTIMUM_NATS`] below the best one known,
    /// the difference of the two, nats.
    elsewhere: Vec<f64>,
    /// The number of datapoints without a finite ELBO, which are in neither list.
    non_finite: u64,
}

impl DistancesToOptimum {
    fn new(traced: &AscentTrace, look: &AscentSnapshot) -> Self {
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
                .filter(|&nats| nats > MIN_OTHER_OPTIMUM_NATS)
                .collect(),
            non_finite: (n - finite.len()) as u64,
        }
    }

    fn std_error(&self) -> f64 {
        self.to_go.as_slice().std_dev() / (self.to_go.len() as f64).sqrt()
    }

    fn count_above(&self, nats: f64) -> u64 {
        self.to_go.iter().filter(|&&to_go| to_go > nats).count() as u64
    }
}
