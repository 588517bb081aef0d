//! No key is accepted and ignored: after a change of any key of a spec, a stage's name or the report is
//! different, or the spec is refused.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_harness::stored_models::StoredModels;
use gap_harness::{Environment, Plan};
use gap_spec::document;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::{Table, Value};

/// Keys that only set how work is divided, so that no result depends on them.
const CUTS_WORK_UP: [&str; 2] = ["evaluation.batch_size", "evaluation.chunk_size"];

/// Specs that together contain every key.
const SPECS: [&str; 9] = [
    // A decoder of grey images, with all kinds of measurements of its encoders.
    r#"
name = "grey"
question = "Is it read?"
surprise = "It is not."
seeds = [0, 1]
data = { name = "digits", split_seed = 0, train_points = 100, measure_train = 4, measure_test = 3 }
family = { kind = "full-gaussian" }
free_form = { starts = ["prior", "encoder"], random_starts = 1, protocol = "default", tolerance_nats = 0.01, max_steps = 100, precision = "mixed" }
refinement = { steps = [1, 2], rule = "adam", n_samples = 8, learning_rate = 0.02, precision = "mixed" }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1, precision = "mixed" }
evaluation = { batch_size = 10 }

[model]
kind = "mlp-decoder"
latent_dim = 3
hidden = [4, 5]
activation = "tanh"
likelihood = "gaussian"
noise_std = 0.2
decoder = "shared"
training = { encoder_hidden = [4], encoder_inputs = "raw", steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1, precision = "mixed" }

[[encoders]]
kind = "linear"

[[encoders]]
kind = "mlp"
hidden = [6]
activation = "elu"
inputs = "standardized"

[estimators]
elbo_samples = 20
iw_samples = 30
adaptive = { target_std_error_nats = 0.1, first_samples = 10, most_samples = 40, prior_share = 0.1 }
annealed = { temperatures = 5, chains = 3, leapfrog_steps = 2, schedule = "linear", start = "free-form", simulated_points = 2, precision = "mixed" }
"#,
    // Convolutions, a decoder for each encoder, and a list of inverse temperatures.
    r#"
name = "convolutions"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
precision = "single"
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }
refinement = { steps = [1] }

[model]
kind = "conv-decoder"
latent_dim = 3
channels = [4, 5]
decoder = "joint"
training = { steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[[encoders]]
kind = "conv"
channels = [2, 3]

[estimators.annealed]
chains = 3
schedule = [0.0, 0.5, 1.0]
"#,
    // A model with closed forms, and a calibration.
    r#"
name = "oracle"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "synthetic", train_points = 100, measure_train = 4, measure_test = 3 }
model = { kind = "linear-gaussian", latent_dim = 2, observed_dim = 4, noise_std = 0.5, condition_number = 3.0 }
calibration = { replicates = 10, points = 2 }
"#,
    // A time series, where encoders can see several observations.
    r#"
