//! Models that were fitted once, and that other runs take from a folder.

#![cfg(feature = "compute")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod experiment;

use experiment::{Bench, DIGITS, edited, joint, refusal, succeeds, summary};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The folders of the models that `amortgap models` saved in `models`.
fn saved(bench: &Bench) -> Vec<PathBuf> {
    let folders = fs::read_dir(bench.path("models")).unwrap();
    folders.map(|folder| folder.unwrap().path()).collect()
}

fn provenance(bench: &Bench, out: &str) -> Value {
    let text = fs::read_to_string(bench.path(out).join("provenance.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The summary without the names of stages, in which the digests of stored models are.
fn without_model_names(mut summary: Value) -> Value {
    for cell in summary["cells"].as_array_mut().unwrap() {
        cell.as_object_mut().unwrap().remove("model").unwrap();
    }
    summary
}

/// Runs the spec, saves its models, and runs it elsewhere with these.
fn check_that_stored_models_give_the_same_numbers(spec: &str, n_models: usize) -> Bench {
    let bench = Bench::with(spec);
    let fitted = bench.summary_of_run("fitted", &[]);
    let (stdout, _) = succeeds(&mut bench.amortgap(&["models", "fitted", "--out", "models"]));
    assert_eq!(
        stdout,
        format!(
            "{n_models} models are in models; `amortgap run SPEC --models models` takes them in place of fits\n"
        )
    );
    let (_, stderr) = succeeds(&mut bench.run("taken", &["--models", "models"]));
    let taken = format!("{n_models} of {n_models} models are taken from models\n");
    assert!(stderr.contains(&taken), "{stderr}");
    let [taken, fitted] = [summary(&bench.path("taken")), fitted].map(without_model_names);
    assert_eq!(taken, fitted);
    let numbers = |out: &str| provenance(&bench, out)["numbers"].clone();
    assert_eq!(numbers("taken"), numbers("fitted"));
    let of_provenance = provenance(&bench, "taken")["stored_models"].clone();
    assert_eq!(of_provenance.as_object().unwrap().len(), n_models);
    bench
}

#[test]
fn shared_decoders_from_a_folder_give_the_same_numbers() {
    let bench = check_that_stored_models_give_the_same_numbers(DIGITS, 2);
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "taken"]));
    assert!(stdout.starts_with("taken: 0 stages removed"), "{stdout}");
    // Its digest is a part of what results depend on: other weights of the same settings are another model.
    let [one, other] = &saved(&bench)[..] else {
        panic!("two seeds")
    };
    let before = fs::read(one.join("model.safetensors")).unwrap();
    fs::copy(
        other.join("model.safetensors"),
        one.join("model.safetensors"),
    )
    .unwrap();
    let swapped = bench.summary_of_run("swapped", &["--models", "models"]);
    let [swapped, taken] = [swapped, summary(&bench.path("taken"))].map(without_model_names);
    assert_ne!(swapped, taken);
    fs::write(one.join("model.safetensors"), before).unwrap();
}

#[test]
fn joint_decoders_from_a_folder_come_with_their_encoders() {
    check_that_stored_models_give_the_same_numbers(&joint(), 4);
}

#[test]
fn another_experiment_takes_the_models_of_its_settings_alone() {
    let bench = Bench::with(DIGITS);
    succeeds(&mut bench.run("fitted", &[]));
    succeeds(&mut bench.amortgap(&["models", "fitted", "--out", "models"]));
    // Another family and more points need no other decoder; another seed does.
    let other = edited(DIGITS, "seeds = [0, 1]", "seeds = [1, 2]");
    let other = format!("{other}\n[family]\nkind = \"full-gaussian\"\n");
    fs::write(bench.path("spec.toml"), other).unwrap();
    let (_, stderr) = succeeds(&mut bench.run("other", &["--models", "models"]));
    assert!(
        stderr.contains("1 of 2 models are taken from models\n"),
        "{stderr}"
    );
}

#[test]
fn a_folder_without_a_fitting_model_is_refused() {
    let bench = Bench::with(DIGITS);
    fs::create_dir(bench.path("models")).unwrap();
    let refused = |arguments: &[&str]| refusal(&mut bench.run("out", arguments));
    assert_eq!(
        refused(&["--models", "models"]),
        "models: no model is here; `amortgap models RESULTS --out DIR` saves those of a run"
    );
    assert!(refused(&["--models", "nowhere"]).starts_with("nowhere: No such file"));
    assert_eq!(
        refusal(&mut bench.amortgap(&["models", "out", "--out", "models"])),
        "out: there is no finished model that was fitted here; run the experiment first"
    );

    succeeds(&mut bench.run("fitted", &[]));
    succeeds(&mut bench.amortgap(&["models", "fitted", "--out", "models"]));
    let error = refused(&["--models", "models", "--set", "model.latent_dim=3"]);
    assert!(error.contains("no model here has the settings"), "{error}");

    let weights = saved(&bench)[0].join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let error = refused(&["--models", "models"]);
    assert!(error.contains("no model of this program"), "{error}");
    fs::remove_file(&weights).unwrap();
    let error = refused(&["--models", "models"]);
    assert!(error.contains("`model.safetensors` is missing"), "{error}");
}

/// [`DIGITS`] with decoders from files, one for each seed.
fn with_weights() -> String {
    let start = DIGITS.find("[model.training]").unwrap();
    let end = DIGITS.find("[[encoders]]").unwrap();
    let without = format!("{}{}", &DIGITS[..start], &DIGITS[end..]);
    let stored = "weights = \"weights/{seed}.safetensors\"";
    let with = edited(&without, "decoder = \"shared\"", stored);
    edited(&with, "[\"prior\", \"encoder\"]", "[\"prior\"]")
}

