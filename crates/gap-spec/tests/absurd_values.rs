//! Values that can be written but not computed with, and names that are no names: all are refused with their
//! key, however long they are.

mod spec;

use gap_spec::MAX_CONDITION_NUMBER;
use spec::{DIGITS, edited, experiment, overridden, parsed, with, with_ascent};

/// A linear-Gaussian model of 8 observed and 3 latent dimensions, with these keys besides.
fn linear(keys: &str) -> String {
    let start = DIGITS.find("[model]").expect("it has a model");
    let end = DIGITS.find("[family]").expect("it has a family");
    let model = format!(
        "[model]\nkind = \"linear-gaussian\"\nlatent_dim = 3\nobserved_dim = 8\n{keys}\n\n"
    );
    DIGITS
        .replace(&DIGITS[start..end], &model)
        .replace("starts = [\"prior\", \"encoder\"]", "starts = [\"prior\"]")
        .replace(
            "name = \"digits-binarized\"\nsplit_seed = 0",
            "name = \"synthetic\"",
        )
}

/// The sections whose tables users name, each with a key that makes such a table valid.
const NAMED_SECTIONS: [(&str, &str); 3] = [
    ("ascents", "rule = \"adam\""),
    ("protocols", "protocol = \"default\""),
    ("refinements", "steps = [1]"),
];

#[test]
fn names_begin_with_a_letter_or_a_digit_and_end_in_time() {
    let long = "x".repeat(101);
    let rule = "letters, digits, `-`, `_` and `.`, and begin with a letter or a digit";
    for name in ["=1+1", "+1", "-1", "@x", ".x", "_x", "a b", "a/b", "é", ""] {
        assert_eq!(
            parsed(&edited("\"digits-capacity\"", &format!("{name:?}"))).unwrap_err(),
            format!("digits.toml:1:8: `name` must be {rule}: it names a folder")
        );
        let variant = experiment(&with(&format!("[variants.{name:?}]"))).unwrap_err();
        assert_eq!(
            variant,
            format!("digits.toml:60:11: `variants.{name}` must be called by {rule}")
        );
        for (section, key) in NAMED_SECTIONS {
            assert_eq!(
                parsed(&with(&format!("[{section}.{name:?}]\n{key}"))).unwrap_err(),
                format!("digits.toml:60:1: `{section}.{name}` must be called by {rule}")
            );
        }
    }
    let too_long = "has a name of 101 characters; use at most 100";
    assert_eq!(
        parsed(&edited("digits-capacity", &long)).unwrap_err(),
        format!("digits.toml:1:8: `name` {too_long}: it names a folder")
    );
    assert_eq!(
        experiment(&with(&format!("[variants.{long}]"))).unwrap_err(),
        format!("digits.toml:60:11: `variants.{long}` {too_long}")
    );
    for (section, key) in NAMED_SECTIONS {
        assert_eq!(
            parsed(&with(&format!("[{section}.{long}]\n{key}"))).unwrap_err(),
            format!("digits.toml:60:1: `{section}.{long}` {too_long}")
        );
    }
    assert_eq!(
        parsed(&edited("\"digits-binarized\"", &format!("{long:?}"))).unwrap_err(),
        "digits.toml:7:8: `data.name` has a name of 101 characters, longer than that of any data set; see `amortgap data list`"
    );
    let exactly = &long[..100];
    parsed(&edited("digits-capacity", exactly)).unwrap();
    for (section, key) in NAMED_SECTIONS {
        parsed(&with(&format!("[{section}.{exactly}]\n{key}"))).unwrap();
    }
    experiment(&with(&format!("[variants.{exactly}]"))).unwrap();
}

#[test]
fn an_encoder_of_many_layers_has_too_long_a_name() {
    let hidden = |n| edited("hidden = [64]", &format!("hidden = {:?}", vec![10; n]));
    parsed(&hidden(32)).unwrap();
    assert_eq!(
        parsed(&hidden(33)).unwrap_err(),
        "digits.toml:36:10: `encoders[1].hidden` has 33 layers, whose widths make a name of 102 characters in results; use fewer layers, whose name has at most 100"
    );
}

#[test]
fn networks_of_more_layers_than_can_be_trained_are_refused() {
    for (text, key) in [
        ("encoder_hidden = [100]", "model.training.encoder_hidden"),
        ("hidden = [128]", "model.hidden"),
    ] {
        let start = text.split_once('[').unwrap().0;
        let layers = |n| format!("{start}{:?}", vec![1; n]);
        parsed(&edited(text, &layers(100))).unwrap();
        for n in [101, 300_000] {
            let error = parsed(&edited(text, &layers(n))).unwrap_err();
            let end = format!(": `{key}` has {n} layers; use at most 100");
            assert!(error.ends_with(&end), "{error}");
        }
    }
}

