//! `[variants.NAME]`: the problems that a file gives, with and without overrides, and how they are written
//! back.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

mod spec;

use gap_spec::CheckedSpec;
use gap_spec::Experiment;
use gap_spec::document::write;
use spec::{DIGITS, edited, experiment, experiment_with, parsed, with};

fn spec_of(experiment: &Experiment, variant: &str) -> CheckedSpec {
    experiment.problem(Some(variant)).unwrap().spec.clone()
}

const THREE: &str = r#"[variants.z2.model]
latent_dim = 2

[variants.a-short-run]
encoders = [{ kind = "mlp", hidden = [8] }]
seeds = [7]
model = { training = { steps = 5 } }

[variants.as-it-is]
"#;

#[test]
fn each_variant_is_a_problem_in_the_order_of_the_file() {
    let said = experiment(&with(THREE)).unwrap();
    assert_eq!(said.name, "digits-capacity");
    assert_eq!(said.question, "Does a wider encoder close the gap?");
    assert_eq!(said.surprise, "The gap stays when the encoder grows.");
    let names = said.problems.iter().map(|p| p.variant.as_deref());
    let names: Vec<Option<&str>> = names.collect();
    assert_eq!(names, [Some("z2"), Some("a-short-run"), Some("as-it-is")]);
    assert_eq!(said.problem(None), None);
    assert_eq!(said.problem(Some("z3")), None);
}

#[test]
fn tables_are_merged_and_lists_are_replaced() {
    let said = experiment(&with(THREE)).unwrap();
    assert_eq!(spec_of(&said, "as-it-is"), parsed(DIGITS).unwrap());
    let z2 = parsed(&edited("latent_dim = 10", "latent_dim = 2")).unwrap();
    assert_eq!(spec_of(&said, "z2"), z2);
    // `a-short-run` sets a key two tables deep, beside keys that the base keeps, and replaces a list of three
    // encoders.
    let start = DIGITS.find("[[encoders]]").unwrap();
    let end = DIGITS.find("[encoder_training]").unwrap();
    let one = "[[encoders]]\nkind = \"mlp\"\nhidden = [8]\n";
    let by_hand = DIGITS
        .replace(&DIGITS[start..end], one)
        .replace("seeds = [0, 1]", "seeds = [7]")
        .replace("steps = 400", "steps = 5");
    assert_eq!(spec_of(&said, "a-short-run"), parsed(&by_hand).unwrap());
}

#[test]
fn what_the_base_lacks_or_has_wrong_a_variant_may_give() {
    let lacking = with("[variants.z2.model]\nlatent_dim = 2\n").replace("latent_dim = 10\n", "");
    assert_eq!(
        spec_of(&experiment(&lacking).unwrap(), "z2"),
        parsed(&edited("latent_dim = 10", "latent_dim = 2")).unwrap()
    );
    let wrong = with("[variants.z2.model]\nlatent_dim = 2\n").replace("= 10\n", "= 257\n");
    let said = experiment(&wrong).unwrap();
    assert_eq!(spec_of(&said, "z2").model.latent_dim.get(), 2);
}

#[test]
fn overrides_apply_to_the_base_and_to_a_variant_by_name() {
    let overrides = [
        "estimators.iw_samples=10",
        "model.latent_dim=4",
        "variants.a-short-run.model.latent_dim=5",
        "variants.a-short-run.encoders.0.hidden=[9]",
        "variants.new.model.latent_dim=6",
    ];
    let said = experiment_with(&with(THREE), &overrides).unwrap();
    let latent_dims = said.problems.iter().map(|problem| {
        assert_eq!(problem.spec.estimators.iw_samples.get(), 10);
        problem.spec.model.latent_dim.get()
    });
    // The first variant has a value of its own, the third has that of the base.
    assert_eq!(latent_dims.collect::<Vec<_>>(), [2, 5, 4, 6]);
    let short = spec_of(&said, "a-short-run");
    assert_eq!(short.encoders[0].widths(), [9]);
    assert_eq!(short.model.training.as_ref().unwrap().steps.get(), 5);
    // An override adds the file's only variant; the file then gives no problem without a name.
    let said = experiment_with(DIGITS, &["variants.z3.model.latent_dim=3"]).unwrap();
    assert_eq!(said.problems.len(), 1);
    assert_eq!(spec_of(&said, "z3").model.latent_dim.get(), 3);
}