#[test]
fn a_spec_takes_decoders_from_files_beside_it() {
    let from_prior = edited(DIGITS, "[\"prior\", \"encoder\"]", "[\"prior\"]");
    let bench = Bench::with(&from_prior);
    let fitted = bench.summary_of_run("fitted", &[]);
    succeeds(&mut bench.amortgap(&["models", "fitted", "--out", "models"]));
    fs::create_dir(bench.path("weights")).unwrap();
    for folder in saved(&bench) {
        let settings = fs::read(folder.join("settings.json")).unwrap();
        let settings: Value = serde_json::from_slice(&settings).unwrap();
        let to = format!("weights/{}.safetensors", settings["seed"]);
        fs::copy(folder.join("model.safetensors"), bench.path(&to)).unwrap();
    }
    fs::write(bench.path("spec.toml"), with_weights()).unwrap();
    let taken = bench.summary_of_run("taken", &[]);
    let [taken, fitted] = [taken, fitted].map(without_model_names);
    assert_eq!(taken["cells"], fitted["cells"]);
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "taken"]));
    assert!(stdout.starts_with("taken: 0 stages removed"), "{stdout}");

    // The digest of a file, not its path, is what the stages are named by.
    fs::rename(bench.path("weights"), bench.path("moved")).unwrap();
    let plan = |path: &str| {
        let set = format!("model.weights=\"{path}\"");
        succeeds(&mut bench.amortgap(&["plan", "spec.toml", "--set", &set])).0
    };
    let moved = plan("moved/{seed}.safetensors");
    let alone = ["plan", "spec.toml", "--set", "seeds=[0]", "--set"];
    let [one, other] = ["0", "1"].map(|file| {
        let set = format!("model.weights=\"moved/{file}.safetensors\"");
        succeeds(&mut bench.amortgap(&[&alone[..], &[&set]].concat())).0
    });
    assert_ne!(one, other);
    let error = refusal(&mut bench.run("out", &["--set", "model.weights=\"moved/0.safetensors\""]));
    assert!(error.contains("put `{seed}` into the path"), "{error}");
    let error = refusal(&mut bench.run("taken", &[]));
    assert!(
        error.starts_with(
            "`model.weights` is \"weights/{seed}.safetensors\", and weights/0.safetensors cannot be read"
        ),
        "{error}"
    );
    fs::rename(bench.path("moved"), bench.path("weights")).unwrap();
    assert_eq!(moved, plan("weights/{seed}.safetensors"));

    let error = refusal(&mut bench.run("out", &["--set", "model.hidden=[8]"]));
    assert!(
        error.contains("`[model]` describes another decoder"),
        "{error}"
    );
    let error = refusal(&mut bench.run("out", &["--set", "model.hidden=[]"]));
    assert!(error.contains("weights/0.safetensors: "), "{error}");

    // Variants that differ in their weights alone have stages of their own.
    let variants =
        "\n[variants.one]\n\n[variants.other.model]\nweights = \"weights/1.safetensors\"\n";
    let one_seed = edited(&with_weights(), "seeds = [0, 1]", "seeds = [0]");
    fs::write(bench.path("spec.toml"), format!("{one_seed}{variants}")).unwrap();
    let both = bench.summary_of_run("variants", &[]);
    let elbos: Vec<&Value> = experiment::cells(&both)
        .iter()
        .map(|cell| &cell["elbo_free_form"]["mean_nats"])
        .collect();
    assert_ne!(elbos[0], elbos[elbos.len() - 1]);
    let (stdout, _) = succeeds(&mut bench.amortgap(&["clean", "variants"]));
    assert!(stdout.starts_with("variants: 0 stages removed"), "{stdout}");
}

/// A whole copy of a stage's folder is a stored model too, and what else lies in a folder does not matter.
#[test]
fn other_files_in_the_folder_of_a_model_are_not_read() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    let fitted = bench.summary_of_run("fitted", &[]);
    let stages = fs::read_dir(bench.path("fitted/.stages")).unwrap();
    let stage = stages.map(|stage| stage.unwrap().path()).find(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("model-")
    });
    let (stage, copy) = (stage.unwrap(), bench.path("models/mine"));
    fs::create_dir_all(&copy).unwrap();
    for file in fs::read_dir(stage).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    let plan = || succeeds(&mut bench.amortgap(&["plan", "spec.toml", "--models", "models"])).0;
    let before = plan();
    fs::write(copy.join("README"), "of mine").unwrap();
    fs::write(
        copy.join("fit.json"),
        fs::read_to_string(copy.join("fit.json"))
            .unwrap()
            .replace("\"seconds\":", "\"seconds\":1"),
    )
    .unwrap();
    assert_eq!(plan(), before);
    let taken = bench.summary_of_run("taken", &["--models", "models"]);
    let [taken, fitted] = [taken, fitted].map(without_model_names);
    assert_eq!(taken, fitted);
}

#[test]
fn a_decoder_is_either_fitted_or_taken() {
    let bench = Bench::with(&edited(
        DIGITS,
        "decoder = \"shared\"",
        "weights = \"{seed}.safetensors\"",
    ));
    let error = refusal(&mut bench.run("out", &[]));
    assert!(
        error.contains("`model.training` does not go with `model.weights`"),
        "{error}"
    );
    let without_encoder = with_weights().replace("[\"prior\"]", "[\"encoder\"]");
    let bench = Bench::with(&without_encoder);
    let error = refusal(&mut bench.run("out", &[]));
    assert!(error.contains("no encoder comes with it"), "{error}");
}
