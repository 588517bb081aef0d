//! Specs as users write them: what is refused, at which place and in which words.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

use gap_schema::spec::{CheckedSpec, DecoderSharing, Start};
use gap_schema::spec_file::{SpecError, parse, read, write};
use std::fs;
use std::path::Path;

const DIGITS: &str = include_str!("digits.toml");

/// A valid spec with one passage exchanged.
fn edited(from: &str, to: &str) -> String {
    assert_eq!(DIGITS.matches(from).count(), 1, "{from:?} is there once");
    DIGITS.replace(from, to)
}

fn parsed(text: &str) -> Result<CheckedSpec, String> {
    parse(Path::new("digits.toml"), text).map_err(|error| one_line(&error))
}

/// The message, which is one line.
fn one_line(error: &SpecError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    message
}

/// Writes `text` to a file and reads it with overrides; the folder is cut out of the message.
fn overridden(text: &str, overrides: &[&str]) -> Result<CheckedSpec, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("digits.toml");
    fs::write(&path, text).unwrap();
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let place = format!("{}/", dir.path().display());
    read(&path, &overrides).map_err(|error| one_line(&error).replace(&place, ""))
}

/// Each edit of the valid spec, `(from, to)`, is refused with its message.
#[track_caller]
fn refused(cases: &[(&str, &str, &str)]) {
    for (from, to, message) in cases {
        let error = parsed(&edited(from, to)).expect_err(to);
        assert_eq!(&error, message, "{from:?} -> {to:?}");
    }
}

#[test]
fn a_valid_spec_gives_its_values_and_the_defaults() {
    let spec = parsed(DIGITS).unwrap();
    assert_eq!(spec.name.get_ref(), "digits-capacity");
    assert_eq!(spec.decoder_sharing(), DecoderSharing::Shared);
    let names: Vec<String> = spec.encoders.get_ref().iter().map(|e| e.name()).collect();
    assert_eq!(names, ["linear", "mlp-64", "mlp-16-16"]);
    assert_eq!(
        spec.free_form.starts.get_ref(),
        &[Start::Prior, Start::Encoder]
    );
    assert_eq!(
        spec.free_form.n_samples.get(),
        16,
        "a default within a section"
    );
    assert_eq!(
        spec.evaluation.batch_size.get(),
        100,
        "a section of defaults"
    );
    assert_eq!(spec.refinement_steps(), [1, 5, 20]);
}

#[test]
fn an_unknown_key_is_pointed_at_and_the_known_ones_are_listed() {
    let sections = "expected one of `name`, `question`, `surprise`, `seeds`, `data`, `model`, `family`, `encoders`, `encoder_training`, `free_form`, `refinement`, `estimators`, `evaluation`";
    refused(&[
        (
            "question =",
            "qestion =",
            &format!("digits.toml:2:1: unknown key `qestion`, {sections}"),
        ),
        (
            "[estimators]",
            "[estimator]",
            &format!("digits.toml:57:2: unknown key `estimator`, {sections}"),
        ),
        (
            "iw_samples =",
            "iw_sample =",
            "digits.toml:59:1: unknown key `estimators.iw_sample`, expected `elbo_samples` or `iw_samples`",
        ),
        (
            "batch_size = 64\nlearning_rate = 0.002",
            "batch = 64\nlearning_rate = 0.002",
            "digits.toml:24:1: unknown key `model.training.batch`, expected one of `encoder_hidden`, `steps`, `batch_size`, `learning_rate`, `n_samples`",
        ),
        (
            "hidden = [64]",
            "width = 64",
            "digits.toml:36:1: unknown key `encoders[1].width`, expected one of `kind`, `hidden`, `activation`",
        ),
    ]);
}

