//! `[protocols.NAME]`, `[refinements.NAME]` and the objectives of encoders: their defaults, and refusals that
//! name the key.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

mod spec;

use gap_spec::document::write;
use gap_spec::{
    CheckedSpec, Count, ObjectiveKind, ObjectiveSpec, Precision, Protocol, Start, StepRule,
};
use spec::{DIGITS, edited, experiment, joint, parsed, with};

const METHODS: &str = r#"[protocols.published]
protocol = "adam-cremer-2018"
max_steps = 100000

[protocols.plain]

[refinements.adam]
steps = [2, 8]
rule = "adam"

[refinements.newton]
steps = [3]
"#;

fn methods() -> CheckedSpec {
    parsed(&with(METHODS)).unwrap()
}

#[test]
fn protocols_and_refinements_have_the_defaults_of_their_unnamed_sections() {
    let spec = methods();
    let names: Vec<&String> = spec
        .protocols
        .keys()
        .chain(spec.refinements.keys())
        .collect();
    assert_eq!(names, ["plain", "published", "adam", "newton"]);
    let (plain, published) = (&spec.protocols["plain"], &spec.protocols["published"]);
    assert_eq!(published.protocol, Protocol::AdamCremer2018);
    assert_eq!(published.starts(), [Start::Prior]);
    assert_eq!(plain.starts(), [Start::Prior, Start::Encoder]);
    // The keys of `[free_form]` are its own: this spec has 0.005 and 2000 there.
    assert_eq!(plain.tolerance_nats.get(), 0.01);
    assert_eq!(plain.max_steps.get(), 5000);
    assert_eq!(plain.precision, Some(Precision::Mixed));
    let (adam, newton) = (&spec.refinements["adam"], &spec.refinements["newton"]);
    assert_eq!(newton.rule, Some(StepRule::AveragedNewton));
    assert_eq!(newton.learning_rate, None);
    assert_eq!(adam.learning_rate.map(|rate| rate.get()), Some(0.03));
}

#[test]
fn named_refinements_may_stand_alone() {
    let alone = edited("[refinement]\n", "[refinements.only]\n");
    let spec = parsed(&alone).unwrap();
    assert!(spec.refinement.is_none());
    let none = edited("[refinement]\nsteps = [1, 5, 20]\n", "");
    assert_eq!(
        parsed(&none).unwrap_err(),
        "digits.toml:31:1: `encoders` are to be fitted and measured; add `[refinement]`"
    );
}

#[test]
fn mistakes_are_refused_with_the_key_of_the_named_table() {
    let search = "expected one of `starts`, `random_starts`, `protocol`, `tolerance_nats`, `max_steps`, `precision`";
    let refinement = "expected one of `steps`, `rule`, `n_samples`, `learning_rate`, `precision`";
    for (more, message) in [
        (
            "[protocols.fast]\nsteps = 3",
            format!("61:1: unknown key `protocols.fast.steps`, {search}"),
        ),
        (
            "[protocols.fast]\nstarts = []",
            "61:10: `protocols.fast.starts` is empty; use [\"prior\"], [\"encoder\"] or both".to_owned(),
        ),
        (
            "[protocols.fast]\nrandom_starts = 5000",
            "61:17: `protocols.fast.random_starts` is 5000, and `protocols.fast.max_steps` is shared among all starts; use 1000 or fewer".to_owned(),
        ),
        (
            "[protocols.fast]\ntolerance_nats = 1e-5",
            "61:18: `protocols.fast.tolerance_nats` is 0.00001, below what 32-bit scores can certify; use 0.0005 or more, or `precision = \"double\"`".to_owned(),
        ),
        (
            "protocols = 3",
            "60:1: unknown key `estimators.protocols`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`".to_owned(),
        ),
        (
            "[protocols.fast]\n[protocols.fast]",
            "61:12: duplicate key `fast`; keep one of the two".to_owned(),
        ),
        (
            "[refinements.fast]\nstep = [1]",
            format!("61:1: unknown key `refinements.fast.step`, {refinement}"),
        ),
        (
            "[refinements.fast]",
            "60:1: missing key `refinements.fast.steps`".to_owned(),
        ),
        (
            "[refinements.fast]\nsteps = [5, 1]",
            "61:9: `refinements.fast.steps` must be rising numbers of steps, as in [1, 5, 20]".to_owned(),
        ),
        (
            "[refinements.fast]\nsteps = [1]\nlearning_rate = 0.1",
            "62:17: `refinements.fast.learning_rate` does not go with `refinements.fast.rule = \"averaged-newton\"`, whose steps have their own size; remove it, or use `refinements.fast.rule = \"adam\"`".to_owned(),
        ),
        (
            "[refinements.fast]\nsteps = [1]\nn_samples = 4",
            "62:13: `refinements.fast.n_samples` is 4, with which steps by `averaged-newton` cannot tell their gain from their noise; use 16 or more, or `refinements.fast.rule = \"adam\"`".to_owned(),
        ),
    ] {
        let error = parsed(&with(more)).unwrap_err();
        assert_eq!(error, format!("digits.toml:{message}"));
    }
}