name = "series"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "synthetic", train_points = 100, measure_train = 4, measure_test = 3 }
model = { kind = "time-series", latent_dim = 1 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
refinement = { steps = [1] }
encoders = [{ kind = "mlp", hidden = [3], context = 2 }]
"#,
    // Pictures.
    r#"
name = "pictures"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
refinement = { steps = [1] }
encoders = [{ kind = "linear" }]
pictures = { points = 2, cells = 10 }

[model]
kind = "mlp-decoder"
latent_dim = 2
hidden = []
training = { encoder_hidden = [], steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
"#,
    // Ascents by protocol and by rule.
    r#"
name = "ascents"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }

[model]
kind = "mlp-decoder"
latent_dim = 2
hidden = [4]
training = { encoder_hidden = [4], steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[ascents.published]
protocol = "adam-cremer-2018"
max_steps = 10

[ascents.adam]
rule = "adam"
noise = "fresh"
n_samples = 4
stopping = "plateau"
learning_rate = 0.1
averaged = true

[ascents.newton]
rule = "averaged-newton"
below_nats = 0.01
"#,
    // Several protocols, refinements and objectives.
    r#"
name = "methods"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
encoders = [{ kind = "linear" }, { kind = "linear", objective = { kind = "importance-weighted", n_importance = 3 } }, { kind = "linear", objective = "reweighted-wake" }]

[model]
kind = "mlp-decoder"
latent_dim = 2
hidden = [4]
training = { encoder_hidden = [4], steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[protocols.published]
starts = ["prior", "encoder"]
random_starts = 1
protocol = "adam-cremer-2018"
tolerance_nats = 0.02
max_steps = 10
precision = "mixed"

[protocols.plain]

[refinements.adam]
steps = [1, 2]
rule = "adam"
n_samples = 8
learning_rate = 0.02
precision = "mixed"

[refinements.newton]
steps = [3]
"#,
    // A decoder from a file; its weights are read only when a stage needs them.
    r#"
name = "stored"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }
model = { kind = "mlp-decoder", latent_dim = 2, hidden = [4], weights = "every_key_matters.rs" }
ascents = { newton = { rule = "averaged-newton" } }
"#,
    // Two variants of one experiment.
    r#"
name = "variants"
question = "Is it read?"
surprise = "It is not."
seeds = [0]
data = { name = "digits-binarized", train_points = 100, measure_train = 4, measure_test = 3 }
encoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }
refinement = { steps = [1] }
encoders = [{ kind = "linear" }]

[model]
kind = "mlp-decoder"
latent_dim = 2
hidden = [4]
training = { encoder_hidden = [4], steps = 3, batch_size = 5, learning_rate = 0.01, n_samples = 1 }

[variants.small]

[variants.large.model]
latent_dim = 5
"#,
];

