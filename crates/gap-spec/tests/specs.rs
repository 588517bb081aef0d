//! Specs as users write them: which are refused, at which place in the file, and with which message.

mod spec;

use gap_spec::document::{read, write};
use gap_spec::{DecoderSharing, Protocol, Start, StepRule};
use spec::{DIGITS, edited, experiment, experiment_with, one_line, parsed, refused};
use std::path::Path;

#[test]
fn a_valid_spec_gives_its_values_and_the_defaults() {
    let spec = parsed(DIGITS).unwrap();
    assert_eq!(spec.name, "digits-capacity");
    assert_eq!(spec.model.decoder_sharing(), DecoderSharing::Shared);
    let names: Vec<String> = spec.encoders.iter().map(|e| e.name()).collect();
    assert_eq!(names, ["linear", "mlp-64", "mlp-16-16"]);
    assert_eq!(spec.free_form_starts(), [Start::Prior, Start::Encoder]);
    assert_eq!(
        spec.free_form.protocol,
        Protocol::Default,
        "a default within a section"
    );
    let refinement = spec.refinement.as_ref().unwrap();
    assert_eq!(refinement.numbers_of_steps(), [1, 5, 20]);
    assert_eq!(refinement.rule, Some(StepRule::AveragedNewton));
    assert_eq!(refinement.n_samples.get(), 32);
    assert_eq!(refinement.learning_rate, None);
    assert!(spec.ascents.is_empty() && spec.protocols.is_empty() && spec.refinements.is_empty());
    assert_eq!(
        spec.evaluation.batch_size.get(),
        100,
        "a section of defaults"
    );
}

#[test]
fn an_unknown_key_is_pointed_at_and_the_known_ones_are_listed() {
    let sections = "expected one of `name`, `question`, `surprise`, `seeds`, `precision`, `data`, `model`, `family`, `encoders`, `encoder_training`, `free_form`, `protocols`, `refinement`, `refinements`, `ascents`, `estimators`, `calibration`, `pictures`, `evaluation`, `variants`";
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
            "digits.toml:59:1: unknown key `estimators.iw_sample`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`",
        ),
        (
            "batch_size = 64\nlearning_rate = 0.002",
            "batch = 64\nlearning_rate = 0.002",
            "digits.toml:24:1: unknown key `model.training.batch`, expected one of `encoder_hidden`, `encoder_inputs`, `steps`, `batch_size`, `learning_rate`, `n_samples`, `precision`",
        ),
        (
            "hidden = [64]",
            "width = 64",
            "digits.toml:36:1: unknown key `encoders[1].width`, expected one of `kind`, `hidden`, `channels`, `context`, `activation`, `inputs`, `objective`",
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
            "digits.toml:32:8: `encoders[0].kind`: unknown variant `liner`, expected one of `linear`, `mlp`, `conv`, `own`",
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
            "[refinement]\n",
            "digits.toml:54:1: missing key `refinement.steps`",
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
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("not/there.toml"), &[]).unwrap_err();
    assert!(one_line(&error).starts_with("not/there.toml: cannot read this spec: "));
}

#[test]
fn what_is_written_reads_back_as_the_same_experiment_and_says_the_defaults() {
    for overrides in [
        &[][..],
        &["encoders.0.activation=elu", "free_form.max_steps=7"],
        &[
            "refinement.rule=adam",
            "free_form.protocol=adam-cremer-2018",
        ],
        &["ascents.plain.protocol=default", "ascents.own.rule=lbfgs"],
        &[
            "protocols.published.protocol=adam-cremer-2018",
            "refinements.adam.steps=[2]",
            "refinements.adam.rule=adam",
        ],
    ] {
        let said = experiment_with(DIGITS, overrides).unwrap();
        let text = write(&said);
        let again = experiment(text).unwrap();
        assert_eq!(again, said);
        assert_eq!(write(&again), text);
        assert!(text.contains("[evaluation]\nbatch_size = 100\n"), "{text}");
    }
}

#[test]
fn an_experiment_without_variants_is_one_problem_without_a_name() {
    let said = experiment(DIGITS).unwrap();
    assert_eq!(said.name, "digits-capacity");
    assert_eq!(said.question, "Does a wider encoder close the gap?");
    assert_eq!(said.surprise, "The gap stays when the encoder grows.");
    let [problem] = &said.problems[..] else {
        panic!("{} problems", said.problems.len());
    };
    assert_eq!(problem.variant, None);
    assert_eq!(said.problem(None), Some(problem));
    assert_eq!(said.problem(Some("digits-capacity")), None);
    let other = experiment(&edited("iw_samples = 1000", "iw_samples = 9")).unwrap();
    assert_ne!(other, said);
}
