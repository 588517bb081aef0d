//! Executes a plan: finished stages are kept, independent stages run in parallel, and a failure stops only the
//! stages that depend on the failed one. Several processes may execute the same plan in one folder: each stage
//! is executed by the process that has claimed it, and the others wait for the result.

use crate::error::{RunError, panicked_stage_failure};
use crate::plan::Plan;
use crate::stage_id::StageId;
use crate::stage_results;
use crate::work::Stage;
use gap_schema::Record;
use gap_store::{FileFault, StageOutput, StageState, Store};
use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The folders that a stage reads and writes, its threads, and where it reports progress.
pub struct StageWorkspace<'a> {
    /// The files of this stage, which are published with its records.
    pub output: &'a StageOutput,
    /// The results folder, with the files of finished stages.
    pub store: &'a Store,
    /// The number of threads that the stage may use.
    pub threads: usize,
    /// The function to call with the fraction of the stage that is done.
    pub progress: &'a (dyn Fn(f64) + Sync),
}

/// Executes stages. All workers share one executor, so several may call it at once.
pub trait Executor: Sync {
    /// Executes a stage and returns its records; it adds files for later stages to `workspace.output`.
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
    /// Called when a stage is found damaged: it is set aside at `place`, and executed again.
    fn stage_set_aside(&self, id: &StageId, stage: &Stage, fault: &FileFault, place: &Path);
    /// Called when another process is executing a stage, whose result this run waits for.
    fn stage_awaited(&self, id: &StageId, stage: &Stage);
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
    /// The number of stages that were not started because there is no room on the disk for more results.
    pub not_started: usize,
    /// Whether there is no room on the disk for more results, so that it is of no use to run other plans.
    pub has_stopped: bool,
}

impl RunReport {
    /// Whether every stage is finished.
    pub const fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped == 0 && self.not_started == 0
    }
}

impl AddAssign for RunReport {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.cached += other.cached;
        self.failed.extend(other.failed);
        self.skipped += other.skipped;
        self.not_started += other.not_started;
        self.has_stopped |= other.has_stopped;
    }
}

/// The number of threads for a stage that begins while `running` stages run or wait for a worker, itself included:
/// these share this machine's processors. It must be called from a worker thread.
fn threads_of_stage(running: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = running.clamp(1, rayon::current_num_threads());
    (processors / at_once).max(1)
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
        changed: Condvar::new(),
    };
    workers.in_place_scope(|scope| {
        schedule.start_ready_stages(scope);
        schedule.await_other_processes(scope);
    });
    let state = schedule.state.into_inner().expect("no worker panicked");
    Ok(state.report)
}

struct RunSchedule<'a> {
    plan: &'a Plan,
    store: &'a Store,
    executor: &'a dyn Executor,
    observer: &'a dyn Observer,
    state: Mutex<ScheduleState>,
    /// Notified when a stage is no longer running.
    changed: Condvar,
}

/// How long to wait before asking again whether another process has finished a stage.
const POLLING_INTERVAL: Duration = Duration::from_millis(200);

/// What became of a stage that a worker took up.
enum StageEnd {
    Finished,
    Failed,
    /// Another process has claimed it.
    Elsewhere,
    /// It was not started, since the run is stopping.
    NotStarted,
}

