//! Order, resuming, failures and panics, with an executor that computes nothing.

mod mock;

use gap_harness::run::{collect_records, run};
use gap_harness::{Outcome, RunReport, Stage, StageId, rows};
use gap_schema::TracePoint;
use gap_store::{StageState, Store};
use mock::{Log, MockExecutor, SPEC, ids, open, plan, plan_with, plans_on};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn is_finished(store: &Store, id: &StageId) -> bool {
    store.stages().state(id.as_str()) == StageState::Finished
}

fn is_model_of_seed(stage: &Stage, seed: u32) -> bool {
    matches!(stage, Stage::Model { .. }) && stage.seed() == seed
}

/// The number of stages that depend on the model of one seed: `q*` on two splits, the fits of two encoders, and
/// the measurements of each encoder on two splits.
const AFTER_A_MODEL: usize = 8;
const STAGES: usize = 2 * (1 + AFTER_A_MODEL);

#[test]
fn every_stage_runs_once_and_after_those_that_it_depends_on() {
    for jobs in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let (plan, store) = (plan(), open(folder.path()));
        let (executor, log) = (MockExecutor::obedient(), Log::default());
        let report = run(&plan, &store, &executor, &log, jobs).unwrap();
        let all = RunReport {
            done: STAGES,
            ..RunReport::default()
        };
        assert_eq!(report, all, "{jobs} jobs");
        // The executor itself checks that the dependencies of a stage are published.
        let executed = executor.executed();
        assert_eq!(executed.len(), STAGES, "{jobs} jobs");
        assert_eq!(BTreeSet::from_iter(executed), ids(&plan), "{jobs} jobs");
        assert!(
            log.most_at_once() <= jobs,
            "{} at once on {jobs}",
            log.most_at_once()
        );
    }
}

#[test]
fn one_worker_follows_the_dependencies_and_reports_each_stage_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::default();
    run(
        &plan(),
        &open(folder.path()),
        &MockExecutor::obedient(),
        &log,
        1,
    )
    .unwrap();
    let ended = log.ended();
    assert_eq!(ended.len(), STAGES);
    assert!(
        ended
            .iter()
            .all(|(_, outcome)| matches!(outcome, Outcome::Done { seconds } if *seconds >= 0.0))
    );
    assert_eq!(log.most_at_once(), 1);
}

#[test]
fn a_second_run_executes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    run(&plan, &store, &MockExecutor::obedient(), &Log::default(), 2).unwrap();
    let (executor, log) = (MockExecutor::obedient(), Log::default());
    let report = run(&plan, &store, &executor, &log, 2).unwrap();
    assert_eq!(report.cached, STAGES);
    assert_eq!(report.done, 0);
    assert!(executor.executed().is_empty());
    assert!(
        log.ended()
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Cached)
    );
}

#[test]
fn forgotten_stages_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    let executor = MockExecutor::obedient();
    run(&plan, &store, &executor, &Log::default(), 2).unwrap();
    store.exclude_other_runs().unwrap();
    store.remove_stages(|_| false).unwrap();
    let report = run(&plan, &store, &executor, &Log::default(), 2).unwrap();
    assert_eq!(report.done, STAGES);
    assert_eq!(executor.executed().len(), 2 * STAGES);
}

#[test]
fn a_failure_skips_those_that_depend_on_it_and_no_other() {
    for jobs in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let (plan, store) = (plan(), open(folder.path()));
        let log = Log::default();
        let failing = MockExecutor::failing(|stage| is_model_of_seed(stage, 0));
        let report = run(&plan, &store, &failing, &log, jobs).unwrap();
        assert!(!report.is_complete());
        assert_eq!(
            report.failed,
            [("seed 0: model".to_owned(), "the disk is on fire".to_owned())]
        );
        assert_eq!((report.skipped, report.done), (AFTER_A_MODEL, STAGES / 2));
        for (id, stage) in plan.stages() {
            assert_eq!(
                is_finished(&store, id),
                stage.seed() == 1,
                "{}",
                stage.title()
            );
        }
        let skipped = log.ended().into_iter();
        let skipped = skipped.filter(|(_, outcome)| *outcome == Outcome::Skipped);
        assert_eq!(skipped.count(), AFTER_A_MODEL);
        assert!(collect_records(std::slice::from_ref(&plan), &store).is_err());

        let executor = MockExecutor::obedient();
        let report = run(&plan, &store, &executor, &Log::default(), jobs).unwrap();
        assert_eq!((report.cached, report.done), (STAGES / 2, STAGES / 2));
        assert!(report.is_complete());
        assert_eq!(executor.executed().len(), STAGES / 2);
    }
}

