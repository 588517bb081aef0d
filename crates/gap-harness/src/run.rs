//! Executes a plan: finished stages are kept, independent stages run in parallel, and a failure stops only the
//! stages that depend on the failed one.

use crate::error::{RunError, panicked_stage_failure};
use crate::plan::Plan;
use crate::stage_id::StageId;
use crate::store::{Store, StoreError};
use crate::work::Stage;
use gap_schema::Record;
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// The folders that a stage reads and writes, its threads, and where it reports progress.
pub struct StageWorkspace<'a> {
    /// An empty folder for this stage alone; the files that it writes there are published with its records.
    pub output: &'a Path,
    /// The results folder, with the files of finished stages.
    pub store: &'a Store,
    /// The number of threads that the stage may use.
    pub threads: usize,
    /// To be called with the fraction that is done.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// Executes stages. All workers share one executor, so several may call it at once.
pub trait Executor: Sync {
    /// Executes a stage and returns its records; it writes files for later stages to `workspace.output`.
    ///
    /// # Errors
    ///
    /// [`RunError`] if the stage cannot be executed. Values that are not finite are no error, but go into the
    /// records.
    fn execute_stage(
        &self,
        id: &StageId,
        stage: &Stage,
        workspace: &StageWorkspace,
    ) -> Result<Vec<Record>, RunError>;
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was already finished, and was not executed.
    Cached,
    /// It was executed.
    Done {
        /// The wall time, seconds.
        seconds: f64,
    },
    /// It failed.
    Failed {
        /// The error, in one line.
        message: String,
    },
    /// A stage that it depends on failed.
    Skipped,
}

/// Follows what happens in a run. Its methods are called from worker threads.
pub trait Observer: Sync {
    /// Called when a stage starts; not for stages that are already finished, or skipped.
    fn stage_started(&self, id: &StageId, stage: &Stage);
    /// Called with the fraction of a stage that is done.
    fn stage_progressed(&self, id: &StageId, fraction: f64);
    /// Called once for every stage: when it ends, is found finished, or is skipped.
    fn stage_finished(&self, id: &StageId, stage: &Stage, outcome: &Outcome);
}

/// The numbers of stages that a run executed and found finished, and the stages that are missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunReport {
    /// The number of stages that were executed in this run.
    pub done: usize,
    /// The number of stages that were already finished.
    pub cached: usize,
    /// The title and the error message of each stage that failed.
    pub failed: Vec<(String, String)>,
    /// The number of stages that were skipped because they depend on a failed one.
    pub skipped: usize,
}

impl RunReport {
    /// Whether every stage is finished.
    pub const fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped == 0
    }
}

impl AddAssign for RunReport {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.cached += other.cached;
        self.failed.extend(other.failed);
        self.skipped += other.skipped;
    }
}

/// The number of threads for each of the stages that run in parallel, which share this machine's processors. It
/// must be called from a worker thread.
fn threads_per_stage() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / rayon::current_num_threads()).max(1)
}

/// Executes the stages of `plan` that are not finished, up to `jobs` of them at a time.
///
/// # Errors
///
/// [`RunError::Workers`] if the workers cannot be started. Failures of stages are in the report instead.
pub fn run(
    plan: &Plan,
    store: &Store,
    executor: &dyn Executor,
    observer: &dyn Observer,
    jobs: usize,
) -> Result<RunReport, RunError> {
    let workers = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .thread_name(|i| format!("stage-worker-{i}"))
        .build()
        .map_err(|error| RunError::Workers {
            jobs,
            message: error.to_string(),
        })?;
    let schedule = RunSchedule {
        plan,
        store,
        executor,
        observer,
        state: Mutex::new(ScheduleState::new(plan)),
    };
    workers.in_place_scope(|scope| schedule.start_ready_stages(scope));
    let state = schedule.state.into_inner().expect("no worker panicked");
    Ok(state.report)
}

struct RunSchedule<'a> {
    plan: &'a Plan,
    store: &'a Store,
    executor: &'a dyn Executor,
    observer: &'a dyn Observer,
    state: Mutex<ScheduleState>,
}

struct ScheduleState {
    /// The unfinished dependencies of each stage that has not been started, by its position in the plan.
    waiting: HashMap<usize, HashSet<StageId>>,
    report: RunReport,
}

impl ScheduleState {
    fn new(plan: &Plan) -> Self {
        let waiting = plan
            .stages()
            .iter()
            .enumerate()
            .map(|(i, (_, stage))| (i, stage.input_stages().into_iter().cloned().collect()));
        Self {
            waiting: waiting.collect(),
            report: RunReport::default(),
        }
    }