#[test]
fn a_wrong_type_is_pointed_at_in_the_words_of_toml() {
    refused(&[
        (
            "iw_samples = 1000",
            "iw_samples = \"1000\"",
            "digits.toml:59:14: `estimators.iw_samples`: invalid type: string \"1000\", expected a whole number",
        ),
        (
            "hidden = [64]",
            "hidden = 64",
            "digits.toml:36:10: `encoders[1].hidden`: invalid type: integer `64`, expected a list",
        ),
        (
            "hidden = [64]",
            "hidden = [1e3]",
            "digits.toml:36:11: `encoders[1].hidden[0]`: invalid type: floating point `1000.0`, expected a whole number",
        ),
        (
            "learning_rate = 0.002",
            "learning_rate = \"fast\"",
            "digits.toml:25:17: `model.training.learning_rate`: invalid type: string \"fast\", expected a number",
        ),
        (
            "seeds = [0, 1]",
            "seeds = { a = 1 }",
            "digits.toml:4:9: `seeds`: invalid type: table, expected a list",
        ),
        (
            "[estimators]\nelbo_samples = 500\niw_samples = 1000\n",
            "[evaluation.batch_size]\n",
            "digits.toml:57:1: `evaluation.batch_size`: invalid type: table, expected a whole number",
        ),
        (
            "kind = \"linear\"",
            "kind = 3",
            "digits.toml:32:8: `encoders[0].kind`: expected a string",
        ),
        (
            "kind = \"linear\"",
            "kind = \"liner\"",
            "digits.toml:32:8: `encoders[0].kind`: unknown variant `liner`, expected `linear` or `mlp`",
        ),
    ]);
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    let counts = "is out of range; use a whole number from 1 to 4294967295";
    let rates = "is out of range; use a number above 0";
    refused(&[
        (
            "hidden = [64]",
            "hidden = [-64]",
            &format!("digits.toml:36:10: `encoders[1].hidden`: -64 {counts}"),
        ),
        (
            "hidden = [64]",
            "hidden = [64, 0]",
            &format!("digits.toml:36:10: `encoders[1].hidden`: 0 {counts}"),
        ),
        (
            "iw_samples = 1000",
            "iw_samples = 0",
            &format!("digits.toml:59:14: `estimators.iw_samples`: 0 {counts}"),
        ),
        (
            "iw_samples = 1000",
            "iw_samples = 5_000_000_000",
            &format!("digits.toml:59:14: `estimators.iw_samples`: 5000000000 {counts}"),
        ),
        (
            "seeds = [0, 1]",
            "seeds = [0, -1]",
            "digits.toml:4:13: `seeds[1]`: invalid value: integer `-1`, expected a whole number from 0 to 4294967295",
        ),
        (
            "learning_rate = 0.002",
            "learning_rate = 0.0",
            &format!("digits.toml:25:17: `model.training.learning_rate`: 0 {rates}"),
        ),
        (
            "learning_rate = 0.002",
            "learning_rate = nan",
            &format!("digits.toml:25:17: `model.training.learning_rate`: NaN {rates}"),
        ),
        (
            "learning_rate = 0.002",
            "learning_rate = inf",
            &format!("digits.toml:25:17: `model.training.learning_rate`: inf {rates}"),
        ),
        (
            "latent_dim = 10",
            "latent_dim = 257",
            "digits.toml:15:14: `model.latent_dim` is above 256, where the Sobol points of the ascent end",
        ),
    ]);
}

#[test]
fn a_missing_key_is_named_with_its_section() {
    refused(&[
        (
            "question = \"Does a wider encoder close the gap?\"\n",
            "",
            "digits.toml:1:1: missing key `question`",
        ),
        (
            "measure_test = 200\n",
            "",
            "digits.toml:6:1: missing key `data.measure_test`",
        ),
        (
            "steps = 400\n",
            "",
            "digits.toml:21:1: missing key `model.training.steps`",
        ),
        (
            "kind = \"mlp\"\nhidden = [64]",
            "hidden = [64]",
            "digits.toml:34:1: missing key `encoders[1].kind`",
        ),
        (
            "[refinement]\nsteps = [1, 5, 20]\n",
            "",
            "digits.toml:1:1: missing key `refinement`",
        ),
    ]);
}

#[test]
fn text_that_is_not_toml_is_refused_at_its_place() {
    refused(&[
        (
            "iw_samples = 1000",
            "iw_samples = 1000\niw_samples = 3",
            "digits.toml:60:1: duplicate key `iw_samples`; keep one of the two",
        ),
        (
            "surprise = \"The gap",
            "surprise = \"L'écart\" \"The gap",
            "digits.toml:3:22: unexpected key or value, expected newline, `#`",
        ),
    ]);
}