#[test]
fn what_does_not_go_with_other_sections_is_refused_with_its_key() {
    let flow = |more: &str| {
        let flow = with(more).replace("diagonal-gaussian", "affine-flow");
        parsed(&flow).unwrap_err()
    };
    assert_eq!(
        flow("[protocols.published]\nprotocol = \"adam-cremer-2018\""),
        "digits.toml:61:12: `protocols.published.protocol` is `adam-cremer-2018`, which ascends in `(μ, log σ²)` and does not go with `family.kind = \"affine-flow\"`; use \"default\""
    );
    assert_eq!(
        flow("[refinements.newton]\nsteps = [1]\nrule = \"averaged-newton\""),
        "digits.toml:62:8: `refinements.newton.rule` is `averaged-newton`, which knows Gaussians only and does not go with `family.kind = \"affine-flow\"`; use `refinements.newton.rule = \"adam\"`"
    );
    let double = |more: &str| parsed(&format!("precision = \"double\"\n{}", with(more)));
    let mixed = "is \"mixed\", but all products have 64 bits with `precision = \"double\"`; remove one of the two keys";
    assert_eq!(
        double("[protocols.mixed]\nprecision = \"mixed\"").unwrap_err(),
        format!("digits.toml:62:13: `protocols.mixed.precision` {mixed}")
    );
    assert_eq!(
        double("[refinements.mixed]\nsteps = [1]\nprecision = \"mixed\"").unwrap_err(),
        format!("digits.toml:63:13: `refinements.mixed.precision` {mixed}")
    );
    let spec = double("[protocols.full]\n[refinements.full]\nsteps = [1]").unwrap();
    assert_eq!(spec.protocols["full"].precision(), Precision::Full);
    assert_eq!(spec.refinements["full"].precision, Some(Precision::Full));

    // Without encoders there is nothing to refine.
    let start = DIGITS.find("[[encoders]]").unwrap();
    let end = DIGITS.find("[free_form]").unwrap();
    let without = DIGITS
        .replace(&DIGITS[start..end], "")
        .replace("[refinement]\n", "[refinements.only]\n");
    let error = parsed(&format!("{without}[ascents.a]\nprotocol = \"default\"\n")).unwrap_err();
    assert!(
        error.ends_with(
            "`refinements.only` stands without `encoders`; remove it, or add an [[encoders]]"
        ),
        "{error}"
    );
}

/// The valid spec with these keys of its second encoder, an `mlp` of 64 units, from line 37.
fn with_objective(keys: &str) -> String {
    edited("hidden = [64]", &format!("hidden = [64]\n{keys}"))
}

#[test]
fn an_objective_is_a_name_or_a_table_and_marks_the_name_of_its_encoder() {
    let objective = |keys: &str| {
        let spec = parsed(&with_objective(keys)).unwrap();
        let encoder = &spec.encoders[1];
        (encoder.objective, encoder.name())
    };
    let weighted = |n: u32| ObjectiveSpec {
        kind: ObjectiveKind::ImportanceWeighted,
        n_importance: Some(Count::new(n)),
    };
    let plain = (ObjectiveSpec::ELBO, "mlp-64".to_owned());
    for keys in [
        "",
        "objective = \"elbo\"",
        "objective = { kind = \"elbo\" }",
    ] {
        assert_eq!(objective(keys), plain, "{keys}");
    }
    let five = (weighted(5), "mlp-64-importance-weighted-5".to_owned());
    for keys in [
        "objective = \"importance-weighted\"",
        "objective = { kind = \"importance-weighted\" }",
        "objective = { kind = \"importance-weighted\", n_importance = 5 }",
        "objective.kind = \"importance-weighted\"",
    ] {
        assert_eq!(objective(keys), five, "{keys}");
    }
    let (fifty, name) =
        objective("objective = { kind = \"importance-weighted\", n_importance = 50 }");
    assert_eq!(
        (fifty.draws_per_estimate(), &*name),
        (50, "mlp-64-importance-weighted-50")
    );
    let (_, name) = objective("objective = \"reweighted-wake\"");
    assert_eq!(name, "mlp-64-reweighted-wake-5");
}