/// Keys that cannot be changed alone, each with edits of a spec that also change the keys that depend on it.
const TAKE_OTHERS_ALONG: [(&str, &[(&str, &str)]); 5] = [
    (
        "encoders.kind",
        &[(r#"kind = "mlp", hidden = [3]"#, r#"kind = "linear""#)],
    ),
    (
        "model.decoder",
        &[
            (
                "decoder = \"joint\"\ntraining = {",
                "decoder = \"shared\"\ntraining = { encoder_hidden = [2],",
            ),
            (
                "refinement = { steps = [1] }\n\n[model]\nkind = \"conv-decoder\"",
                "refinement = { steps = [1] }\nencoder_training = { steps = 2, batch_size = 5, learning_rate = 0.01, n_samples = 1 }\n\n[model]\nkind = \"conv-decoder\"",
            ),
        ],
    ),
    (
        "model.kind",
        &[(
            "kind = \"mlp-decoder\"\nlatent_dim = 2\nhidden = []",
            "kind = \"conv-decoder\"\nlatent_dim = 2\nchannels = [2, 3]",
        )],
    ),
    (
        "model.weights",
        &[("\"every_key_matters.rs\"", "\"planning.rs\"")],
    ),
    (
        "model.likelihood",
        &[(
            "likelihood = \"gaussian\"\nnoise_std = 0.2",
            "likelihood = \"learned-gaussian\"",
        )],
    ),
];

#[test]
fn a_key_that_takes_others_along_changes_a_stage_with_them() {
    for (key, edits) in TAKE_OTHERS_ALONG {
        let has_all = |text: &&str| edits.iter().all(|(from, _)| text.contains(from));
        let before = SPECS.into_iter().find(has_all).expect(key);
        let edit = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        let after = edits.iter().fold(before.to_owned(), edit);
        let [before, after] = [before, &after].map(|text| fingerprint(text).expect(key));
        assert_ne!(before, after, "{key}");
    }
}

/// What a key may change: what the report says of the experiment, and a digest of the plans. An error is the
/// message with which the spec is refused.
fn fingerprint(text: &str) -> Result<[String; 4], String> {
    let experiment = document::parse("spec.toml".as_ref(), text).map_err(|e| e.to_string())?;
    let environment = Environment {
        source: "source".to_owned(),
        device: "cpu".to_owned(),
        math: "stock".to_owned(),
        kernels: "off".to_owned(),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec.toml");
    let mut plans = Vec::new();
    for problem in &experiment.problems {
        let stored = StoredModels::default().with_weights_of(&problem.spec, &path);
        let stored = stored.map_err(|e| e.to_string())?;
        plans.push(Plan::new(problem, &environment, &stored));
    }
    let plans = gap_harness::plan::digest(&plans);
    Ok([
        experiment.name,
        experiment.question,
        experiment.surprise,
        plans,
    ])
}

/// The sections whose tables have names that the user chooses, except variants.
const NAMED_TABLES: [&str; 3] = ["ascents", "protocols", "refinements"];

/// One step of a path, from a table or a list to a value in it.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Adds to `into` the paths of all values in `value` that are not tables; `path` is that of `value`.
fn leaves(value: &Value, path: &[Step], into: &mut Vec<Vec<Step>>) {
    let step = |step: Step| [path, &[step]].concat();
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                leaves(value, &step(Step::Key(key.clone())), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (i, item) in items.iter().enumerate() {
                leaves(item, &step(Step::Index(i)), into);
            }
        }
        _ => into.push(path.to_vec()),
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Index(i) => &mut value[*i],
    })
}

/// The name of the key at `path`, as in `encoders.hidden`, without list indices and the names that users give
/// to tables.
fn name(path: &[Step]) -> String {
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    match keys[..] {
        [section, _, key] if NAMED_TABLES.contains(&section) => format!("{section}.{key}"),
        ["variants", _, ref keys @ ..] => keys.join("."),
        _ => keys.join("."),
    }
}

/// Every word that may be the value of some key.
fn words() -> Vec<String> {
    fn of<T: ToString>(words: &[T]) -> Vec<String> {
        words.iter().map(T::to_string).collect()
    }
    let names = ["digits", "digits-binarized", "mnist"];
    [
        of(gap_spec::Activation::ALL),
        of(gap_spec::LikelihoodKind::ALL),
        of(gap_spec::FloatPrecision::ALL),
        of(gap_spec::Precision::ALL),
        of(gap_spec::Family::ALL),
        of(gap_spec::ModelKind::ALL),
        of(gap_spec::DecoderSharing::ALL),
        of(gap_spec::EncoderKind::ALL),
        of(gap_spec::EncoderInputs::ALL),
        of(gap_spec::ObjectiveKind::ALL),
        of(gap_spec::Protocol::ALL),
        of(gap_spec::StepRule::ALL),
        of(gap_spec::NoiseSource::ALL),
        of(gap_spec::StoppingRule::ALL),
        of(gap_spec::AnnealedStart::ALL),
        of(gap_spec::ScheduleShape::ALL),
        of(&names),
    ]
    .concat()
}

/// Other values to try in place of `value`.
fn other_values(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(n) => vec![
            Value::Integer(n + 1),
            Value::Integer(2 * n + 1),
            Value::Integer((n - 1).max(1)),
        ],
        Value::Float(x) => vec![Value::Float(x * 1.5), Value::Float(x * 0.5)],
        Value::Boolean(b) => vec![Value::Boolean(!b)],
        Value::String(text) => {
            let others = words().into_iter().filter(|word| word != text);
            let longer = format!("{text}-more");
            others.chain([longer]).map(Value::String).collect()
        }
        Value::Array(items) => {
            let mut fewer = items.clone();
            fewer.pop();
            let mut other = items.clone();
            if let Some(last) = other.last_mut() {
                *last = other_values(last).remove(0);
            } else {
                other.push(Value::Integer(3));
            }
            let mut others = vec![fewer, other];
            if items.len() > 2 {
                let mut middle = items.clone();
                middle[1] = other_values(&middle[1]).remove(1);
                others.push(middle);
            }
            others.into_iter().map(Value::Array).collect()
        }
        Value::Table(_) | Value::Datetime(_) => panic!("no key has such a value"),
    }
}

