//! A small plan, an executor that computes nothing, and an observer that records what happens.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_harness::run::StageWorkspace;
use gap_harness::stored_models::StoredModels;
use gap_harness::{Environment, Executor, Observer, Outcome, Plan, RunError, Stage, StageId};
use gap_schema::record::Record;
use gap_schema::{RowFile, TracePoint, rows_file};
use gap_spec::Start;
use gap_spec::document;
use gap_spec::{Diagnostics, Estimator, Family, Method, Side, Split, StopKind, Trust};
use gap_store::{FileFault, Store};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// A spec with two seeds, two encoders, and one decoder for each seed.
pub const SPEC: &str = r#"
name = "small"
question = "Does it run?"
surprise = "It does not."
seeds = [0, 1]

[data]
name = "digits-binarized"
train_points = 10
measure_train = 3
measure_test = 2

[model]
kind = "mlp-decoder"
latent_dim = 2
hidden = [4]
decoder = "shared"

[model.training]
encoder_hidden = [4]
steps = 1
batch_size = 5
learning_rate = 0.01
n_samples = 1

[[encoders]]
kind = "linear"

[[encoders]]
kind = "mlp"
hidden = [4]

[encoder_training]
steps = 2
batch_size = 5
learning_rate = 0.01
n_samples = 1

[free_form]
max_steps = 100

[refinement]
steps = [1]

[estimators]
iw_samples = 10

[evaluation]
batch_size = 100
"#;

/// The plan of `text` on a made-up machine.
pub fn plan_of(text: &str) -> Plan {
    plan_on(text, "cpu")
}

/// The plan of `text` on `device` of a made-up machine.
pub fn plan_on(text: &str, device: &str) -> Plan {
    plans_on(text, device).remove(0)
}

/// The plan of each problem in `text` on `device` of a made-up machine.
pub fn plans_on(text: &str, device: &str) -> Vec<Plan> {
    let experiment = document::parse("small.toml".as_ref(), text).unwrap();
    let environment = Environment {
        source: "source".to_owned(),
        device: device.to_owned(),
        math: "stock".to_owned(),
        kernels: "off".to_owned(),
    };
    let problems = experiment.problems.iter();
    problems
        .map(|problem| Plan::new(problem, &environment, &StoredModels::default()))
        .collect()
}

/// The plan of [`SPEC`].
pub fn plan() -> Plan {
    plan_of(SPEC)
}

/// [`SPEC`] with `old` replaced by `new`.
pub fn edited(old: &str, new: &str) -> String {
    assert_eq!(SPEC.matches(old).count(), 1, "{old}");
    SPEC.replace(old, new)
}

/// The plan of [`SPEC`] with `old` replaced by `new`.
pub fn plan_with(old: &str, new: &str) -> Plan {
    plan_of(&edited(old, new))
}

/// The names of a plan's stages.
pub fn ids(plan: &Plan) -> BTreeSet<StageId> {
    plan.stages().iter().map(|(id, _)| id.clone()).collect()
}

/// The store of the small experiment.
pub fn open(folder: &Path) -> Store {
    Store::open(folder, "small").unwrap().0
}

/// How a stage of the mock fails.
enum Fault {
    Error,
    Panic,
}

type FaultOf = dyn Fn(&Stage, usize) -> Option<Fault> + Sync;

/// An executor that computes nothing, and checks what every executor may rely on.
pub struct MockExecutor {
    executed: Mutex<Vec<StageId>>,
    /// The fault of a stage, if any; the number is that of the stages that were started before it.
    fault: Box<FaultOf>,
}

impl MockExecutor {
    fn new(fault: impl Fn(&Stage, usize) -> Option<Fault> + Sync + 'static) -> Self {
        Self {
            executed: Mutex::default(),
            fault: Box::new(fault),
        }
    }

    /// An executor without faults.
    pub fn obedient() -> Self {
        Self::new(|_, _| None)
    }

    /// An executor that returns an error from the stages that `fails` picks.
    pub fn failing(fails: fn(&Stage) -> bool) -> Self {
        Self::new(move |stage, _| fails(stage).then_some(Fault::Error))
    }

    /// An executor that panics in the stages that `panics` picks.
    pub fn panicking(panics: fn(&Stage) -> bool) -> Self {
        Self::new(move |stage, _| panics(stage).then_some(Fault::Panic))
    }

    /// An executor that returns an error from every stage but the first `k`.
    pub fn failing_from(k: usize) -> Self {
        Self::new(move |_, before| (before >= k).then_some(Fault::Error))
    }

    /// The stages that were started, in the order of their starts.
    pub fn executed(&self) -> Vec<StageId> {
        self.executed.lock().unwrap().clone()
    }

    /// Whether a stage has records.
    pub fn measures(stage: &Stage) -> bool {
        measured_split(stage).is_some()
    }
}

impl Executor for MockExecutor {
    fn execute_stage(
        &self,
        id: &StageId,
        stage: &Stage,
        workspace: &StageWorkspace,
    ) -> Result<Vec<Record>, RunError> {
        let before = {
            let mut executed = self.executed.lock().unwrap();
            executed.push(id.clone());
            executed.len() - 1
        };
        for dependency in stage.input_stages() {
            let note = workspace
                .store
                .stages()
                .read_file(dependency.as_str(), "note");
            assert!(
                note.is_ok(),
                "{} began before {dependency} was published",
                stage.title()
            );
        }
        workspace.output.add("note", stage.title());
        match (self.fault)(stage, before) {
            None => {}
            Some(Fault::Error) => return Err(RunError::Stage("the disk is on fire".to_owned())),
            Some(Fault::Panic) => panic!("an invariant is broken"),
        }
        if let Stage::Ascent(work) = stage {
            let rows = [trace_point(stage, &work.name)];
            let csv = rows_file::rows_to_csv(&rows).unwrap();
            workspace.output.add(TracePoint::FILE_NAME, csv);
        }
        (workspace.progress)(1.0);
        Ok(Self::measures(stage)
            .then(|| record(stage))
            .into_iter()
            .collect())
    }
}

