//! The stages of a plan, and which edits of a spec keep which stages.

mod mock;

use gap_harness::Plan;
use gap_harness::rows::plans_leave_rows;
use gap_schema::{CalibrationRow, TracePoint};
use gap_store::{Store, StoreError};
use mock::{SPEC, edited, ids, open, plan, plan_of, plan_on, plan_with, plans_on};
use std::collections::BTreeSet;

fn titles(plan: &Plan) -> String {
    let titles: Vec<String> = plan.stages().iter().map(|(_, s)| s.title()).collect();
    titles.join("\n")
}

/// The kinds of stages whose ids differ between the small plan and `other`.
fn changed_kinds(other: &Plan) -> BTreeSet<&'static str> {
    let kept = ids(&plan());
    let changed = other.stages().iter().filter(|(id, _)| !kept.contains(id));
    changed.map(|(_, stage)| stage.kind()).collect()
}

/// The spec `text` with a decoder for each encoder, which are fitted jointly.
fn with_joint_decoders(text: &str) -> String {
    let start = text
        .find("[encoder_training]")
        .expect("it has this section");
    let end = text.find("[free_form]").expect("it has this section");
    text.replace(&text[start..end], "")
        .replace("decoder = \"shared\"", "decoder = \"joint\"")
        .replace("encoder_hidden = [4]\n", "")
}

