//! `[ascents.NAME]`: the defaults of each rule, and what ascents need from the rest of a spec.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

mod spec;

use gap_spec::document::write;
use gap_spec::{
    AdamSettings, Ascent, AscentSpec, NoiseSource, Phase, Precision, Protocol, StepRule,
    StoppingRule,
};
use spec::{DIGITS, experiment, joint, parsed, with_ascent};

fn ascent(keys: &str) -> AscentSpec {
    let spec = parsed(&with_ascent(keys)).unwrap();
    spec.ascents["own"].clone()
}

const RULES: [(StepRule, NoiseSource, u32, StoppingRule); 5] = [
    (
        StepRule::Lbfgs,
        NoiseSource::Fixed,
        32,
        StoppingRule::Decrement,
    ),
    (
        StepRule::NewtonStein,
        NoiseSource::Fixed,
        32,
        StoppingRule::Decrement,
    ),
    (
        StepRule::NaturalGradient,
        NoiseSource::Fixed,
        32,
        StoppingRule::Decrement,
    ),
    (
        StepRule::AveragedNewton,
        NoiseSource::GrowingSequence,
        32,
        StoppingRule::AveragedDecrement,
    ),
    (StepRule::Adam, NoiseSource::Fresh, 16, StoppingRule::Never),
];

#[test]
fn a_rule_alone_has_its_defaults() {
    for (rule, noise, n_samples, stopping) in RULES {
        let spec = ascent(&format!("rule = \"{rule}\""));
        assert_eq!(spec.max_steps.get(), 1000);
        assert_eq!(
            spec.ascent(Precision::Full),
            Ascent::Steps(Phase {
                rule,
                adam: AdamSettings::new(0.05, true),
                noise,
                n_samples,
                stopping,
                below_nats: 5e-4,
                max_steps: 1000,
                keeps_start_until_certain: false,
                precision: Precision::Full,
            })
        );
    }
}

#[test]
fn defaults_that_are_written_give_the_same_spec_and_are_said_by_what_is_written_back() {
    for (rule, noise, n_samples, stopping) in RULES {
        let more = if rule == StepRule::Adam {
            "learning_rate = 0.05\naveraged = true"
        } else {
            "below_nats = 5e-4"
        };
        let short = experiment(&with_ascent(&format!("rule = \"{rule}\""))).unwrap();
        let long = experiment(&with_ascent(&format!(
            "rule = \"{rule}\"\nnoise = \"{noise}\"\nn_samples = {n_samples}\nstopping = \"{stopping}\"\n{more}\nmax_steps = 1000"
        )))
        .unwrap();
        assert_eq!(short, long);
        assert!(write(&short).contains(&format!("noise = \"{noise}\"\n")));
        assert_eq!(experiment(write(&short)).unwrap(), short);
    }
}

#[test]
fn what_is_written_takes_the_place_of_a_default() {
    let spec = ascent(
        "rule = \"adam\"\nnoise = \"independent\"\nn_samples = 8\nstopping = \"plateau\"\nlearning_rate = 0.1\naveraged = false\nmax_steps = 7",
    );
    assert_eq!(spec.max_steps.get(), 7);
    let Ascent::Steps(phase) = spec.ascent(Precision::Mixed) else {
        panic!("{spec:?}");
    };
    assert_eq!(
        (phase.noise, phase.n_samples),
        (NoiseSource::Independent, 8)
    );
    assert_eq!(phase.stopping, StoppingRule::Plateau);
    assert_eq!(phase.adam, AdamSettings::new(0.1, false));
    assert_eq!(phase.precision, Precision::Mixed);
    let spec = ascent("rule = \"lbfgs\"\nbelow_nats = 0.25");
    assert!(matches!(
        spec.ascent(Precision::Full),
        Ascent::Steps(Phase { below_nats, .. }) if below_nats == 0.25
    ));
    for (name, protocol) in [
        ("default", Protocol::Default),
        ("adam-cremer-2018", Protocol::AdamCremer2018),
    ] {
        let spec = ascent(&format!("protocol = \"{name}\"\nmax_steps = 9"));
        assert_eq!(spec.ascent(Precision::Full), Ascent::Protocol(protocol));
        assert_eq!(spec.max_steps.get(), 9);
    }
}

#[test]
fn ascents_are_compared_on_one_decoder() {
    let joint = joint();
    parsed(&joint).unwrap();
    assert_eq!(
        parsed(&format!("{joint}\n[ascents.own]\nrule = \"adam\"\n")).unwrap_err(),
        "digits.toml:19:11: `model.decoder` is `joint`, which does not go with `ascents`: they are compared on one decoder; use `\"shared\"`"
    );
}

#[test]
fn without_encoders_there_are_ascents_and_no_sections_of_encoders() {
    let between = |from: &str, to: &str| {
        let (start, end) = (DIGITS.find(from).unwrap(), DIGITS.find(to).unwrap());
        &DIGITS[start..end]
    };
    let encoders = between("[[encoders]]", "[encoder_training]");
    let training = between("[encoder_training]", "[free_form]");
    let refinement = between("[refinement]", "[estimators]");
    let bare = with_ascent("rule = \"adam\"").replace(encoders, "");
    let neither = bare.replace(training, "").replace(refinement, "");
    let spec = parsed(&neither).unwrap();
    assert!(spec.encoders.is_empty());
    assert!(spec.encoder_training.is_none() && spec.refinement.is_none());
    let said = experiment(&neither).unwrap();
    assert_eq!(experiment(write(&said)).unwrap(), said);

    let alone = "stands without `encoders`; remove it, or add an [[encoders]]";
    assert_eq!(
        parsed(&bare).unwrap_err(),
        format!("digits.toml:31:1: `encoder_training` {alone}")
    );
    assert_eq!(
        parsed(&bare.replace(training, "")).unwrap_err(),
        format!("digits.toml:36:1: `refinement` {alone}")
    );
    // If a spec has encoders beside ascents, it still needs the encoders' sections.
    let with_encoders = with_ascent("rule = \"adam\"");
    parsed(&with_encoders).unwrap();
    assert_eq!(
        parsed(&with_encoders.replace(refinement, "")).unwrap_err(),
        "digits.toml:31:1: `encoders` are to be fitted and measured; add `[refinement]`"
    );
}