    /// Removes the stages without unfinished dependencies from `waiting`, and returns them in the plan's order.
    fn take_ready_stages(&mut self) -> Vec<usize> {
        let mut ready: Vec<usize> = self
            .waiting
            .iter()
            .filter(|(_, deps)| deps.is_empty())
            .map(|(&i, _)| i)
            .collect();
        ready.sort_unstable();
        for i in &ready {
            self.waiting.remove(i);
        }
        ready
    }
}

impl<'a> RunSchedule<'a> {
    fn start_ready_stages<'s>(&'s self, scope: &rayon::Scope<'s>)
    where
        'a: 's,
    {
        let ready = self
            .state
            .lock()
            .expect("no worker panicked")
            .take_ready_stages();
        for i in ready {
            scope.spawn(move |scope| {
                let finished = self.process_stage(i);
                self.release_or_skip_dependents(i, finished);
                self.start_ready_stages(scope);
            });
        }
    }

    /// Executes stage `i` unless it is already finished, and reports the outcome. Returns `false` if it failed.
    fn process_stage(&self, i: usize) -> bool {
        let (id, stage) = &self.plan.stages()[i];
        let outcome = if self.store.has_stage(id) {
            Outcome::Cached
        } else {
            self.observer.stage_started(id, stage);
            let clock = Instant::now();
            // A panic is a bug that concerns this stage alone, so the others go on.
            match catch_unwind(AssertUnwindSafe(|| self.execute_and_publish(id, stage))) {
                Ok(Ok(())) => Outcome::Done {
                    seconds: clock.elapsed().as_secs_f64(),
                },
                Ok(Err(error)) => Outcome::Failed {
                    message: error.to_string(),
                },
                Err(panic) => Outcome::Failed {
                    message: panicked_stage_failure(panic_message(panic.as_ref())),
                },
            }
        };
        self.observer.stage_finished(id, stage, &outcome);
        let mut state = self.state.lock().expect("no worker panicked");
        match outcome {
            Outcome::Cached => state.report.cached += 1,
            Outcome::Done { .. } => state.report.done += 1,
            Outcome::Failed { message } => {
                state.report.failed.push((stage.title(), message));
                return false;
            }
            Outcome::Skipped => unreachable!("a skipped stage is not carried out"),
        }
        true
    }

    fn execute_and_publish(&self, id: &StageId, stage: &Stage) -> Result<(), RunError> {
        let partial = self.store.begin_stage(id)?;
        let progress = |fraction| self.observer.stage_progressed(id, fraction);
        let workspace = StageWorkspace {
            output: &partial,
            store: self.store,
            threads: threads_per_stage(),
            progress: &progress,
        };
        let clock = Instant::now();
        let records = self.executor.execute_stage(id, stage, &workspace)?;
        let seconds = clock.elapsed().as_secs_f64();
        Ok(self.store.publish_stage(id, &partial, &records, seconds)?)
    }

    /// If stage `i` is finished, removes it from the dependencies of the others. If it failed, skips every
    /// stage that depends on it, directly or through other stages.
    fn release_or_skip_dependents(&self, i: usize, finished: bool) {
        let mut state = self.state.lock().expect("no worker panicked");
        let mut lost = vec![self.plan.stages()[i].0.clone()];
        if finished {
            for deps in state.waiting.values_mut() {
                deps.remove(&lost[0]);
            }
            return;
        }
        while let Some(failed) = lost.pop() {
            let mut hit: Vec<usize> = state
                .waiting
                .iter()
                .filter(|(_, deps)| deps.contains(&failed))
                .map(|(&i, _)| i)
                .collect();
            hit.sort_unstable();
            for i in hit {
                state.waiting.remove(&i);
                state.report.skipped += 1;
                let (id, stage) = &self.plan.stages()[i];
                self.observer.stage_finished(id, stage, &Outcome::Skipped);
                lost.push(id.clone());
            }
        }
    }
}

/// The message that a stage panicked with.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

/// Reads the records of all stages, in the order of the plans, and sets their variant and family: plans of
/// several variants and families may share a stage.
///
/// # Errors
///
/// [`StoreError`] if a stage's records cannot be read.
pub fn collect_records(plans: &[Plan], store: &Store) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    for plan in plans {
        for (id, _) in plan.stages() {
            records.extend(store.stage_records(id)?.into_iter().map(|record| Record {
                variant: plan.variant().map(str::to_owned),
                family: plan.family(),
                family_params: plan.family_params(),
                ..record
            }));
        }
    }
    Ok(records)
}