#[test]
fn learning_rates_beyond_every_use_are_refused() {
    let cure = "and Adam changes every parameter by about that much in its first step; use at most 100, as in 0.001";
    for rate in ["1e300", "101.0"] {
        let said = format!("is {:e}, {cure}", rate.parse::<f64>().unwrap());
        for (text, key) in [
            (
                edited("learning_rate = 0.002", &format!("learning_rate = {rate}")),
                "25:17: `model.training.learning_rate`",
            ),
            (
                edited("learning_rate = 0.001", &format!("learning_rate = {rate}")),
                "46:17: `encoder_training.learning_rate`",
            ),
            (
                edited(
                    "steps = [1, 5, 20]",
                    &format!("steps = [1]\nrule = \"adam\"\nlearning_rate = {rate}"),
                ),
                "57:17: `refinement.learning_rate`",
            ),
            (
                with_ascent(&format!("rule = \"adam\"\nlearning_rate = {rate}")),
                "62:17: `ascents.own.learning_rate`",
            ),
        ] {
            let error = parsed(&text).unwrap_err();
            assert_eq!(error, format!("digits.toml:{key} {said}"));
        }
    }
    // A rate that is only too large for this problem is tried, and what comes of it is said.
    parsed(&edited("learning_rate = 0.002", "learning_rate = 100")).unwrap();
    parsed(&edited("learning_rate = 0.002", "learning_rate = 1e-300")).unwrap();
}

#[test]
fn a_condition_number_beyond_what_the_closed_forms_resolve_is_refused() {
    let text = |number: f64| linear(&format!("condition_number = {number:e}"));
    parsed(&text(MAX_CONDITION_NUMBER)).unwrap();
    for number in [1.01e8, 1e18, 1e300] {
        assert_eq!(
            parsed(&text(number)).unwrap_err(),
            format!(
                "digits.toml:16:20: `model.condition_number` is {number:e}, and beyond 1e8 the closed forms lose the smallest variance of the posterior to rounding; use at most 1e8"
            )
        );
    }
}

#[test]
fn noise_that_32_bits_cannot_resolve_is_refused() {
    let of_decoder = |std: &str| {
        edited(
            "likelihood = \"bernoulli\"",
            &format!("likelihood = \"gaussian\"\nnoise_std = {std}"),
        )
    };
    for (std, more) in [
        ("1e-300", "; with `precision = \"double\"` they have 64"),
        ("9e-7", "; with `precision = \"double\"` they have 64"),
        ("1.1e12", ""),
        ("1e300", ""),
    ] {
        let said = format!("`model.noise_std` is {std}; use 1e-6 to 1e12, since");
        assert_eq!(
            parsed(&of_decoder(std)).unwrap_err(),
            format!("digits.toml:19:13: {said} decoders are fitted in 32 bits")
        );
        assert_eq!(
            parsed(&linear(&format!("noise_std = {std}"))).unwrap_err(),
            format!("digits.toml:16:13: {said} observations have 32 bits{more}")
        );
    }
    let double = |text: &str| parsed(&format!("precision = \"double\"\n{text}"));
    for std in ["1e-9", "1e-12"] {
        let conditioned = linear(&format!("noise_std = {std}\ncondition_number = 1e10"));
        double(&conditioned).unwrap();
        // A decoder is fitted in 32 bits in any case.
        double(&of_decoder(std)).unwrap_err();
    }
    let error = double(&linear("noise_std = 9e-13")).unwrap_err();
    assert_eq!(
        error,
        "digits.toml:17:13: `model.noise_std` is 9e-13; use 1e-12 to 1e12, since observations have 64 bits, and encoders are fitted in 32"
    );
    for std in ["1e-6", "1e12"] {
        parsed(&of_decoder(std)).unwrap();
        let conditioned = linear(&format!("noise_std = {std}\ncondition_number = 10.0"));
        parsed(&conditioned).unwrap();
    }
}

#[test]
fn noise_that_random_loadings_drown_is_refused() {
    let error = parsed(&linear("noise_std = 1e-6")).unwrap_err();
    assert_eq!(
        error,
        "digits.toml:16:13: `model.noise_std` is 1e-6, so small beside the loadings of 8 observed and 3 latent dimensions that rounding spoils the closed forms; use at least 2.6e-6"
    );
    parsed(&linear("noise_std = 2.6e-6")).unwrap();
    // With fewer observed than latent dimensions, the posterior itself is that badly conditioned.
    let flat = |std: &str| {
        linear(&format!("noise_std = {std}")).replace("observed_dim = 8", "observed_dim = 2")
    };
    let error = parsed(&flat("1e-4")).unwrap_err();
    assert!(error.ends_with("use at least 1.8e-4"), "{error}");
    parsed(&flat("1.8e-4")).unwrap();
}

