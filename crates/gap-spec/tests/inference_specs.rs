//! `[free_form]`, `[refinement]` and likelihoods: their defaults, and refusals.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

mod spec;

use gap_spec::document::write;
use gap_spec::{CheckedSpec, LikelihoodKind, Protocol, RefinementSpec, Start, StepRule};
use spec::{DIGITS, edited, experiment, parsed, refused};

#[test]
fn a_gaussian_decoder_takes_its_noise() {
    let gaussian = edited(
        "likelihood = \"bernoulli\"",
        "likelihood = \"gaussian\"\nnoise_std = 0.25",
    );
    let spec = parsed(&gaussian).unwrap();
    assert_eq!(spec.model.likelihood(), LikelihoodKind::Gaussian);
    let noise_std = spec.model.noise_std.as_ref().unwrap();
    assert_eq!(noise_std.get(), 0.25);
    let unsaid = parsed(&edited("likelihood = \"bernoulli\"\n", "")).unwrap();
    assert_eq!(unsaid.model.likelihood(), LikelihoodKind::Bernoulli);
}

/// Parses the valid spec with its free-form section replaced by `written`.
fn free_form_of(written: &str) -> CheckedSpec {
    let start = DIGITS.find("[free_form]").unwrap();
    let end = DIGITS.find("[refinement]").unwrap();
    parsed(&DIGITS.replace(&DIGITS[start..end], written)).unwrap()
}

#[test]
fn an_ascent_that_says_no_starts_begins_where_its_protocol_and_its_model_have_it() {
    let both = [Start::Prior, Start::Encoder];
    let spec = free_form_of("");
    assert_eq!(spec.free_form_starts(), both);
    assert_eq!(spec.free_form.tolerance_nats.get(), 0.01);
    assert_eq!(spec.free_form.max_steps.get(), 5000);

    let published = "[free_form]\nprotocol = \"adam-cremer-2018\"\n";
    let spec = free_form_of(published);
    assert_eq!(spec.free_form.protocol, Protocol::AdamCremer2018);
    assert_eq!(spec.free_form_starts(), [Start::Prior]);
    let written = format!("{published}starts = [\"prior\", \"encoder\"]\n");
    assert_eq!(free_form_of(&written).free_form_starts(), both);

    // A model that is not fitted has no encoder to start from.
    let start = DIGITS.find("[model.training]").unwrap();
    let end = DIGITS.find("[family]").unwrap();
    let drawn = DIGITS
        .replace(&DIGITS[start..end], "")
        .replace("decoder = \"shared\"\n", "observed_dim = 8\n")
        .replace(
            "name = \"digits-binarized\"\nsplit_seed = 0",
            "name = \"synthetic\"",
        )
        .replace("starts = [\"prior\", \"encoder\"]\n", "");
    let spec = parsed(&drawn).unwrap();
    assert_eq!(spec.free_form_starts(), [Start::Prior]);
}

#[test]
fn adam_refines_with_a_learning_rate_and_newton_without() {
    let text = |more: &str| {
        let steps = "steps = [1, 5, 20]";
        edited(steps, &format!("{steps}\n{more}"))
    };
    let refinement = |more: &str| -> Result<RefinementSpec, String> {
        let spec = parsed(&text(more))?;
        Ok(spec.refinement.clone().unwrap())
    };
    let adam = "rule = \"adam\"";
    let spec = refinement(adam).unwrap();
    assert_eq!(spec.rule, Some(StepRule::Adam));
    assert_eq!(spec.learning_rate.unwrap().get(), 0.03);
    let said = experiment(&text(adam)).unwrap();
    assert!(write(&said).contains("learning_rate = 0.03"));
    let spec = refinement("rule = \"adam\"\nlearning_rate = 0.1").unwrap();
    assert_eq!(spec.learning_rate.unwrap().get(), 0.1);
    for (more, message) in [
        (
            "learning_rate = 0.1",
            "digits.toml:56:17: `refinement.learning_rate` does not go with `refinement.rule = \"averaged-newton\"`, whose steps have their own size; remove it, or use `refinement.rule = \"adam\"`",
        ),
        (
            "n_samples = 8193",
            "digits.toml:56:13: `refinement.n_samples` is above 8192, where the Sobol points of a step end",
        ),
        (
            "n_samples = 15",
            "digits.toml:56:13: `refinement.n_samples` is 15, with which steps by `averaged-newton` cannot tell their gain from their noise; use 16 or more, or `refinement.rule = \"adam\"`",
        ),
        (
            "rule = \"newton\"",
            "digits.toml:56:8: `refinement.rule`: unknown variant `newton`, expected `averaged-newton` or `adam`",
        ),
    ] {
        assert_eq!(refinement(more).unwrap_err(), message);
    }
    let few = refinement("rule = \"adam\"\nn_samples = 1").unwrap();
    assert_eq!(few.n_samples.get(), 1);
}

#[test]
fn keys_and_protocols_that_the_ascent_does_not_have_are_refused_with_those_that_it_has() {
    let keys = "expected one of `starts`, `random_starts`, `protocol`, `tolerance_nats`, `max_steps`, `precision`";
    let old = "tolerance_nats = 0.005";
    refused(&[
        (
            old,
            "n_samples = 16",
            &format!("digits.toml:51:1: unknown key `free_form.n_samples`, {keys}"),
        ),
        (
            old,
            "learning_rate = 0.05",
            &format!("digits.toml:51:1: unknown key `free_form.learning_rate`, {keys}"),
        ),
        (
            old,
            "protocol = \"adam\"",
            "digits.toml:51:12: `free_form.protocol`: unknown variant `adam`, expected `default` or `adam-cremer-2018`",
        ),
    ]);
}

#[test]
fn a_tolerance_that_nothing_can_reach_is_refused() {
    let tolerance = |value: &str| {
        parsed(&edited(
            "tolerance_nats = 0.005",
            &format!("tolerance_nats = {value}"),
        ))
    };
    assert!(tolerance("5e-4").is_ok());
    let message = tolerance("1e-4").unwrap_err();
    assert!(
        message.ends_with(
            "`free_form.tolerance_nats` is 0.0001, below what 32-bit scores can certify; use 0.0005 or more, or `precision = \"double\"`"
        ),
        "{message}"
    );
}
