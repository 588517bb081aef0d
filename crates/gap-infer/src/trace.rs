//! Records an ascent as it runs: how far each datapoint still is from the optimum that its ascent leads to.
//!
//! A distance is a difference of `−L`, with ascent and optimum evaluated on the same draws, which no ascent
//! has used. The optimum is the known one that is nearest to the ascent's endpoint. If none is near, the
//! ascent is continued from there by at most `MAX_FURTHER_STEPS` steps a phase, and the new endpoint counts
//! as an optimum too.

use crate::ascent::{
    Evaluation, EvaluationRequest, NoiseDraws, Objective, PhaseSchedule, SearchState,
};
use crate::inference::InferError;
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::SeedKey;

/// Joint gradients grow by this factor from one snapshot to the next.
const SNAPSHOT_GRADIENT_GROWTH_FACTOR: f64 = 1.15;

/// An endpoint further than this from every known optimum may lead to another one, nats.
const SAME_OPTIMUM_DISTANCE_NATS: f64 = 0.5;

/// The state of an ascent at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AscentSnapshot {
    /// Evaluations of each datapoint so far.
    pub steps: Vec<u32>,
    /// Joint gradients of all datapoints so far.
    pub joint_gradients: u64,
    /// Wall time so far, seconds, without the time for taking snapshots.
    pub seconds: f64,
    /// Which datapoints have failed: one of their evaluations was not finite.
    pub failed: Vec<bool>,
    /// `−L` of each datapoint, nats.
    pub loss: Vec<f64>,
}

/// The record of a whole ascent.
#[derive(Clone, Debug, PartialEq)]
pub struct AscentTrace {
    /// The snapshots, from the first step to the last.
    pub snapshots: Vec<AscentSnapshot>,
    /// Which datapoints had met the ascent's own stopping rule when it ended.
    pub stopped: Vec<bool>,
    /// `−L` of the optimum that each datapoint's ascent leads to, nats.
    pub leads_to: Vec<f64>,
    /// `−L` of the best known optimum of each datapoint, nats.
    pub best: Vec<f64>,
}

/// Runs and records ascents of the datapoints of one batch.
pub struct AscentTracer<'a> {
    /// The model.
    pub model: &'a dyn LatentVariableModel,
    /// The datapoints.
    pub batch: &'a Batch,
    /// The known optima: for each search that found some, the `λ` of every datapoint.
    pub optima: &'a [Vec<Vec<f64>>],
    /// The number of draws on which losses are compared.
    pub n_samples: usize,
    /// The key of the draws for snapshots, which must be the same for all ascents that are compared.
    pub key: SeedKey,
}

impl AscentTracer<'_> {
    /// Runs `schedule` on all datapoints from `start`, and records the ascent.
    pub fn trace_ascent(
        &self,
        schedule: &PhaseSchedule,
        start: Vec<Vec<f64>>,
        key: SeedKey,
    ) -> Result<AscentTrace, InferError> {
        let rows: Vec<usize> = (0..self.batch.len()).collect();
        let mut states: Vec<SearchState> =
            start.into_iter().map(SearchState::starting_at).collect();
        let mut recorder = TraceRecorder::new(self)?;
        let mut objective = Objective::new(self.model, self.batch.x())?;
        let ids = self.batch.ids();
        let mut observer = |states: &[SearchState]| recorder.record_if_due(states);
        schedule.run(&mut objective, &rows, &mut states, ids, key, &mut observer)?;
        recorder.record_snapshot(&states)?;
        let (leads_to, best) =
            self.reached_and_best_losses(&mut objective, &mut recorder, &states, key)?;
        Ok(AscentTrace {
            snapshots: recorder.into_snapshots()?,
            stopped: states.iter().map(|state| state.stopped).collect(),
            leads_to,
            best,
        })
    }

    /// Returns `−L` of the optimum that each endpoint leads to, and of the best known one.
    fn reached_and_best_losses(
        &self,
        objective: &mut Objective,
        recorder: &mut TraceRecorder,
        ends: &[SearchState],
        key: SeedKey,
    ) -> Result<(Vec<f64>, Vec<f64>), InferError> {
        let mut known: Vec<Vec<SearchState>> = self
            .optima
            .iter()
            .map(|optima| {
                optima
                    .iter()
                    .cloned()
                    .map(SearchState::starting_at)
                    .collect()
            })
            .collect();
        let strays: Vec<usize> = (0..ends.len())
            .filter(|&row| {
                let near = |optima: &Vec<SearchState>| {
                    ends[row].second_order_kl_nats(&optima[row]) < SAME_OPTIMUM_DISTANCE_NATS
                };
                ends[row].failed_at.is_none() && !known.iter().any(near)
            })
            .collect();
        if !strays.is_empty() {
            let mut further: Vec<SearchState> = ends.to_vec();
            let schedule = PhaseSchedule::default_for_latent_dim(
                objective.latent_dim(),
                5e-4,
                MAX_FURTHER_STEPS,
            );
            let ids = self.batch.ids();
            let key = key.for_role("further");
            schedule.run(objective, &strays, &mut further, ids, key, &mut |_| ())?;
            // Every list needs all datapoints: for the others, the first known optimum is repeated.
            for row in (0..ends.len()).filter(|row| !strays.contains(row)) {
                further[row] = known[0][row].clone();
            }
            known.push(further);
        }
        let mut losses = Vec::with_capacity(known.len());
        for optima in &known {
            losses.push(recorder.losses_of_all_states(optima)?);
        }
        let nearest = |row: usize| {
            let distance = |i: &usize| ends[row].second_order_kl_nats(&known[*i][row]);
            let nearest = (0..known.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
            losses[nearest.expect("there is a start")][row]
        };
        let best = |row: usize| {
            losses
                .iter()
                .map(|losses| losses[row])
                .fold(f64::NAN, f64::min)
        };
        Ok((
            (0..ends.len()).map(nearest).collect(),
            (0..ends.len()).map(best).collect(),
        ))
    }
}