#[test]
fn encoders_that_cannot_be_built_or_told_apart_are_refused() {
    let start = DIGITS.find("[[encoders]]").unwrap();
    let end = DIGITS.find("[encoder_training]").unwrap();
    let none = DIGITS.replace(&DIGITS[start..end], "");
    let empty = none.replace("[data]", "encoders = []\n[data]");
    assert_eq!(
        parsed(&none).unwrap_err(),
        "digits.toml:1:1: missing key `encoders`"
    );
    assert_eq!(
        parsed(&empty).unwrap_err(),
        "digits.toml:6:12: `encoders` is empty; add at least one [[encoders]] with `kind = \"linear\"` or `kind = \"mlp\"`"
    );
    refused(&[
        (
            "hidden = [64]",
            "hidden = [16, 16]",
            "digits.toml:31:1: `encoders` has `mlp-16-16` twice; results could not tell them apart",
        ),
        (
            "hidden = [64]",
            "hidden = []",
            "digits.toml:36:10: `encoders[1].hidden` is empty; give at least one width, or use `kind = \"linear\"`",
        ),
        (
            "kind = \"mlp\"\nhidden = [64]",
            "kind = \"mlp\"",
            "digits.toml:34:1: `encoders[1]` is an `mlp` without `hidden`; give its widths, as in [64]",
        ),
        (
            "kind = \"linear\"",
            "kind = \"linear\"\nhidden = [3]",
            "digits.toml:33:10: `encoders[0].hidden` does not apply to `kind = \"linear\"`; remove it, or use `kind = \"mlp\"`",
        ),
    ]);
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    let rising =
        "digits.toml:55:9: `refinement.steps` must be rising numbers of steps, as in [1, 5, 20]";
    refused(&[
        ("steps = [1, 5, 20]", "steps = [1, 20, 5]", rising),
        ("steps = [1, 5, 20]", "steps = [1, 5, 5]", rising),
        ("steps = [1, 5, 20]", "steps = []", rising),
        (
            "seeds = [0, 1]",
            "seeds = []",
            "digits.toml:4:9: `seeds` is empty; give at least one seed, as in [0]",
        ),
        (
            "seeds = [0, 1]",
            "seeds = [0, 1, 0]",
            "digits.toml:4:9: `seeds` has 0 twice; each repetition needs a seed of its own",
        ),
        (
            "starts = [\"prior\", \"encoder\"]",
            "starts = []",
            "digits.toml:50:10: `free_form.starts` is empty; use [\"prior\"], [\"encoder\"] or both",
        ),
        (
            "starts = [\"prior\", \"encoder\"]",
            "starts = [\"prior\", \"prior\"]",
            "digits.toml:50:10: `free_form.starts` has `prior` twice",
        ),
        (
            "name = \"digits-capacity\"",
            "name = \"../elsewhere\"",
            "digits.toml:1:8: `name` must be letters, digits, `-`, `_` and `.`: it names a folder",
        ),
    ]);
}

