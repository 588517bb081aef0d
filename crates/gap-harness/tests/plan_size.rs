//! The size of a plan, which is computed before the plan is built: the number of its stages, and the memory that
//! they need.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_harness::stored_models::StoredModels;
use gap_harness::{Environment, Plan, PlanSize, PlanTooLarge};
use gap_spec::{Experiment, document};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

const GIB: u64 = 1 << 30;

/// Specs that together have every count.
const SPECS: [&str; 4] = [
    // Real data, a shared decoder, encoders, ascents and annealing.
    r#"
name = "digits"
question = "Does it fit?"
surprise = "It does not."
seeds = [0]
data = { name = "digits-binarized", split_seed = 0, train_points = 100, measure_train = 120, measure_test = 51 }
refinement = { steps = [1, 2], n_samples = 16 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
evaluation = { batch_size = 10 }
free_form = { max_steps = 100 }
encoders = [{ kind = "linear" }, { kind = "mlp", hidden = [6, 7] }, { kind = "conv", channels = [2, 3] }, { kind = "linear", objective = { kind = "importance-weighted", n_importance = 5 } }]

[model]
kind = "mlp-decoder"
latent_dim = 3
hidden = [4, 5]
training = { encoder_hidden = [4], steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[protocols]
published = { protocol = "adam-cremer-2018", max_steps = 10 }
restarts = { random_starts = 2 }

[refinements]
newton = { steps = [3], n_samples = 16 }

[ascents]
newton = { rule = "averaged-newton", noise = "independent", n_samples = 8, max_steps = 10 }
published = { protocol = "adam-cremer-2018", max_steps = 10 }

[estimators]
elbo_samples = 20
iw_samples = 30
adaptive = { target_std_error_nats = 0.1, first_samples = 10, most_samples = 40 }
annealed = { temperatures = 5, chains = 3, leapfrog_steps = 2, simulated_points = 52 }
"#,
    // Convolutions, and a decoder for each encoder.
    r#"
name = "convolutions"
question = "Does it fit?"
surprise = "It does not."
seeds = [0, 1]
data = { name = "digits-binarized", measure_train = 4, measure_test = 3 }
refinement = { steps = [1] }
encoders = [{ kind = "conv", channels = [2, 3] }, { kind = "mlp", hidden = [6] }]
pictures = { points = 2, cells = 10 }

[model]
kind = "conv-decoder"
latent_dim = 2
channels = [4, 5]
decoder = "joint"
training = { steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[estimators]
adaptive = { target_std_error_nats = 0.1, most_samples = 4000 }
annealed = { chains = 3, schedule = [0.0, 0.5, 1.0], simulated_points = 1 }
"#,
    // A model with closed forms, a calibration, and data that are drawn from it.
    r#"
name = "oracle"
question = "Does it fit?"
surprise = "It does not."
seeds = [0]
data = { name = "synthetic", train_points = 100, measure_train = 4, measure_test = 3 }
model = { kind = "linear-gaussian", latent_dim = 2, observed_dim = 4 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
refinement = { steps = [1] }
encoders = [{ kind = "mlp", hidden = [3] }]
calibration = { replicates = 10, points = 2 }
evaluation = { batch_size = 4294967295 }

[estimators.annealed]
temperatures = 5
chains = 3
"#,
    // A series.
    r#"
name = "series"
question = "Does it fit?"
surprise = "It does not."
seeds = [0]
data = { name = "synthetic", train_points = 100, measure_train = 4, measure_test = 3 }
model = { kind = "time-series", latent_dim = 1 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
refinement = { steps = [1] }
encoders = [{ kind = "mlp", hidden = [3], context = 2 }]
"#,
];

fn parsed(spec: &str) -> Experiment {
    document::parse(Path::new("spec.toml"), spec).unwrap()
}

/// The spec with overrides, as `--set` takes them.
fn overridden(spec: &str, overrides: &[String]) -> Result<Experiment, document::SpecError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spec.toml");
    fs::write(&path, spec).unwrap();
    document::read(&path, overrides)
}

fn published_experiments() -> Vec<Experiment> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
    let files = fs::read_dir(folder).unwrap();
    let files = files.map(|entry| document::read(&entry.unwrap().path(), &[]).unwrap());
    files.collect()
}

/// The number of stages, computed from the spec for a machine with this memory.
fn n_stages_on(available: Option<u64>, experiment: &Experiment) -> Result<u64, Box<PlanTooLarge>> {
    let mut size = PlanSize::new(available);
    for problem in &experiment.problems {
        size.add_problem(problem)?;
    }
    Ok(size.n_stages())
}

/// The number of stages of the plans as they are built.
fn n_stages_built(experiment: &Experiment) -> u64 {
    let environment = Environment {
        source: "source".into(),
        device: "cpu".into(),
        math: "stock".into(),
        kernels: "off".into(),
    };
    let problems = experiment.problems.iter();
    let plans = problems.map(|problem| Plan::new(problem, &environment, &StoredModels::default()));
    plans.map(|plan| plan.stages().len() as u64).sum()
}

#[test]
fn the_number_of_stages_is_that_of_the_plan_that_is_built() {
    let own = SPECS.map(parsed);
    let published = published_experiments();
    assert!(published.len() > 5);
    for experiment in own.iter().chain(&published) {
        assert_eq!(
            n_stages_on(None, experiment).unwrap(),
            n_stages_built(experiment),
            "{}",
            experiment.name
        );
    }
}

#[test]
fn published_experiments_fit_into_24_gib_and_into_much_less() {
    for experiment in published_experiments() {
        for available in [24 * GIB, GIB] {
            n_stages_on(Some(available), &experiment).unwrap();
        }
    }
}

/// Adds the paths of all whole numbers in `value`, as `--set` takes them.
fn add_counts(path: &str, value: &Value, to: &mut Vec<String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Integer(_) => to.push(path.to_owned()),
        Value::Table(table) => {
            for (name, value) in table {
                add_counts(&below(name), value, to);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                add_counts(&below(&i.to_string()), item, to);
            }
        }
        _ => {}
    }
}

/// Counts that take only time, however large they are: steps, draws that are streamed, and numbers of points in
/// a batch, of which there are never more than points. Seeds are no counts.
const TAKES_ONLY_TIME: [&str; 19] = [
    "seeds.0",
    "seeds.1",
    "data.split_seed",
    "model.training.steps",
    "model.training.batch_size",
    "encoder_training.steps",
    "encoder_training.batch_size",
    "free_form.max_steps",
    "protocols.published.max_steps",
    "refinement.steps.0",
    "refinement.steps.1",
    "refinements.newton.steps.0",
    "ascents.newton.max_steps",
    "ascents.published.max_steps",
    "estimators.elbo_samples",
    "estimators.iw_samples",
    "estimators.adaptive.most_samples",
    "estimators.annealed.leapfrog_steps",
    "evaluation.batch_size",
];

#[test]
fn every_count_at_its_largest_is_refused_by_its_key_or_takes_only_time() {
    let mut seen = BTreeSet::new();
    for spec in SPECS {
        let table: Table = toml::from_str(spec).unwrap();
        let mut counts = Vec::new();
        add_counts("", &Value::Table(table), &mut counts);
        for count in counts {
            let experiment = overridden(spec, &[format!("{count}=4294967295")]);
            let Ok(experiment) = experiment else {
                continue; // The spec's own check refuses it, with a message that is tested there.
            };
            let size = n_stages_on(Some(24 * GIB), &experiment);
            let takes_only_time = TAKES_ONLY_TIME.contains(&count.as_str())
                // Data sets have their own numbers of points, which are checked when they are read.
                || (count == "data.train_points" && !spec.contains("synthetic"));
            if takes_only_time {
                size.unwrap_or_else(|error| panic!("{count}: {error}"));
                seen.insert(count);
                continue;
            }
            let error = size.map(|n| panic!("{count}: {n} stages")).unwrap_err();
            // `model.hidden.0` is called `model.hidden[0]` in messages.
            let key = count.split('.').map(|part| match part.parse::<u32>() {
                Ok(i) => format!("[{i}]"),
                Err(_) => format!(".{part}"),
            });
            let key = key.collect::<String>();
            let start = format!("`{}` is 4294967295, ", key.trim_start_matches('.'));
            assert!(error.to_string().starts_with(&start), "{count}: {error}");
        }
    }
    for count in TAKES_ONLY_TIME {
        // With ascents, `elbo_samples` has a limit of its own.
        assert!(
            seen.contains(count) || count == "estimators.elbo_samples",
            "{count}"
        );
    }
}

#[test]
fn memory_is_refused_from_where_it_ends_with_the_numbers_in_the_message() {
    let draws = |n: u32| overridden(SPECS[0], &[format!("encoder_training.n_samples={n}")]);
    // Five datapoints with five times as many draws, each of three normals, three latent variables and three
    // scores.
    let bytes = |n: u32| 5 * 5 * u64::from(n) * 9 * 4;
    let n = 20_000_000;
    let error = n_stages_on(Some(bytes(n)), &draws(n).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`encoder_training.n_samples` is 20000000, with which fitting linear-importance-weighted-5 takes at least 18.0 GB of memory, and there is 18.0 GB; use a smaller number, or a machine with more memory"
    );
    n_stages_on(Some(bytes(n) + GIB), &draws(n).unwrap()).unwrap();
    n_stages_on(None, &draws(u32::MAX).unwrap()).unwrap();
}

#[test]
fn lists_and_tables_that_make_too_many_stages_are_named_with_their_length() {
    let seeds: Vec<u32> = (0..20_000).collect();
    let set = format!("seeds={seeds:?}");
    let error = n_stages_on(None, &overridden(SPECS[0], &[set]).unwrap()).unwrap_err();
    let n = 20_000 * n_stages_built(&parsed(SPECS[0]));
    assert_eq!(
        error.to_string(),
        format!(
            "`seeds` has 20000 entries, and the plan would have {n} stages; a plan has at most 100000, so use fewer"
        )
    );
    let ascents: String = (0..99_990)
        .map(|i| format!("[ascents.a{i}]\nprotocol = \"default\"\n"))
        .collect();
    let error = n_stages_on(None, &parsed(&format!("{}{ascents}", SPECS[0]))).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`ascents` has 99992 entries, "),
        "{error}"
    );
    let protocols: String = (0..99_990).map(|i| format!("[protocols.p{i}]\n")).collect();
    let error = n_stages_on(None, &parsed(&format!("{}{protocols}", SPECS[0]))).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`protocols` has 99992 entries, "),
        "{error}"
    );
    let variants: String = (0..5000).map(|i| format!("[variants.v{i}]\n")).collect();
    let error = n_stages_on(None, &parsed(&format!("{}{variants}", SPECS[0]))).unwrap_err();
    let error = error.to_string();
    let (variant, rest) = error.split_once(": ").unwrap();
    assert!(variant.starts_with("variant `v"), "{error}");
    assert!(rest.starts_with("`variants` has "), "{error}");
}

#[test]
fn the_records_of_all_stages_are_collected_and_must_fit_together() {
    // A stage of a million points fits easily, and the records of 300 seeds together do not.
    let seeds: Vec<u32> = (0..300).collect();
    let points = ["train_points", "measure_train", "measure_test"];
    let mut overrides = vec![format!("seeds={seeds:?}")];
    overrides.extend(points.map(|key| format!("data.{key}=1000000")));
    overrides.push("evaluation.chunk_size=1000000".to_owned());
    let one = overridden(SPECS[3], &overrides[1..]).unwrap();
    n_stages_on(Some(24 * GIB), &one).unwrap();
    let all = overridden(SPECS[3], &overrides).unwrap();
    let error = n_stages_on(Some(24 * GIB), &all).unwrap_err().to_string();
    assert!(
        error.starts_with("`data.measure_t") && error.contains("collecting the records"),
        "{error}"
    );
}