#[test]
fn a_failed_encoder_costs_its_own_measurements_only() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    let failing = MockExecutor::failing(|stage| stage.title() == "seed 1: fit mlp-4");
    let report = run(&plan, &store, &failing, &Log::default(), 2).unwrap();
    assert_eq!((report.failed.len(), report.skipped), (1, 2));
    let missing: Vec<String> = plan
        .stages()
        .iter()
        .filter(|(id, _)| !is_finished(&store, id))
        .map(|(_, stage)| stage.title())
        .collect();
    assert_eq!(
        missing,
        [
            "seed 1: fit mlp-4",
            "seed 1: measure mlp-4, train points 0 to 2",
            "seed 1: measure mlp-4, test points 0 to 1"
        ]
    );
}

#[test]
fn a_panic_fails_its_stage_with_its_message_and_loses_no_other() {
    for jobs in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let (plan, store) = (plan(), open(folder.path()));
        let panicking = MockExecutor::panicking(|stage| is_model_of_seed(stage, 1));
        let report = run(&plan, &store, &panicking, &Log::default(), jobs).unwrap();
        assert_eq!(
            report.failed,
            [(
                "seed 1: model".to_owned(),
                "internal error: an invariant is broken".to_owned()
            )]
        );
        assert_eq!((report.done, report.skipped), (STAGES / 2, AFTER_A_MODEL));
        let report = run(
            &plan,
            &store,
            &MockExecutor::obedient(),
            &Log::default(),
            jobs,
        );
        assert_eq!(report.unwrap().done, STAGES / 2);
    }
}

#[test]
fn wherever_a_run_breaks_off_the_next_one_does_the_rest() {
    let plan = plan();
    for k in 0..STAGES {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let crashing = MockExecutor::failing_from(k);
        let first = run(&plan, &store, &crashing, &Log::default(), 2).unwrap();
        assert_eq!(first.done, k);
        let executor = MockExecutor::obedient();
        let second = run(&plan, &store, &executor, &Log::default(), 2).unwrap();
        assert_eq!((second.cached, second.done), (k, STAGES - k));
        assert_eq!(executor.executed().len(), STAGES - k);
        assert!(collect_records(std::slice::from_ref(&plan), &store).is_ok());
    }
}

#[test]
fn a_half_made_stage_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    let partial = |id: &StageId| folder.path().join(".stages").join(format!("{id}.partial"));
    for (id, _) in plan.stages() {
        // A killed run leaves this behind.
        fs::create_dir(partial(id)).unwrap();
        fs::write(partial(id).join("garbage"), "half").unwrap();
        fs::write(partial(id).join("records.parquet"), "half").unwrap();
    }
    let report = run(&plan, &store, &MockExecutor::obedient(), &Log::default(), 2);
    assert_eq!(report.unwrap().done, STAGES);
    for (id, _) in plan.stages() {
        assert!(store.stages().read_file(id.as_str(), "garbage").is_err());
        assert!(!partial(id).exists());
    }
}

/// Every kind of damage to every file of one stage.
#[test]
fn a_damaged_stage_is_set_aside_with_its_reason_and_executed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    run(&plan, &store, &MockExecutor::obedient(), &Log::default(), 2).unwrap();
    let [(model, stage), (other, _)] = [&plan.stages()[0], &plan.stages()[1]];
    let place = |id: &StageId| folder.path().join(".stages").join(id.as_str());
    let files = ["note", "records.parquet", "seconds", "manifest.json"];
    type Damage = fn(&Path, &Path);
    let damage: [(&str, Damage); 6] = [
        ("flipped", |file, _| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("cut", |file, _| fs::write(file, "short").unwrap()),
        ("emptied", |file, _| fs::write(file, "").unwrap()),
        ("removed", |file, _| fs::remove_file(file).unwrap()),
        ("taken from another stage", |file, other| {
            fs::copy(other, file).unwrap();
        }),
        ("a folder", |file, _| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }),
    ];
    for file in files {
        for (what, damage) in damage {
            let intact = fs::read(place(model).join(file)).unwrap();
            let same = intact == fs::read(place(other).join(file)).unwrap();
            if same && what == "taken from another stage" {
                continue;
            }
            damage(&place(model).join(file), &place(other).join(file));
            assert!(
                store.stages().read_file(model.as_str(), "note").is_err() || file != "note",
                "{file} {what}"
            );
            let (executor, log) = (MockExecutor::obedient(), Log::default());
            let report = run(&plan, &store, &executor, &log, 2).unwrap();
            assert_eq!(
                (report.done, report.cached),
                (1, STAGES - 1),
                "{file} {what}"
            );
            assert_eq!(
                executor.executed(),
                std::slice::from_ref(model),
                "{file} {what}"
            );
            let [message] = &log.set_aside()[..] else {
                panic!("{file} {what}: {:?}", log.set_aside());
            };
            assert!(message.starts_with(&stage.title()), "{message}");
        }
    }
}