#[test]
fn a_model_that_contradicts_the_data_or_itself_is_refused() {
    let training = "[model.training]\nencoder_hidden = [100]\nsteps = 400\nbatch_size = 64\nlearning_rate = 0.002\nn_samples = 1\n";
    refused(&[
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\n",
            "name = \"synthetic\"\n",
            "digits.toml:14:14: `model.latent_dim` stands alone; synthetic data also needs `model.observed_dim`",
        ),
        (
            "name = \"digits-binarized\"",
            "name = \"synthetic\"",
            "digits.toml:8:14: `data.split_seed` does not apply to `data.name = \"synthetic\"`, which is drawn anew for each seed; remove it",
        ),
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\ntrain_points = 1000\n",
            "name = \"synthetic\"\n",
            "digits.toml:7:8: `data.name` is `synthetic`, which needs `data.train_points`: how many points to draw for fitting",
        ),
        (
            "name = \"digits-binarized\"\nsplit_seed = 0\ntrain_points = 1000\n",
            "name = \"synthetic\"\ntrain_points = 100\n",
            "digits.toml:9:17: `data.measure_train` is 200, more than the 100 points of `data.train_points`",
        ),
        (
            "latent_dim = 10",
            "latent_dim = 10\nobserved_dim = 64",
            "digits.toml:16:16: `model.observed_dim` does not apply to `data.name = \"digits-binarized\"`, which has a size of its own; remove it",
        ),
        (
            "kind = \"mlp-decoder\"",
            "kind = \"linear-gaussian\"",
            "digits.toml:16:10: `model.hidden` does not apply to `model.kind = \"linear-gaussian\"`; remove it",
        ),
        (
            "hidden = [128]\n",
            "",
            "digits.toml:15:14: `model.latent_dim` stands alone; an MLP decoder also needs `model.hidden`, as in [64, 64], or [] for a linear one",
        ),
        (
            "hidden = [128]\n",
            "hidden = [128]\nnoise_std = 0.5\n",
            "digits.toml:17:13: `model.noise_std` does not apply to `model.kind = \"mlp-decoder\"`; remove it",
        ),
        (
            training,
            "",
            "digits.toml:7:8: `data.name` is real data, so the decoder must be fitted; add `[model.training]`",
        ),
        (
            "encoder_hidden = [100]\n",
            "",
            "digits.toml:21:1: `model.training` needs `encoder_hidden`: the encoder that the shared decoder is fitted with",
        ),
        (
            "decoder = \"shared\"",
            "decoder = \"joint\"",
            "digits.toml:22:18: `model.training.encoder_hidden` does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; remove it",
        ),
    ]);
}

#[test]
fn a_linear_gaussian_model_goes_with_synthetic_data_only() {
    let start = DIGITS.find("[model]").unwrap();
    let end = DIGITS.find("[family]").unwrap();
    let model = "[model]\nkind = \"linear-gaussian\"\nlatent_dim = 3\n";
    let real = DIGITS.replace(&DIGITS[start..end], model);
    assert_eq!(
        parsed(&real).unwrap_err(),
        "digits.toml:7:8: `data.name` does not go with `model.kind = \"linear-gaussian\"`, which is not fitted to data; use `data.name = \"synthetic\"`"
    );
    let synthetic = real
        .replace(
            "name = \"digits-binarized\"\nsplit_seed = 0",
            "name = \"synthetic\"",
        )
        .replace("latent_dim = 3", "latent_dim = 3\nobserved_dim = 8");
    assert_eq!(
        parsed(&synthetic).unwrap_err(),
        "digits.toml:38:10: `free_form.starts` has `encoder`, but this model is not fitted, so no encoder comes with it; use [\"prior\"]"
    );
    parsed(&synthetic.replace("\"prior\", \"encoder\"", "\"prior\"")).unwrap();
}

#[test]
fn a_good_override_changes_its_key_only() {
    let overrides = [
        "estimators.iw_samples=100",
        "data.name=digits",
        "name = \"quoted\"",
        "surprise=2024-01-01",
        "encoders.1.hidden=[8]",
        "evaluation.batch_size=7",
    ];
    let spec = overridden(DIGITS, &overrides).unwrap();
    assert_eq!(spec.estimators.iw_samples.get(), 100);
    assert_eq!(spec.data.name.get_ref(), "digits");
    assert_eq!(spec.name.get_ref(), "quoted");
    assert_eq!(spec.surprise, "2024-01-01");
    assert_eq!(spec.encoders.get_ref()[1].widths(), [8]);
    assert_eq!(
        spec.evaluation.batch_size.get(),
        7,
        "in a section that the file lacks"
    );

    let by_hand = edited("iw_samples = 1000", "iw_samples = 100")
        .replace("digits-binarized", "digits")
        .replace("digits-capacity", "quoted")
        .replace("The gap stays when the encoder grows.", "2024-01-01")
        .replace("hidden = [64]", "hidden = [8]")
        + "[evaluation]\nbatch_size = 7\n";
    assert_eq!(parsed(&by_hand).unwrap(), spec);
}

