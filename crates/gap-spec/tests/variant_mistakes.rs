//! `[variants.NAME]`: at which place a mistake is reported, and whether as the variant's or as the base's.

mod spec;

use spec::{experiment, with};

/// The valid spec with `line` as its first line, above all sections, and with `variants` at its end.
fn with_first_line(line: &str, variants: &str) -> String {
    format!("{line}\n{}", with(variants))
}

#[test]
fn what_is_no_table_of_variants_is_refused_at_its_place() {
    let example = "give a table for each, as in [variants.digits-z2.model]";
    let called =
        "must be called by letters, digits, `-`, `_` and `.`, and begin with a letter or a digit";
    for (text, message) in [
        (
            with("[variants]"),
            format!("60:2: `variants` is empty; {example}"),
        ),
        (
            with("[[variants]]\nseeds = [3]"),
            format!("60:3: `variants` is no table; {example}"),
        ),
        (
            with_first_line("variants = 3", ""),
            format!("1:1: `variants` is no table; {example}"),
        ),
        (
            with_first_line("variants.z2 = 3", ""),
            format!("1:10: `variants.z2` is no table; {example}"),
        ),
        (
            with("[variants]\ngood = {}\n  z2 = [\"model\"]"),
            format!("62:3: `variants.z2` is no table; {example}"),
        ),
        (
            with("[variants.\"../z2\".model]\nlatent_dim = 2"),
            format!("60:11: `variants.../z2` {called}"),
        ),
        (
            with("[variants.good]\n[variants.\".z2\"]"),
            format!("61:11: `variants..z2` {called}"),
        ),
        (
            with("[variants.\"\"]"),
            format!("60:11: `variants.` {called}"),
        ),
    ] {
        let error = experiment(&text).unwrap_err();
        assert_eq!(error, format!("digits.toml:{message}"));
    }
    experiment(&with("[variants.\"noise-0.1_B\"]")).unwrap();
}

#[test]
fn a_mistake_of_a_variant_is_reported_in_it_and_names_it() {
    for (variants, message) in [
        (
            "[variants.good]\n[variants.z2]\nseed = [3]",
            "62:1: variant `z2`: unknown key `seed`, expected one of `seeds`, `precision`, `data`, `model`, `family`, `encoders`, `encoder_training`, `free_form`, `protocols`, `refinement`, `refinements`, `ascents`, `estimators`, `calibration`, `pictures`, `evaluation`",
        ),
        (
            "[variants.z2.estimators]\niw_sample = 3",
            "61:1: variant `z2`: unknown key `estimators.iw_sample`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`",
        ),
        (
            "[variants.z2.data]\nsplit = 3",
            "61:1: variant `z2`: unknown key `data.split`, expected one of `name`, `split_seed`, `train_points`, `measure_train`, `measure_test`",
        ),
        (
            "[variants.z2.model.training]\nsteps = \"many\"",
            "61:9: variant `z2`: `model.training.steps`: invalid type: string \"many\", expected a whole number",
        ),
        (
            "[variants.z2]\nseeds = [0, -1]",
            "61:13: variant `z2`: `seeds[1]`: invalid value: integer `-1`, expected a whole number from 0 to 4294967295",
        ),
        (
            "[variants.z2]\nmodel = 3",
            "61:9: variant `z2`: `model`: invalid type: integer `3`, expected a table",
        ),
        // The base has an `encoders[0].kind`, but the variant's list replaces the base's as a whole.
        (
            "[variants.z2]\nencoders = [{ hidden = [3] }]",
            "61:13: variant `z2`: missing key `encoders[0].kind`",
        ),
        (
            "[[variants.z2.encoders]]\nkind = \"linear\"\n[[variants.z2.encoders]]\nkind = \"mlp\"",
            "62:1: variant `z2`: `encoders[1]` is an `mlp` without `hidden`; give its widths, as in [64]",
        ),
        (
            "[variants.z2.ascents.own]\nmax_steps = 3",
            "60:1: variant `z2`: `ascents.own` has neither `protocol` nor `rule`; give one, as in `protocol = \"default\"`",
        ),
    ] {
        let error = experiment(&with(variants)).unwrap_err();
        assert_eq!(error, format!("digits.toml:{message}"));
    }
    // If base and variant share a section, a key that both lack is reported at the base's section.
    let lacking = with("[variants.good.model]\nlatent_dim = 2\n[variants.z2.model]\nhidden = [3]")
        .replace("latent_dim = 10\n", "");
    assert_eq!(
        experiment(&lacking).unwrap_err(),
        "digits.toml:13:1: missing key `model.latent_dim`"
    );
}