#[test]
fn runs_in_one_folder_at_a_time_share_the_stages_and_none_is_executed_twice() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (plan, executor) = (plan(), MockExecutor::obedient());
        let reports: Vec<RunReport> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let store = open(folder.path());
                        run(&plan, &store, &executor, &Log::default(), 2).unwrap()
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(executor.executed().len(), STAGES);
        assert_eq!(reports.iter().map(|r| r.done).sum::<usize>(), STAGES);
        for report in reports {
            assert!(report.is_complete());
            assert_eq!(report.done + report.cached, STAGES);
        }
    }
}

#[test]
fn a_stage_that_fails_elsewhere_is_executed_here() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, store) = (plan(), open(folder.path()));
    let first = plan.stages()[0].0.clone();
    let claim = store.claim_stage(first.as_str()).unwrap().unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let executor = MockExecutor::obedient();
            run(&plan, &store, &executor, &Log::default(), 2).unwrap()
        });
        // The stages of the other seed do not wait for this one.
        let last = &plan.stages()[STAGES - 1].0;
        while !is_finished(&store, last) {
            std::thread::yield_now();
        }
        assert!(!is_finished(&store, &first));
        drop(claim);
        assert_eq!(run.join().unwrap().done, STAGES);
    });
}

#[test]
fn records_come_in_the_plans_order_whatever_the_number_of_jobs() {
    let plan = plan();
    let expected: Vec<String> = plan
        .stages()
        .iter()
        .filter(|(_, stage)| MockExecutor::measures(stage))
        .map(|(_, stage)| stage.title())
        .collect();
    for jobs in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        run(
            &plan,
            &store,
            &MockExecutor::obedient(),
            &Log::default(),
            jobs,
        )
        .unwrap();
        let records = collect_records(std::slice::from_ref(&plan), &store).unwrap();
        let titles: Vec<String> = records.into_iter().map(|record| record.model).collect();
        assert_eq!(titles, expected, "{jobs} jobs");
    }
}

#[test]
fn another_plan_in_the_same_folder_keeps_what_both_need() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    run(
        &plan(),
        &store,
        &MockExecutor::obedient(),
        &Log::default(),
        2,
    )
    .unwrap();
    let executor = MockExecutor::obedient();
    let more = plan_with("iw_samples = 10", "iw_samples = 20");
    let report = run(&more, &store, &executor, &Log::default(), 2).unwrap();
    // Two models and four encoders are kept; everything is measured again.
    assert_eq!((report.cached, report.done), (6, 12));
}

#[test]
fn records_and_traces_are_collected_with_their_variant() {
    let variants = "[ascents.default]\nprotocol = \"default\"\n\n[variants.a]\n\n[variants.b.estimators]\niw_samples = 11\n";
    let plans = plans_on(&format!("{SPEC}\n{variants}"), "cpu");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let executor = MockExecutor::obedient();
    let mut report = RunReport::default();
    for plan in &plans {
        report += run(plan, &store, &executor, &Log::default(), 2).unwrap();
    }
    // A stage that variants share is executed once, but counted for each of them.
    assert!(report.is_complete() && report.cached > 0);
    assert_eq!(
        report.done + report.cached,
        plans.iter().map(|plan| plan.stages().len()).sum::<usize>()
    );
    let records = collect_records(&plans, &store).unwrap();
    let trace: Vec<TracePoint> = rows::collect_rows(&plans, &store).unwrap();
    let n_ascents = |stages: &[(StageId, Stage)]| {
        stages
            .iter()
            .filter(|(_, stage)| matches!(stage, Stage::Ascent { .. }))
            .count()
    };
    for plan in &plans {
        let with_variant = |variant: &Option<String>| variant.as_deref() == plan.variant();
        let measured = plan
            .stages()
            .iter()
            .filter(|(_, stage)| MockExecutor::measures(stage));
        assert_eq!(
            records.iter().filter(|r| with_variant(&r.variant)).count(),
            measured.count()
        );
        assert_eq!(
            trace.iter().filter(|p| with_variant(&p.variant)).count(),
            n_ascents(plan.stages())
        );
    }
    assert_eq!(trace.len(), 4);
}