/// The split that a stage measures; `None` for a stage without records.
pub fn measured_split(stage: &Stage) -> Option<Split> {
    let points = match stage {
        Stage::FreeForm(work) => work.points,
        Stage::Adaptive(work) => work.free_form.points,
        Stage::Amortized(work) => work.points,
        Stage::Annealed(work) => work.points,
        Stage::Simulated(work) => work.points,
        _ => return None,
    };
    Some(points.split)
}

/// A record of `stage`, with the stage's title in place of the model.
pub fn record(stage: &Stage) -> Record {
    Record {
        variant: None,
        dataset: "digits-binarized".to_owned(),
        split: measured_split(stage).unwrap(),
        datapoint: 0,
        seed: u64::from(stage.seed()),
        model: stage.title(),
        family: Family::DiagonalGaussian,
        family_params: 20,
        encoder: None,
        method: Method::FreeForm,
        method_name: None,
        refinement_steps: None,
        estimator: Estimator::Elbo,
        n_samples: 1,
        value_nats: -1.0,
        std_error_nats: 0.0,
        side: Side::Lower,
        trust: Trust::Ok,
        diagnostics: Diagnostics::default(),
        stop: StopKind::Converged,
        stop_steps: 1,
        remaining_nats: Some(0.0),
        remaining_std_error_nats: Some(0.0),
        remaining_bound_nats: Some(0.0),
        starts_apart_nats: None,
        start: None,
        start_optima: None,
        optima_apart_stds: None,
        optima_apart_nats: None,
        seconds: 0.0,
        joint_gradients: 0,
        fit_seconds: 0.0,
        fit_joint_gradients: 0,
        constant_inputs: 0,
    }
}

/// A point of the trace, with the stage's title in place of the model.
fn trace_point(stage: &Stage, name: &str) -> TracePoint {
    TracePoint {
        variant: None,
        dataset: "digits-binarized".to_owned(),
        split: Split::Test,
        seed: u64::from(stage.seed()),
        model: stage.title(),
        latent_dim: 2,
        ascent: name.to_owned(),
        phases: "lbfgs/fixed/8".to_owned(),
        start: Start::Prior,
        n: 2,
        steps: 1,
        joint_gradients: 8.0,
        seconds: 0.0,
        climbing: 0,
        nats_to_go: 0.0,
        nats_to_go_std_error: 0.0,
        nats_to_go_median: 0.0,
        nats_to_go_worst: 0.0,
        above_tolerance: 0,
        other_optimum: 0,
        other_optimum_nats: 0.0,
        non_finite: 0,
        reference_joint_gradients: 0.0,
    }
}

/// An observer that records what happens in a run.
#[derive(Default)]
pub struct Log(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    running: BTreeSet<StageId>,
    most_at_once: usize,
    ended: Vec<(StageId, Outcome)>,
    set_aside: Vec<String>,
    awaited: BTreeSet<StageId>,
}

impl Log {
    /// The largest number of stages that ran at the same time.
    pub fn most_at_once(&self) -> usize {
        self.0.lock().unwrap().most_at_once
    }

    /// The outcome of each stage, in the order in which they ended.
    pub fn ended(&self) -> Vec<(StageId, Outcome)> {
        self.0.lock().unwrap().ended.clone()
    }
}

impl Log {
    /// The stages that were set aside, each with what was wrong with it.
    pub fn set_aside(&self) -> Vec<String> {
        self.0.lock().unwrap().set_aside.clone()
    }
}

impl Observer for Log {
    fn stage_started(&self, id: &StageId, _: &Stage) {
        let mut notes = self.0.lock().unwrap();
        assert!(notes.running.insert(id.clone()), "{id} is started twice");
        notes.most_at_once = notes.most_at_once.max(notes.running.len());
    }

    fn stage_progressed(&self, id: &StageId, fraction: f64) {
        assert!(self.0.lock().unwrap().running.contains(id));
        assert!((0.0..=1.0).contains(&fraction));
    }

    fn stage_set_aside(&self, _: &StageId, stage: &Stage, fault: &FileFault, place: &Path) {
        assert!(place.is_dir());
        let mut notes = self.0.lock().unwrap();
        notes
            .set_aside
            .push(format!("{}: {}", stage.title(), fault.kind));
    }

    fn stage_awaited(&self, id: &StageId, _: &Stage) {
        let mut notes = self.0.lock().unwrap();
        assert!(notes.awaited.insert(id.clone()), "{id} is awaited twice");
    }

    fn stage_finished(&self, id: &StageId, _: &Stage, outcome: &Outcome) {
        let mut notes = self.0.lock().unwrap();
        let was_running = notes.running.remove(id);
        assert_eq!(
            was_running,
            matches!(outcome, Outcome::Done { .. } | Outcome::Failed { .. }),
            "{id}"
        );
        notes.ended.push((id.clone(), outcome.clone()));
    }
}