#[test]
fn a_shared_decoder_is_fitted_once_for_each_seed() {
    insta::assert_snapshot!(titles(&plan()), @r"
    seed 0: model
    seed 0: free-form, train points 0 to 2
    seed 0: free-form, test points 0 to 1
    seed 0: fit linear
    seed 0: measure linear, train points 0 to 2
    seed 0: measure linear, test points 0 to 1
    seed 0: fit mlp-4
    seed 0: measure mlp-4, train points 0 to 2
    seed 0: measure mlp-4, test points 0 to 1
    seed 1: model
    seed 1: free-form, train points 0 to 2
    seed 1: free-form, test points 0 to 1
    seed 1: fit linear
    seed 1: measure linear, train points 0 to 2
    seed 1: measure linear, test points 0 to 1
    seed 1: fit mlp-4
    seed 1: measure mlp-4, train points 0 to 2
    seed 1: measure mlp-4, test points 0 to 1
    ");
}

#[test]
fn a_joint_decoder_is_fitted_once_for_each_encoder() {
    let joint = with_joint_decoders(SPEC).replace("seeds = [0, 1]", "seeds = [3]");
    insta::assert_snapshot!(titles(&plan_of(&joint)), @r"
    seed 3: decoder and linear
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: measure linear, train points 0 to 2
    seed 3: measure linear, test points 0 to 1
    seed 3: decoder and mlp-4
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: measure mlp-4, train points 0 to 2
    seed 3: measure mlp-4, test points 0 to 1
    ");
}

/// [`SPEC`] with one seed, one encoder, and two protocols and two refinements beside the unnamed ones.
fn with_several_methods() -> String {
    let methods = "[protocols.published]\nprotocol = \"adam-cremer-2018\"\n\n[protocols.restarts]\nrandom_starts = 2\n\n\
                   [refinements.adam]\nsteps = [1, 2]\nrule = \"adam\"\n\n[refinements.newton]\nsteps = [3]\n\n[estimators]\n";
    edited("[estimators]\n", methods)
        .replace("seeds = [0, 1]", "seeds = [3]")
        .replace("[[encoders]]\nkind = \"linear\"\n\n", "")
}

#[test]
fn each_protocol_has_stages_of_its_own_and_refinements_share_those_of_their_encoder() {
    let plan = plan_of(&with_several_methods());
    insta::assert_snapshot!(titles(&plan), @r"
    seed 3: model
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: protocol published, train points 0 to 2
    seed 3: protocol published, test points 0 to 1
    seed 3: protocol restarts, train points 0 to 2
    seed 3: protocol restarts, test points 0 to 1
    seed 3: fit mlp-4
    seed 3: measure mlp-4, train points 0 to 2
    seed 3: measure mlp-4, test points 0 to 1
    ");
    let joint = with_joint_decoders(&with_several_methods());
    assert_eq!(plan_of(&joint).stages().len(), 9);
}

#[test]
fn a_method_that_is_added_or_changed_keeps_the_stages_of_the_others() {
    let before = ids(&plan_of(&with_several_methods()));
    for (old, new, n_changed) in [
        // The two chunks of a protocol, and those in which the encoder's `q` is refined.
        ("random_starts = 2", "random_starts = 3", 2),
        ("[protocols.restarts]", "[protocols.other]", 2),
        (
            "[protocols.published]",
            "[protocols.more]\n\n[protocols.published]",
            2,
        ),
        ("steps = [1, 2]\nrule", "steps = [1, 4]\nrule", 2),
        ("[refinements.newton]", "[refinements.other]", 2),
        (
            "[refinements.adam]",
            "[refinements.more]\nsteps = [9]\n\n[refinements.adam]",
            2,
        ),
        // `[free_form]` is not that of a protocol.
        ("max_steps = 100", "max_steps = 101", 2),
    ] {
        let text = with_several_methods();
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        let after = ids(&plan_of(&text.replace(old, new)));
        assert_eq!(after.difference(&before).count(), n_changed, "{new}");
    }
    // Without the new tables, stages are named as they are without these keys.
    let text = with_several_methods();
    let start = text
        .find("[protocols.published]")
        .expect("it has this table");
    let end = text.find("[estimators]").expect("it has this section");
    let without = ids(&plan_of(&text.replace(&text[start..end], "")));
    let kept = without.intersection(&before).count();
    assert_eq!((without.len(), kept), (6, 4), "all but the refined `q`s");
    assert!(without.is_subset(&ids(&plan_of(
        &SPEC.replace("seeds = [0, 1]", "seeds = [3]")
    ))));
}

#[test]
fn encoders_of_one_network_and_several_objectives_are_fitted_and_measured_apart() {
    let mlp = "[[encoders]]\nkind = \"mlp\"\nhidden = [4]\n";
    let with = |objective: &str| edited(mlp, &format!("{mlp}\n{mlp}objective = {objective}\n"));
    let of_seed_3 =
        plan_of(&with("\"importance-weighted\"").replace("seeds = [0, 1]", "seeds = [3]"));
    insta::assert_snapshot!(titles(&of_seed_3), @r"
    seed 3: model
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: fit linear
    seed 3: measure linear, train points 0 to 2
    seed 3: measure linear, test points 0 to 1
    seed 3: fit mlp-4
    seed 3: measure mlp-4, train points 0 to 2
    seed 3: measure mlp-4, test points 0 to 1
    seed 3: fit mlp-4-importance-weighted-5
    seed 3: measure mlp-4-importance-weighted-5, train points 0 to 2
    seed 3: measure mlp-4-importance-weighted-5, test points 0 to 1
    ");
    // The default is the same stage whether it is written out or not; another objective, or another number, is
    // another.
    let weighted = ids(&plan_of(&with("\"importance-weighted\"")));
    let n_other = |objective: &str| {
        ids(&plan_of(&with(objective)))
            .difference(&weighted)
            .count()
    };
    assert_eq!(
        n_other("{ kind = \"importance-weighted\", n_importance = 5 }"),
        0
    );
    // A fit and two chunks of points, for each of two seeds.
    assert_eq!(
        n_other("{ kind = \"importance-weighted\", n_importance = 6 }"),
        6
    );
    assert_eq!(n_other("\"reweighted-wake\""), 6);
    let elbo = ids(&plan_of(&edited(
        mlp,
        &format!("{mlp}objective = \"elbo\"\n"),
    )));
    assert_eq!(elbo, ids(&plan()));
}

/// [`SPEC`] with two ascents and without encoders.
fn ascents() -> String {
    let section = |from: &str, to: &str| {
        let [start, end] = [from, to].map(|name| SPEC.find(name).expect("it has this section"));
        &SPEC[start..end]
    };
    let before = section("\nname", "[[encoders]]");
    let free_form = section("[free_form]", "[refinement]").replace(
        "[free_form]",
        "[free_form]\nstarts = [\"prior\", \"encoder\"]",
    );
    let estimators = section("[estimators]", "[evaluation]");
    let ascents =
        "[ascents.default]\nprotocol = \"default\"\n\n[ascents.lbfgs]\nrule = \"lbfgs\"\n";
    format!("{before}{free_form}{estimators}{ascents}")
}

#[test]
fn ascents_are_followed_after_their_optima_and_need_no_encoders() {
    let text = ascents().replace("seeds = [0, 1]", "seeds = [3]");
    let plan = plan_of(&text);
    insta::assert_snapshot!(titles(&plan), @r"
    seed 3: model
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: optima of 2 test points
    seed 3: ascent default, 2 test points
    seed 3: ascent lbfgs, 2 test points
    ");
    assert!(plans_leave_rows::<TracePoint>(std::slice::from_ref(&plan)));
    let kept = ids(&plan);
    for (old, new, changed) in [
        ("rule = \"lbfgs\"\n", "rule = \"lbfgs\"\nn_samples = 7\n", 1),
        (
            "max_steps = 100",
            "max_steps = 100\ntolerance_nats = 0.02",
            4,
        ),
        ("[\"prior\", \"encoder\"]", "[\"prior\"]", 5),
    ] {
        let text = text.replace(old, new);
        assert_eq!(
            ids(&plan_of(&text)).difference(&kept).count(),
            changed,
            "{new}"
        );
    }
}

/// [`SPEC`] with one seed, one encoder and annealing; `measured` is the number of test points, and `simulated`
/// that of simulated points.
fn annealed(measured: u32, simulated: u32) -> String {
    let annealed = format!(
        "iw_samples = 10\n\n[estimators.annealed]\ntemperatures = 5\nchains = 2\nsimulated_points = {simulated}\n"
    );
    edited("iw_samples = 10\n", &annealed)
        .replace("seeds = [0, 1]", "seeds = [3]")
        .replace("train_points = 10", "train_points = 1000")
        .replace("measure_test = 2", &format!("measure_test = {measured}"))
        .replace("[[encoders]]\nkind = \"linear\"\n\n", "")
}

#[test]
fn annealing_goes_chunk_by_chunk_after_the_free_form_stages() {
    insta::assert_snapshot!(titles(&plan_of(&annealed(120, 60))), @r"
    seed 3: model
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 119
    seed 3: anneal train points 0 to 2
    seed 3: anneal test points 0 to 49
    seed 3: anneal test points 50 to 99
    seed 3: anneal test points 100 to 119
    seed 3: both sides of simulated points 0 to 49
    seed 3: both sides of simulated points 50 to 59
    seed 3: fit mlp-4
    seed 3: measure mlp-4, train points 0 to 2
    seed 3: measure mlp-4, test points 0 to 119
    ");
}

#[test]
fn a_decoder_of_each_encoder_is_annealed_to() {
    let joint = with_joint_decoders(&annealed(2, 1));
    insta::assert_snapshot!(titles(&plan_of(&joint)), @r"
    seed 3: decoder and mlp-4
    seed 3: free-form, train points 0 to 2
    seed 3: free-form, test points 0 to 1
    seed 3: anneal train points 0 to 2
    seed 3: anneal test points 0 to 1
    seed 3: both sides of simulated point 0
    seed 3: measure mlp-4, train points 0 to 2
    seed 3: measure mlp-4, test points 0 to 1
    ");
}

#[test]
fn what_annealing_does_not_depend_on_keeps_its_stages() {
    let text = annealed(120, 60);
    let kept = ids(&plan_of(&text));
    let changed = |old: &str, new: &str| -> BTreeSet<&'static str> {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        let plan = plan_of(&text.replace(old, new));
        let new = plan.stages().iter().filter(|(id, _)| !kept.contains(id));
        new.map(|(_, stage)| stage.kind()).collect()
    };
    for (old, new, kinds) in [
        ("batch_size = 100", "batch_size = 7", &[][..]),
        ("chains = 2", "chains = 3", &["annealed", "simulated"]),
        (
            "temperatures = 5",
            "temperatures = 6",
            &["annealed", "simulated"],
        ),
        (
            "chains = 2",
            "chains = 2\nstart = \"prior\"",
            &["annealed", "simulated"],
        ),
        (
            "iw_samples = 10",
            "iw_samples = 11",
            &["amortized", "annealed", "free-form", "simulated"],
        ),
        ("steps = [1]", "steps = [2]", &["amortized"]),
        // One more point makes the last chunk longer; the other chunks are kept.
        (
            "simulated_points = 60",
            "simulated_points = 61",
            &["simulated"],
        ),
    ] {
        assert_eq!(
            changed(old, new),
            BTreeSet::from_iter(kinds.iter().copied()),
            "{new}"
        );
    }
    let more = plan_of(&annealed(120, 150));
    let anew = more.stages().iter().filter(|(id, _)| !kept.contains(id));
    assert_eq!(anew.count(), 2, "the first chunk of 50 is kept");
    // Paths from the prior need no `q*`, so the settings of bounds do not change their stages.
    let of_prior = text.replace("chains = 2", "chains = 2\nstart = \"prior\"");
    let kept = ids(&plan_of(&of_prior));
    let more_draws = plan_of(&of_prior.replace("iw_samples = 10", "iw_samples = 11"));
    let annealed = more_draws
        .stages()
        .iter()
        .filter(|(_, stage)| stage.kind() == "annealed");
    assert!(annealed.clone().count() > 0);
    assert!(annealed.into_iter().all(|(id, _)| kept.contains(id)));
}

/// The plan of a spec that calibrates every estimator, after `edits` of its text.
fn calibration(edits: &[(&str, &str)]) -> Plan {
    let mut text = r#"
name = "small"
question = "Are the errors right?"
surprise = "They are not."
seeds = [4]

[data]
name = "synthetic"
train_points = 1
measure_train = 1
measure_test = 1

[model]
kind = "linear-gaussian"
latent_dim = 2
observed_dim = 4

[estimators]
iw_samples = 10

[estimators.adaptive]
target_std_error_nats = 0.1
most_samples = 2000

[estimators.annealed]
temperatures = 5
chains = 2

[calibration]
replicates = 20
points = 2
"#
    .to_owned();
    for (old, new) in edits {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text = text.replace(old, new);
    }
    plan_of(&text)
}

#[test]
fn a_calibration_has_a_stage_for_each_estimator_and_point() {
    insta::assert_snapshot!(titles(&calibration(&[("points = 2", "points = 1")])), @r"
    seed 4: model
    seed 4: free-form, train point 0
    seed 4: free-form, test point 0
    seed 4: weigh adaptively, train point 0
    seed 4: weigh adaptively, test point 0
    seed 4: anneal train point 0
    seed 4: anneal test point 0
    seed 4: calibrate elbo on point 0
    seed 4: calibrate importance-weighted on point 0
    seed 4: calibrate pareto-smoothed on point 0
    seed 4: calibrate importance-weighted-adaptive on point 0
    seed 4: calibrate annealed on point 0
    seed 4: calibrate annealed-reverse on point 0
    ");
    let plan = calibration(&[]);
    assert!(plans_leave_rows::<CalibrationRow>(std::slice::from_ref(
        &plan
    )));
    let kept = ids(&plan);
    for (old, new, changed) in [
        ("chains = 2", "chains = 3", 2 + 4),
        ("chains = 2", "chains = 2\nsimulated_points = 1", 1),
        ("most_samples = 2000", "most_samples = 3000", 2 + 2),
        ("replicates = 20", "replicates = 21", 12),
        ("points = 2", "points = 3", 6),
    ] {
        let other = calibration(&[(old, new)]);
        assert_eq!(ids(&other).difference(&kept).count(), changed, "{new}");
    }
}

#[test]
fn variants_share_what_they_have_in_common() {
    let variants = "[variants.as-it-is]\n\n[variants.more-draws.estimators]\niw_samples = 11\n";
    let [same, more_draws] = &plans_on(&format!("{SPEC}\n{variants}"), "cpu")[..] else {
        panic!("two variants have two plans");
    };
    assert_eq!(same.variant(), Some("as-it-is"));
    assert_eq!(more_draws.variant(), Some("more-draws"));
    assert_eq!(ids(same), ids(&plan()));
    assert_eq!(
        changed_kinds(more_draws),
        BTreeSet::from(["amortized", "free-form"])
    );
    assert_ne!(same.digest(), plan().digest());
}

#[test]
fn every_stage_has_a_name_of_its_own_and_comes_after_those_that_it_depends_on() {
    let plan = plan();
    assert_eq!(ids(&plan).len(), plan.stages().len());
    let mut before = BTreeSet::new();
    for (id, stage) in plan.stages() {
        for dependency in stage.input_stages() {
            assert!(before.contains(dependency), "{}", stage.title());
        }
        before.insert(id);
    }
}

#[test]
fn what_no_number_depends_on_keeps_the_plan() {
    for (old, new) in [
        ("batch_size = 100", "batch_size = 7"),
        ("Does it run?", "Does it walk?"),
        ("It does not.", "It flies."),
        ("name = \"small\"", "name = \"other\""),
    ] {
        assert_eq!(plan_with(old, new).digest(), plan().digest(), "{new}");
    }
}

#[test]
fn an_edit_renames_the_stages_that_depend_on_it_and_no_other() {
    for (old, new, kinds) in [
        (
            "iw_samples = 10",
            "iw_samples = 11",
            &["amortized", "free-form"][..],
        ),
        ("max_steps = 100", "max_steps = 101", &["free-form"]),
        ("steps = [1]", "steps = [1, 2]", &["amortized"]),
        ("steps = 2\n", "steps = 3\n", &["amortized", "encoder"]),
        (
            "measure_test = 2",
            "measure_test = 1",
            &["amortized", "free-form"],
        ),
        ("train_points = 10", "train_points = 9", ALL),
        ("latent_dim = 2", "latent_dim = 3", ALL),
        ("steps = 1\n", "steps = 4\n", ALL),
    ] {
        let plan = plan_with(old, new);
        assert_eq!(
            changed_kinds(&plan),
            BTreeSet::from_iter(kinds.iter().copied()),
            "{new}"
        );
    }
}

const ALL: &[&str] = &["amortized", "encoder", "free-form", "model"];

#[test]
fn experiments_of_both_precisions_share_their_fits() {
    let double = plan_of(&format!("precision = \"double\"\n{SPEC}"));
    let measured = ["amortized", "free-form"];
    assert_eq!(changed_kinds(&double), BTreeSet::from(measured));
}

#[test]
fn another_device_shares_no_stage() {
    let gpu = plan_on(SPEC, "cuda:0");
    assert!(ids(&gpu).is_disjoint(&ids(&plan())));
    assert_ne!(gpu.digest(), plan().digest());
}

#[test]
fn one_more_seed_or_encoder_keeps_what_was_there() {
    let more_seeds = plan_with("seeds = [0, 1]", "seeds = [0, 1, 2]");
    assert!(ids(&more_seeds).is_superset(&ids(&plan())));
    assert_eq!(more_seeds.stages().len(), 27);
    let wider = "hidden = [4]\n\n[[encoders]]\nkind = \"mlp\"\nhidden = [8]\n\n[encoder_training]";
    let more_encoders = plan_with("hidden = [4]\n\n[encoder_training]", wider);
    assert!(ids(&more_encoders).is_superset(&ids(&plan())));
    assert_eq!(more_encoders.stages().len(), 24);
}

#[test]
fn one_folder_takes_one_experiment() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let error = Store::open(folder.path(), "other").unwrap_err();
    assert!(matches!(&error, StoreError::OtherExperiment { other, .. } if other == "small"));
    assert!(
        error
            .to_string()
            .ends_with("choose another folder with --out")
    );
    // The refusal changes nothing.
    open(folder.path());
}
