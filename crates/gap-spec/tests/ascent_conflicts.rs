//! `[ascents.NAME]`: refusals of keys that do not go together, and of unknown keys and values.

mod spec;

use gap_spec::StepRule;
use spec::{parsed, with_ascent};

const RULES: [StepRule; 5] = [
    StepRule::Lbfgs,
    StepRule::NewtonStein,
    StepRule::NaturalGradient,
    StepRule::AveragedNewton,
    StepRule::Adam,
];

#[track_caller]
fn refused(keys: &str, message: &str) {
    let error = parsed(&with_ascent(keys)).expect_err(keys);
    assert_eq!(error, format!("digits.toml:{message}"), "{keys}");
}

#[test]
fn a_rule_goes_with_its_noise_only() {
    let all = [
        "fixed",
        "sequence",
        "growing-sequence",
        "fresh",
        "independent",
    ];
    for rule in RULES {
        for noise in all {
            let keys = format!("rule = \"{rule}\"\nnoise = \"{noise}\"");
            let cure = match rule {
                StepRule::Adam => None,
                StepRule::AveragedNewton => (noise == "fixed").then_some(
                    "averages over new draws; use `noise = \"sequence\"`, `\"growing-sequence\"`, `\"fresh\"` or `\"independent\"`",
                ),
                _ => (noise != "fixed").then_some(
                    "compares values between steps, which must be taken on the same draws; use `noise = \"fixed\"`",
                ),
            };
            match cure {
                None => assert!(parsed(&with_ascent(&keys)).is_ok(), "{keys}"),
                Some(cure) => refused(
                    &keys,
                    &format!(
                        "62:9: `ascents.own.noise` is `{noise}`, which does not go with `rule = \"{rule}\"`: the rule {cure}"
                    ),
                ),
            }
        }
    }
}

#[test]
fn a_rule_goes_with_its_stopping_only() {
    let all = ["decrement", "averaged-decrement", "plateau", "never"];
    for rule in RULES {
        let (fits, cure) = match rule {
            StepRule::Adam => (
                "plateau",
                "its steps promise nothing; use `\"plateau\"` or `\"never\"`",
            ),
            StepRule::AveragedNewton => (
                "averaged-decrement",
                "use `\"averaged-decrement\"` or `\"never\"`",
            ),
            _ => ("decrement", "use `\"decrement\"` or `\"never\"`"),
        };
        for stopping in all {
            let keys = format!("rule = \"{rule}\"\nstopping = \"{stopping}\"");
            if stopping == fits || stopping == "never" {
                assert!(parsed(&with_ascent(&keys)).is_ok(), "{keys}");
            } else {
                refused(
                    &keys,
                    &format!(
                        "62:12: `ascents.own.stopping` is `{stopping}`, which does not go with `rule = \"{rule}\"`: {cure}"
                    ),
                );
            }
        }
    }
}

#[test]
fn keys_that_a_rule_has_no_use_for_are_refused_with_the_key_that_says_so() {
    for rule in RULES {
        let never = format!("rule = \"{rule}\"\nstopping = \"never\"\nbelow_nats = 0.01");
        refused(
            &never,
            "63:14: `ascents.own.below_nats` does not go with `stopping = \"never\"`, which has no threshold; remove it",
        );
        for (key, value) in [("learning_rate", "0.1"), ("averaged", "false")] {
            let keys = format!("rule = \"{rule}\"\n{key} = {value}");
            if rule == StepRule::Adam {
                parsed(&with_ascent(&keys)).unwrap();
                continue;
            }
            let column = key.len() + 4;
            refused(
                &keys,
                &format!(
                    "62:{column}: `ascents.own.{key}` does not go with `rule = \"{rule}\"`; remove it, or use `rule = \"adam\"`"
                ),
            );
        }
    }
    // If the spec gives no `stopping`, `adam` has `never`.
    refused(
        "rule = \"adam\"\nbelow_nats = 0.01",
        "62:14: `ascents.own.below_nats` does not go with `stopping = \"never\"`, which has no threshold; remove it",
    );
    refused(
        "rule = \"adam\"\nstopping = \"plateau\"\nbelow_nats = 0.01",
        "63:14: `ascents.own.below_nats` does not go with `stopping = \"plateau\"`, which has no threshold; remove it",
    );
}

#[test]
fn a_protocol_goes_with_no_key_of_a_rule_and_neither_do_these_stand_alone() {
    for (key, value) in [
        ("noise", "\"fresh\""),
        ("n_samples", "8"),
        ("stopping", "\"never\""),
        ("below_nats", "0.1"),
        ("learning_rate", "0.1"),
        ("averaged", "true"),
    ] {
        let column = key.len() + 4;
        refused(
            &format!("{key} = {value}"),
            &format!(
                "61:{column}: `ascents.own.{key}` stands without a `rule`; give one, as in `rule = \"adam\"`"
            ),
        );
        for protocol in ["default", "adam-cremer-2018"] {
            refused(
                &format!("protocol = \"{protocol}\"\n{key} = {value}"),
                &format!(
                    "62:{column}: `ascents.own.{key}` does not go with `protocol = \"{protocol}\"`, which settles it; remove it, or give a `rule` instead"
                ),
            );
        }
    }
}

#[test]
fn an_ascent_has_either_a_protocol_or_a_rule() {
    refused(
        "rule = \"lbfgs\"\nprotocol = \"default\"",
        "62:12: `ascents.own.protocol` does not go with `rule = \"lbfgs\"`: a protocol has a rule of its own; remove one of the two",
    );
    for neither in ["", "max_steps = 3"] {
        refused(
            neither,
            "60:1: `ascents.own` has neither `protocol` nor `rule`; give one, as in `protocol = \"default\"`",
        );
    }
}

#[test]
fn unknown_words_are_refused_with_those_that_are_known() {
    for (keys, message) in [
        (
            "rule = \"newton\"",
            "61:8: `ascents.own.rule`: unknown variant `newton`, expected one of `lbfgs`, `newton-stein`, `averaged-newton`, `natural-gradient`, `adam`",
        ),
        (
            "rule = \"adam\"\nnoise = \"sobol\"",
            "62:9: `ascents.own.noise`: unknown variant `sobol`, expected one of `fixed`, `sequence`, `growing-sequence`, `fresh`, `independent`",
        ),
        (
            "rule = \"adam\"\nstopping = \"soon\"",
            "62:12: `ascents.own.stopping`: unknown variant `soon`, expected one of `decrement`, `averaged-decrement`, `plateau`, `never`",
        ),
        (
            "protocol = \"adam\"",
            "61:12: `ascents.own.protocol`: unknown variant `adam`, expected `default` or `adam-cremer-2018`",
        ),
        (
            "rule = \"adam\"\nsamples = 3",
            "62:1: unknown key `ascents.own.samples`, expected one of `protocol`, `rule`, `noise`, `n_samples`, `stopping`, `below_nats`, `learning_rate`, `averaged`, `max_steps`",
        ),
        (
            "rule = \"adam\"\nn_samples = 8193",
            "62:13: `ascents.own.n_samples` is above 8192, where the Sobol points of a step end",
        ),
    ] {
        refused(keys, message);
    }
    parsed(&with_ascent("rule = \"adam\"\nn_samples = 8192")).unwrap();
    let spaced = with_ascent("rule = \"adam\"").replace("ascents.own", "ascents.\"my own\"");
    assert_eq!(
        parsed(&spaced).unwrap_err(),
        "digits.toml:60:1: `ascents.my own` must be called by letters, digits, `-`, `_` and `.`, and begin with a letter or a digit"
    );
}