/// The text of `spec` as it is, and with all defaults written out.
fn with_and_without_defaults(spec: &str) -> [String; 2] {
    let experiment = document::parse("spec.toml".as_ref(), spec).unwrap();
    [spec.to_owned(), document::write(&experiment).to_owned()]
}

#[test]
fn every_key_changes_a_stage_or_the_report_or_is_refused() {
    // For each key, the number of its changes that were accepted.
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    for text in SPECS.into_iter().flat_map(with_and_without_defaults) {
        let whole = Value::Table(toml::from_str::<Table>(&text).unwrap());
        let before = fingerprint(&text).unwrap();
        let mut paths = Vec::new();
        leaves(&whole, &[], &mut paths);
        for path in paths {
            let key = name(&path);
            let count = taken.entry(key.clone()).or_default();
            let value = at(&mut whole.clone(), &path).clone();
            for other in other_values(&value) {
                if other == value {
                    continue;
                }
                let mut changed = whole.clone();
                *at(&mut changed, &path) = other.clone();
                let changed = toml::to_string(&changed).unwrap();
                let Ok(after) = fingerprint(&changed) else {
                    continue;
                };
                let is_same = after == before;
                let cuts_work_up = CUTS_WORK_UP.contains(&key.as_str());
                assert_eq!(is_same, cuts_work_up, "`{key}` = {other} in\n{text}");
                *count += 1;
            }
        }
    }
    let always_refused = taken.iter().filter(|(_, count)| **count == 0);
    let always_refused: BTreeSet<&str> = always_refused.map(|(key, _)| key.as_str()).collect();
    let takes_others_along: BTreeSet<&str> = TAKE_OTHERS_ALONG.iter().map(|c| c.0).collect();
    assert_eq!(always_refused, takes_others_along);
    let covered: BTreeSet<String> = taken.into_keys().collect();
    let missing: Vec<String> = known_keys()
        .into_iter()
        .filter(|key| {
            !covered
                .iter()
                .any(|c| c == key || c.starts_with(&format!("{key}.")))
        })
        .collect();
    assert!(missing.is_empty(), "no spec of this test has {missing:?}");
}

/// Every key that a spec may have, from the lists in the error messages about unknown keys.
fn known_keys() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for text in SPECS.into_iter().flat_map(with_and_without_defaults) {
        let whole = Value::Table(toml::from_str::<Table>(&text).unwrap());
        let mut tables: BTreeSet<String> = BTreeSet::new();
        let mut paths = Vec::new();
        leaves(&whole, &[], &mut paths);
        for path in paths {
            for end in 0..path.len() {
                let section = &path[..end];
                // A table whose keys are names that the user chooses accepts any key.
                let is_named = matches!(section.last(), Some(Step::Key(key)) if NAMED_TABLES.contains(&key.as_str()) || key == "variants");
                let is_list = matches!(path[end], Step::Index(_));
                let in_variant =
                    matches!(section.first(), Some(Step::Key(key)) if key == "variants");
                if is_named || is_list || in_variant || !tables.insert(format!("{section:?}")) {
                    continue;
                }
                let mut changed = whole.clone();
                let table = at(&mut changed, section).as_table_mut().unwrap();
                table.insert("no-such-key".to_owned(), Value::Boolean(true));
                let error = fingerprint(&toml::to_string(&changed).unwrap()).unwrap_err();
                let listed = error.split("expected one of ").nth(1);
                let listed = listed.or_else(|| error.split("expected ").nth(1));
                let listed = listed.unwrap_or_else(|| panic!("{error}"));
                let keys = listed.split('`').skip(1).step_by(2);
                let prefix = name(&[section, &[Step::Key(String::new())]].concat());
                known.extend(keys.map(|key| format!("{prefix}{key}")));
            }
        }
    }
    known.remove("variants");
    known
}
