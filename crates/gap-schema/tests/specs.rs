//! Specs as users write them: what is refused, at which place and in which words.

mod spec;

use gap_schema::spec::{DecoderSharing, Protocol, RefinementRule, Start};
use gap_schema::spec_file::{read, write};
use spec::{DIGITS, one_line, overridden, parsed, refused};
use std::path::Path;

#[test]
fn a_valid_spec_gives_its_values_and_the_defaults() {
    let spec = parsed(DIGITS).unwrap();
    assert_eq!(spec.name.get_ref(), "digits-capacity");
    assert_eq!(spec.decoder_sharing(), DecoderSharing::Shared);
    let names: Vec<String> = spec.encoders.get_ref().iter().map(|e| e.name()).collect();
    assert_eq!(names, ["linear", "mlp-64", "mlp-16-16"]);
    assert_eq!(spec.free_form_starts(), [Start::Prior, Start::Encoder]);
    assert_eq!(
        spec.free_form.protocol,
        Protocol::Default,
        "a default within a section"
    );
    assert_eq!(spec.refinement.rule, RefinementRule::AveragedNewton);
    assert_eq!(spec.refinement.n_samples.get_ref().get(), 32);
    assert_eq!(spec.refinement.learning_rate, None);
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
            "digits.toml:17:13: `model.noise_std` does not go with `model.likelihood = \"bernoulli\"`; remove it, or use `model.likelihood = \"gaussian\"`",
        ),
        (
            "likelihood = \"bernoulli\"",
            "noise_std = 0.5",
            "digits.toml:18:13: `model.noise_std` does not go with `model.likelihood = \"bernoulli\"`; remove it, or use `model.likelihood = \"gaussian\"`",
        ),
        (
            "likelihood = \"bernoulli\"",
            "likelihood = \"gaussian\"",
            "digits.toml:18:14: `model.likelihood` is `gaussian`, which needs `model.noise_std`: the standard deviation of a pixel, as in 0.1",
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
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("not/there.toml"), &[]).unwrap_err();
    assert!(one_line(&error).starts_with("not/there.toml: cannot read this spec: "));
}

#[test]
fn what_is_written_reads_back_as_the_same_spec() {
    for overrides in [
        &[][..],
        &["encoders.0.activation=elu", "free_form.max_steps=7"],
        &[
            "refinement.rule=adam",
            "free_form.protocol=adam-cremer-2018",
        ],
    ] {
        let spec = overridden(DIGITS, overrides).unwrap();
        let text = write(&spec);
        let again = parsed(&text).unwrap();
        assert_eq!(again, spec);
        assert_eq!(write(&again), text);
    }
}