#[test]
fn an_objective_is_written_as_it_is_read() {
    let text = with_objective("objective = { kind = \"reweighted-wake\", n_importance = 7 }");
    let read = experiment(&text).unwrap();
    let written = write(&read);
    assert_eq!(experiment(written).unwrap(), read);
    let elbo = experiment(&with_objective("objective = \"elbo\"")).unwrap();
    assert_eq!(write(&elbo), write(&experiment(DIGITS).unwrap()));
}

#[test]
fn one_network_may_be_fitted_by_several_objectives() {
    let twice = |objective: &str| {
        let second =
            format!("hidden = [64]\n\n[[encoders]]\nkind = \"mlp\"\nhidden = [64]\n{objective}");
        parsed(&edited("hidden = [64]", &second))
    };
    let spec = twice("objective = \"importance-weighted\"").unwrap();
    assert_eq!(
        spec.encoders[1].network_name(),
        spec.encoders[2].network_name()
    );
    assert_eq!(
        twice("objective = \"elbo\"").unwrap_err(),
        "digits.toml:31:1: `encoders` has `mlp-64` twice; results could not tell them apart"
    );
}

#[test]
fn a_mistake_in_an_objective_is_refused_with_its_key() {
    let known = "expected `\"elbo\"`, `\"importance-weighted\"`, `\"reweighted-wake\"`, or a table with `kind` and `n_importance`";
    for (keys, message) in [
        (
            "objective = \"iwae\"",
            format!("37:13: `encoders[1].objective`: invalid value: string \"iwae\", {known}"),
        ),
        (
            "objective = 5",
            format!("37:13: `encoders[1].objective`: invalid type: integer `5`, {known}"),
        ),
        (
            "objective = { kind = \"iwae\" }",
            "37:22: `encoders[1].objective.kind`: unknown variant `iwae`, expected one of `elbo`, `importance-weighted`, `reweighted-wake`".to_owned(),
        ),
        (
            "objective = { kind = \"reweighted-wake\", draws = 5 }",
            "37:41: unknown key `encoders[1].objective.draws`, expected `kind` or `n_importance`".to_owned(),
        ),
        (
            "objective = { n_importance = 5 }",
            "37:13: missing key `encoders[1].objective.kind`".to_owned(),
        ),
        (
            "objective = { kind = \"elbo\", n_importance = 5 }",
            "37:45: `encoders[1].objective.n_importance` does not apply to `kind = \"elbo\"`; remove it".to_owned(),
        ),
        (
            "objective = { kind = \"reweighted-wake\", n_importance = 1 }",
            "37:56: `encoders[1].objective.n_importance` is 1, and one draw has nothing to be weighed against; use 2 or more".to_owned(),
        ),
        (
            "objective = { kind = \"reweighted-wake\", n_importance = 0 }",
            "37:56: `encoders[1].objective.n_importance`: 0 is out of range; use a whole number from 1 to 4294967295".to_owned(),
        ),
    ] {
        let error = parsed(&with_objective(keys)).unwrap_err();
        assert_eq!(error, format!("digits.toml:{message}"));
    }
}

#[test]
fn an_objective_that_the_family_or_a_joint_fit_cannot_serve_is_refused() {
    let weighted = with_objective("objective = \"importance-weighted\"");
    for family in ["full-gaussian", "affine-flow", "gaussian-mixture"] {
        parsed(&weighted.replace("diagonal-gaussian", family)).unwrap();
    }
    for family in ["planar-flow", "auxiliary-flow"] {
        assert_eq!(
            parsed(&weighted.replace("diagonal-gaussian", family)).unwrap_err(),
            format!(
                "digits.toml:37:13: `encoders[1].objective` is \"importance-weighted\", for which the density of `q` is needed; `family.kind = \"{family}\"` has one at its own draws alone: use \"elbo\", or another family"
            )
        );
        parsed(&DIGITS.replace("diagonal-gaussian", family)).unwrap();
    }
    let joint = joint().replace(
        "hidden = [64]",
        "hidden = [64]\nobjective = \"reweighted-wake\"",
    );
    assert!(parsed(&joint).unwrap_err().ends_with(
        "`encoders[1].objective` is \"reweighted-wake\", which does not go with `model.decoder = \"joint\"`, where an encoder and its decoder are fitted by their ELBO; use \"elbo\", or `model.decoder = \"shared\"`"
    ));
}