#[test]
fn ascents_are_compared_on_no_more_draws_than_a_sequence_has() {
    let with_draws = |n: u32| {
        with_ascent("rule = \"adam\"").replace("elbo_samples = 500", &format!("elbo_samples = {n}"))
    };
    parsed(&with_draws(131_072)).unwrap();
    assert_eq!(
        parsed(&with_draws(131_073)).unwrap_err(),
        "digits.toml:58:16: `estimators.elbo_samples` is 131073, and the Sobol points on which `ascents` are compared end at 131072; use at most that many, as in 512"
    );
    // Other bounds stream over their draws.
    parsed(&edited("elbo_samples = 500", "elbo_samples = 4294967295")).unwrap();
}

/// `depth` tables within each other, the innermost with a number.
fn tables(depth: usize) -> String {
    format!("{}1{}", "{a = ".repeat(depth), "}".repeat(depth))
}

#[test]
fn tables_and_lists_that_are_nested_too_deeply_are_refused_at_their_place() {
    let deep_key = vec!["a"; 20_000].join(".");
    let longest_key = vec!["a"; 79].join(".");
    let many = (0..78).fold("1".to_owned(), |value, _| {
        format!("{{{longest_key}={value}}}")
    });
    let said = "nested more than 16 levels deep, deeper than any key of a spec; remove it";
    let too_deep =
        "tables or lists are nested too deeply, deeper than any key of a spec; remove them";
    for (line, message) in [
        (format!("x = {}", tables(16)), format!("`a` is {said}")),
        (format!("x = {}", tables(50_000)), too_deep.to_owned()),
        (
            format!("x = {}{}", "[".repeat(17), "]".repeat(17)),
            format!("`[[]]` is {said}"),
        ),
        (
            format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            too_deep.to_owned(),
        ),
        (format!("{deep_key} = 1"), too_deep.to_owned()),
        (format!("[{deep_key}]"), too_deep.to_owned()),
        (format!("[variants.{deep_key}]"), too_deep.to_owned()),
        (format!("{longest_key} = {many}"), format!("`a` is {said}")),
        (
            format!("[variants.{longest_key}]\n{longest_key} = {many}").replacen("a.", "", 1),
            format!("`a` is {said}"),
        ),
    ] {
        let error = parsed(&with(&line)).unwrap_err();
        assert!(error.starts_with("digits.toml:60:"), "{error}");
        assert!(error.ends_with(&message), "{error}");
        let error = overridden(&with(&line), &["seeds=[0]"]).unwrap_err();
        assert!(error.starts_with("digits.toml:60:"), "{error}");
        assert!(error.ends_with(&message), "{error}");
    }
}

#[test]
fn overrides_of_any_depth_and_length_are_quoted_in_short() {
    let deep_key = vec!["a"; 20_000].join(".");
    for (assignment, message) in [
        (
            format!("{deep_key}=1"),
            "has a key of 20000 parts, more than any key of a spec; use at most 16",
        ),
        (
            format!("model.hidden={}", tables(70)),
            "`a` is nested more than 16 levels deep, deeper than any key of a spec; remove it",
        ),
        (
            format!("model.hidden={}{}", "[".repeat(20_000), "]".repeat(20_000)),
            "expected a list",
        ),
        (
            format!("model.kind={}", "é".repeat(100_000)),
            "`linear-gaussian`, `time-series`, `hierarchical-linear`, `hierarchical-nonlinear`",
        ),
        (
            format!("seeds=[{}]", "0,".repeat(100_000)),
            "`seeds` has 0 twice; each repetition needs a seed of its own",
        ),
    ] {
        let error = overridden(DIGITS, &[&assignment]).unwrap_err();
        let beginning: String = assignment.chars().take(100).collect();
        assert!(
            error.starts_with(&format!("--set {beginning} … ")),
            "{error}"
        );
        assert!(error.ends_with(message), "{error}");
        assert!(error.chars().count() < 1500, "{error}");
    }
    // Free text may be long.
    let question = "x".repeat(100_000);
    let spec = overridden(DIGITS, &[&format!("question={question}")]).unwrap();
    assert_eq!(spec.question, question);
}

#[test]
fn many_seeds_are_told_apart_quickly() {
    let seeds: Vec<u32> = (0..200_000).collect();
    parsed(&edited("seeds = [0, 1]", &format!("seeds = {seeds:?}"))).unwrap();
}