/// The most steps of a phase when an endpoint that is near no known optimum ascends further.
const MAX_FURTHER_STEPS: u32 = 500;

/// Takes a snapshot of an ascent whenever enough joint gradients have been spent since the last one.
struct TraceRecorder<'a> {
    objective: Objective<'a>,
    draws: NoiseDraws,
    next_record: f64,
    snapshots: Vec<AscentSnapshot>,
    failure: Option<InferError>,
}

impl<'a> TraceRecorder<'a> {
    fn new(tracer: &AscentTracer<'a>) -> Result<Self, InferError> {
        let objective = Objective::new(tracer.model, tracer.batch.x())?;
        Ok(Self {
            draws: NoiseDraws::whitened(tracer.key, tracer.n_samples, objective.draw_space()),
            objective,
            next_record: 0.0,
            snapshots: Vec::new(),
            failure: None,
        })
    }

    /// Takes a snapshot if joint gradients have grown by [`SNAPSHOT_GRADIENT_GROWTH_FACTOR`] since the last
    /// one.
    fn record_if_due(&mut self, states: &[SearchState]) {
        let spent: u64 = states.iter().map(|state| state.joint_gradients).sum();
        if (spent as f64) < self.next_record || self.failure.is_some() {
            return;
        }
        self.next_record = SNAPSHOT_GRADIENT_GROWTH_FACTOR * spent as f64;
        self.failure = self.record_snapshot(states).err();
    }

    fn record_snapshot(&mut self, states: &[SearchState]) -> Result<(), InferError> {
        let steps: Vec<u32> = states.iter().map(|state| state.steps).collect();
        let rows = 0..states.len();
        let (moved, mut loss): (Vec<usize>, Vec<f64>) = match self.snapshots.last() {
            None => (rows.collect(), vec![f64::NAN; states.len()]),
            Some(last) => {
                let moved = rows.filter(|&row| last.steps[row] < steps[row]);
                (moved.collect(), last.loss.clone())
            }
        };
        if moved.is_empty() {
            return Ok(());
        }
        for (&row, new) in moved.iter().zip(self.losses_of_rows(&moved, states)?) {
            loss[row] = new;
        }
        self.snapshots.push(AscentSnapshot {
            joint_gradients: states.iter().map(|state| state.joint_gradients).sum(),
            seconds: states.iter().map(|state| state.seconds).sum(),
            failed: states.iter().map(|c| c.failed_at.is_some()).collect(),
            steps,
            loss,
        });
        Ok(())
    }

    fn losses_of_all_states(&mut self, states: &[SearchState]) -> Result<Vec<f64>, InferError> {
        let all: Vec<usize> = (0..states.len()).collect();
        self.losses_of_rows(&all, states)
    }

    fn losses_of_rows(
        &mut self,
        rows: &[usize],
        states: &[SearchState],
    ) -> Result<Vec<f64>, InferError> {
        let params: Vec<&[f64]> = rows
            .iter()
            .map(|&row| states[row].params.as_slice())
            .collect();
        let request = EvaluationRequest {
            loss: true,
            ..EvaluationRequest::GRADIENT_ONLY
        };
        let evaluations = self
            .objective
            .evaluate(rows, &params, &self.draws, request)?;
        Ok(evaluations.iter().map(Evaluation::loss_nats).collect())
    }

    fn into_snapshots(self) -> Result<Vec<AscentSnapshot>, InferError> {
        self.failure.map_or(Ok(self.snapshots), Err)
    }
}