struct ScheduleState {
    /// The number of stages that workers have or are about to take up.
    running: usize,
    /// The stages that other processes are executing, by their positions in the plan.
    elsewhere: BTreeSet<usize>,
    /// The stages that the observer was told to be awaited.
    awaited: BTreeSet<usize>,
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
            running: 0,
            elsewhere: BTreeSet::new(),
            awaited: BTreeSet::new(),
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
    fn lock_state(&self) -> MutexGuard<'_, ScheduleState> {
        self.state.lock().expect("no worker panicked")
    }

    fn start_ready_stages<'s>(&'s self, scope: &rayon::Scope<'s>)
    where
        'a: 's,
    {
        let ready = {
            let mut state = self.lock_state();
            let ready = state.take_ready_stages();
            state.running += ready.len();
            ready
        };
        for i in ready {
            self.spawn_stage(scope, i);
        }
    }

    /// Hands stage `i`, which is counted as running, to a worker.
    fn spawn_stage<'s>(&'s self, scope: &rayon::Scope<'s>, i: usize)
    where
        'a: 's,
    {
        scope.spawn(move |scope| {
            match self.process_stage(i) {
                StageEnd::Elsewhere => {
                    self.lock_state().elsewhere.insert(i);
                }
                StageEnd::NotStarted => self.lock_state().report.not_started += 1,
                end => {
                    self.release_or_skip_dependents(i, matches!(end, StageEnd::Finished));
                    self.start_ready_stages(scope);
                }
            }
            self.lock_state().running -= 1;
            self.changed.notify_all();
        });
    }

    /// Takes up the stages that other processes are executing again and again, until nothing is left to do.
    fn await_other_processes<'s>(&'s self, scope: &rayon::Scope<'s>)
    where
        'a: 's,
    {
        let mut state = self.lock_state();
        loop {
            if state.elsewhere.is_empty() {
                if state.running == 0 {
                    return;
                }
                state = self.changed.wait(state).expect("no worker panicked");
                continue;
            }
            let waited = self.changed.wait_timeout(state, POLLING_INTERVAL);
            state = waited.expect("no worker panicked").0;
            let again = std::mem::take(&mut state.elsewhere);
            state.running += again.len();
            drop(state);
            for i in again {
                self.spawn_stage(scope, i);
            }
            state = self.lock_state();
        }
    }

    /// Executes a stage that is not finished, unless another process does.
    fn process_stage(&self, i: usize) -> StageEnd {
        let (id, stage) = &self.plan.stages()[i];
        if self.lock_state().report.has_stopped {
            return StageEnd::NotStarted;
        }
        let outcome = match self.execute_unless_finished(i, id, stage) {
            Ok(None) => return StageEnd::Elsewhere,
            Ok(Some(outcome)) => outcome,
            Err(error) => {
                // A stage that fails for lack of memory stops no other: most take less, and are kept.
                let no_room = matches!(&error, RunError::Store(error) if error.is_lack_of_room());
                self.lock_state().report.has_stopped |= no_room;
                Outcome::Failed {
                    message: error.to_string(),
                }
            }
        };
        self.observer.stage_finished(id, stage, &outcome);
        let mut state = self.lock_state();
        match outcome {
            Outcome::Cached => state.report.cached += 1,
            Outcome::Done { .. } => state.report.done += 1,
            Outcome::Failed { message } => {
                state.report.failed.push((stage.title(), message));
                return StageEnd::Failed;
            }
            Outcome::Skipped => unreachable!("a skipped stage is not executed"),
        }
        StageEnd::Finished
    }

    /// Returns `None` if another process has claimed the stage.
    fn execute_unless_finished(
        &self,
        i: usize,
        id: &StageId,
        stage: &Stage,
    ) -> Result<Option<Outcome>, RunError> {
        if self.store.stages().state(id.as_str()) == StageState::Finished {
            return Ok(Some(Outcome::Cached));
        }
        let Some(_claim) = self.store.claim_stage(id.as_str())? else {
            if self.lock_state().awaited.insert(i) {
                self.observer.stage_awaited(id, stage);
            }
            return Ok(None);
        };
        // Another process may have finished it before the claim was taken.
        match self.store.stages().state(id.as_str()) {
            StageState::Finished => return Ok(Some(Outcome::Cached)),
            StageState::Missing => {}
            StageState::Damaged(fault) => {
                let place = self.store.set_stage_aside(id.as_str())?;
                self.observer.stage_set_aside(id, stage, &fault, &place);
            }
        }
        self.observer.stage_started(id, stage);
        let clock = Instant::now();
        // A panic is a bug in one stage, which does not affect the others.
        match catch_unwind(AssertUnwindSafe(|| self.execute_and_publish(id, stage))) {
            Ok(executed) => executed.map(|()| {
                Some(Outcome::Done {
                    seconds: clock.elapsed().as_secs_f64(),
                })
            }),
            Err(panic) => Ok(Some(Outcome::Failed {
                message: panicked_stage_failure(panic_message(panic.as_ref())),
            })),
        }
    }

    fn execute_and_publish(&self, id: &StageId, stage: &Stage) -> Result<(), RunError> {
        let output = StageOutput::default();
        let progress = |fraction| self.observer.stage_progressed(id, fraction);
        let workspace = StageWorkspace {
            output: &output,
            store: self.store,
            threads: threads_of_stage(self.lock_state().running),
            progress: &progress,
        };
        let clock = Instant::now();
        let records = self.executor.execute_stage(id, stage, &workspace)?;
        let seconds = clock.elapsed().as_secs_f64();
        stage_results::publish(self.store, id, output, &records, seconds)
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
        if state.report.has_stopped {
            state.report.not_started += state.waiting.len();
            state.waiting.clear();
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
/// [`RunError`] if a stage's records cannot be read.
pub fn collect_records(plans: &[Plan], store: &Store) -> Result<Vec<Record>, RunError> {
    let mut records = Vec::new();
    for plan in plans {
        for (id, _) in plan.stages() {
            records.extend(
                stage_results::read_records(store, id)?
                    .into_iter()
                    .map(|record| Record {
                        variant: plan.variant().map(str::to_owned),
                        family: plan.family(),
                        family_params: plan.family_params(),
                        ..record
                    }),
            );
        }
    }
    Ok(records)
}