#[test]
fn what_belongs_to_the_experiment_cannot_be_set_in_a_variant() {
    for key in ["name", "question", "surprise", "variants"] {
        let text = with(&format!("[variants.good]\n[variants.z2]\n  {key} = \"x\""));
        assert_eq!(
            experiment(&text).unwrap_err(),
            format!(
                "digits.toml:62:3: `variants.z2.{key}` cannot be set here: all variants share one `{key}`; remove it"
            )
        );
    }
}

#[test]
fn a_key_of_a_variant_that_contradicts_the_base_is_refused_where_the_conflict_shows() {
    // The place is the variant's key.
    assert_eq!(
        experiment(&with("[variants.wide.model]\nobserved_dim = 3")).unwrap_err(),
        "digits.toml:61:16: variant `wide`: `model.observed_dim` does not apply to `data.name = \"digits-binarized\"`, which has a size of its own; remove it"
    );
    // The place is the key of the base that does not go with the variant's.
    assert_eq!(
        experiment(&with("[variants.own.model]\ndecoder = \"joint\"")).unwrap_err(),
        "digits.toml:22:18: variant `own`: `model.training.encoder_hidden` does not go with `model.decoder = \"joint\"`, where each of `encoders` is fitted with a decoder of its own; remove it"
    );
    // The place is a section of the base that needs encoders, which the variant removes.
    let ascending = "encoders = []\nascents = { plain = { protocol = \"default\" } }";
    assert_eq!(
        experiment(&with(&format!("[variants.own]\n{ascending}"))).unwrap_err(),
        "digits.toml:43:1: variant `own`: `encoder_training` stands without `encoders`; remove it, or add an [[encoders]]"
    );
}

#[test]
fn a_mistake_of_the_base_is_reported_at_its_place_and_as_nobody_elses() {
    for (from, to, message) in [
        (
            "iw_samples = 1000",
            "iw_sample = 1000",
            "59:1: unknown key `estimators.iw_sample`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`",
        ),
        (
            "iw_samples = 1000",
            "iw_samples = 0",
            "59:14: `estimators.iw_samples`: 0 is out of range; use a whole number from 1 to 4294967295",
        ),
        (
            "kind = \"mlp-decoder\"\n",
            "",
            "13:1: missing key `model.kind`",
        ),
        (
            "steps = [1, 5, 20]",
            "steps = [5, 1]",
            "55:9: `refinement.steps` must be rising numbers of steps, as in [1, 5, 20]",
        ),
        (
            "name = \"digits-capacity\"",
            "name = \"a b\"",
            "1:8: `name` must be letters, digits, `-`, `_` and `.`, and begin with a letter or a digit: it names a folder",
        ),
        (
            "question =",
            "qestion =",
            "2:1: unknown key `qestion`, expected one of `name`, `question`, `surprise`, `seeds`, `precision`, `data`, `model`, `family`, `encoders`, `encoder_training`, `free_form`, `protocols`, `refinement`, `refinements`, `ascents`, `estimators`, `calibration`, `pictures`, `evaluation`, `variants`",
        ),
        (
            "iw_samples = 1000",
            "iw_samples = 1000\niw_samples = 3",
            "60:1: duplicate key `iw_samples`; keep one of the two",
        ),
    ] {
        let variants = "[variants.z2.model]\nlatent_dim = 2\n[variants.z3.model]\nlatent_dim = 3";
        assert_eq!(with(variants).matches(from).count(), 1);
        let error = experiment(&with(variants).replace(from, to)).unwrap_err();
        assert_eq!(error, format!("digits.toml:{message}"));
    }
    // If the variant repeats the base's mistake, it is reported as the variant's.
    let twice = with("[variants.z2.model]\nlatent_dim = 257").replace("= 10\n", "= 257\n");
    assert_eq!(
        experiment(&twice).unwrap_err(),
        "digits.toml:61:14: variant `z2`: `model.latent_dim` is above 256, where the Sobol points of the ascent end"
    );
}