#[test]
fn a_bad_override_is_quoted_with_what_is_wrong_with_it() {
    for (assignment, message) in [
        (
            "estimators.iw_samples",
            "write it as key=value, as in estimators.iw_samples=100",
        ),
        (
            "=3",
            "has an empty part in its key; write it as in estimators.iw_samples=100",
        ),
        (
            "data..name=x",
            "has an empty part in its key; write it as in estimators.iw_samples=100",
        ),
        (
            "estimators.iw_sample=100",
            "unknown key `estimators.iw_sample`, expected `elbo_samples` or `iw_samples`",
        ),
        (
            "estimators.iw_samples=lots",
            "`estimators.iw_samples`: invalid type: string \"lots\", expected a whole number",
        ),
        (
            "estimators.iw_samples=0",
            "`estimators.iw_samples`: 0 is out of range; use a whole number from 1 to 4294967295",
        ),
        (
            "name=1",
            "`name`: invalid type: integer `1`, expected a string",
        ),
        (
            "name=",
            "`name` must be letters, digits, `-`, `_` and `.`: it names a folder",
        ),
        (
            "seeds=[0,1",
            "`seeds`: invalid type: string \"[0,1\", expected a list",
        ),
        ("name.part=1", "there is no key `part` below a plain value"),
        (
            "encoders.3.hidden=[8]",
            "`3` is not an index into a list of 3",
        ),
        (
            "encoders.first.hidden=[8]",
            "`first` is not an index into a list of 3",
        ),
        (
            "encoders.0.hidden=[8]",
            "`encoders[0].hidden` does not apply to `kind = \"linear\"`; remove it, or use `kind = \"mlp\"`",
        ),
    ] {
        let error = overridden(DIGITS, &[assignment]).unwrap_err();
        assert_eq!(error, format!("--set {assignment}: {message}"));
    }
}

#[test]
fn of_several_overrides_the_guilty_ones_are_named() {
    let error = overridden(DIGITS, &["seeds=[0]", "encoders.2.hidden=[0]"]).unwrap_err();
    assert!(
        error.starts_with("--set encoders.2.hidden=[0]: `encoders[2].hidden`: 0 is"),
        "{error}"
    );
    // A contradiction shows at a key that no override set.
    let error = overridden(DIGITS, &["seeds=[0]", "model.decoder=joint"]).unwrap_err();
    assert!(
        error.starts_with(
            "--set seeds=[0] --set model.decoder=joint: `model.training.encoder_hidden` does"
        ),
        "{error}"
    );
}

#[test]
fn a_mistake_of_the_file_is_reported_in_the_file_unless_an_override_cures_it() {
    let zero = edited("iw_samples = 1000", "iw_samples = 0");
    let at_place = "digits.toml:59:14: `estimators.iw_samples`: 0 is out of range; use a whole number from 1 to 4294967295";
    assert_eq!(overridden(&zero, &[]).unwrap_err(), at_place);
    assert_eq!(overridden(&zero, &["seeds=[0]"]).unwrap_err(), at_place);
    overridden(&zero, &["estimators.iw_samples=10"]).unwrap();
    // The file's own mistake is cured, so the other override is at fault.
    assert_eq!(
        overridden(&zero, &["estimators.iw_samples=10", "seeds=[]"]).unwrap_err(),
        "--set seeds=[]: `seeds` is empty; give at least one seed, as in [0]"
    );
    let broken = overridden("name = \n", &["name=good"]).unwrap_err();
    assert!(broken.starts_with("digits.toml:1:"), "{broken}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("not/there.toml"), &[]).unwrap_err();
    assert!(one_line(&error).starts_with("not/there.toml: cannot read this spec: "));
}

#[test]
fn what_is_written_reads_back_as_the_same_spec() {
    for overrides in [
        &[][..],
        &["encoders.0.activation=elu", "free_form.learning_rate=1e-3"],
    ] {
        let spec = overridden(DIGITS, overrides).unwrap();
        let text = write(&spec);
        let again = parsed(&text).unwrap();
        assert_eq!(again, spec);
        assert_eq!(write(&again), text);
    }
}