#[test]
fn a_bad_override_of_a_variant_is_quoted_with_what_is_wrong_with_it() {
    for (assignment, message) in [
        (
            "variants.z2.model.latent_dim=257",
            "variant `z2`: `model.latent_dim` is above 256, where the Sobol points of the ascent end",
        ),
        (
            "variants.z2.model.depth=3",
            "variant `z2`: unknown key `model.depth`, expected one of `kind`, `latent_dim`, `observed_dim`, `hidden`, `channels`, `activation`, `likelihood`, `decoder`, `noise_std`, `condition_number`, `weights`, `training`",
        ),
        (
            "variants.a-short-run.encoders.3.hidden=[8]",
            "`3` is not an index into a list of 1",
        ),
        (
            "variants.z2.name=other",
            "`variants.z2.name` cannot be set here: all variants share one `name`; remove it",
        ),
        (
            "variants.z2=3",
            "`variants.z2` is no table; give a table for each, as in [variants.digits-z2.model]",
        ),
    ] {
        for overrides in [&[assignment][..], &["seeds=[3]", assignment]] {
            let error = experiment_with(&with(THREE), overrides).unwrap_err();
            assert_eq!(error, format!("--set {assignment}: {message}"));
        }
    }
    // A mistake of the file is not blamed on the override.
    let zero = with("[variants.z2.model]\nlatent_dim = 0\n");
    assert_eq!(
        experiment_with(&zero, &["seeds=[3]"]).unwrap_err(),
        experiment(&zero).unwrap_err()
    );
}

#[test]
fn what_is_written_reads_back_as_the_same_experiment() {
    for overrides in [
        &[][..],
        &["variants.z2.model.latent_dim=3", "seeds=[5]"],
        &["variants.as-it-is.ascents.own.rule=adam"],
    ] {
        let said = experiment_with(&with(THREE), overrides).unwrap();
        let again = experiment(write(&said)).unwrap();
        assert_eq!(again, said);
        assert_eq!(again.problems.len(), 3);
    }
    let said = experiment_with(&with(THREE), &["variants.z2.model.latent_dim=3"]).unwrap();
    let again = experiment(write(&said)).unwrap();
    assert_eq!(spec_of(&again, "z2").model.latent_dim.get(), 3);
}

#[test]
fn an_override_that_every_variant_hides_is_refused_and_one_of_them_is_named() {
    let both_set = with(
        "[variants.small.model]\nlatent_dim = 2\n[variants.large.model]\nlatent_dim = 20\n[variants.large.data]\nmeasure_test = 7\n",
    );
    let set = |assignment: &str| experiment_with(&both_set, &[assignment]);
    for (assignment, key) in [
        ("model.latent_dim=5", "model.latent_dim"),
        ("model={latent_dim = 5}", "model"),
    ] {
        let refused = set(assignment).map(|_| ()).unwrap_err();
        assert_eq!(
            refused,
            format!(
                "--set {assignment}: changes nothing: every variant has a `{key}` of its own; set it there, as in variants.small.{assignment}"
            )
        );
    }
    // An override is accepted if it has an effect on one variant, or sets a key of a variant itself.
    let latent_dims = |assignment: &str| -> Vec<u32> {
        let said = set(assignment).unwrap();
        let dims = said.problems.iter();
        dims.map(|problem| problem.spec.model.latent_dim.get())
            .collect()
    };
    assert_eq!(latent_dims("data.measure_test=9"), [2, 20]);
    assert_eq!(latent_dims("variants.small.model.latent_dim=5"), [5, 20]);
    // A list of a variant replaces the base's list as a whole.
    let lists = with("[variants.one]\nseeds = [3]\n");
    let refused = experiment_with(&lists, &["seeds=[4]"]).unwrap_err();
    assert!(
        refused.starts_with("--set seeds=[4]: changes nothing"),
        "{refused}"
    );
}
