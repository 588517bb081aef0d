//! Families, networks, likelihoods and models: which go together, and refusals of those that do not.

mod spec;

use gap_spec::Family;
use gap_spec::{CheckedSpec, LikelihoodKind, ModelKind, StepRule};
use spec::{DIGITS, edited, parsed, refused};

const FAMILY: &str = "kind = \"diagonal-gaussian\"";

fn of_family(name: &str) -> String {
    edited(FAMILY, &format!("kind = \"{name}\""))
}

/// Parses a spec with this `model`, data that are drawn from it, and `more` sections, such as encoders.
fn drawn(model: &str, more: &str) -> Result<CheckedSpec, String> {
    let text = format!(
        "name = \"drawn\"\nquestion = \"\"\nsurprise = \"\"\nseeds = [0]\n\
         [data]\nname = \"synthetic\"\ntrain_points = 10\nmeasure_train = 5\nmeasure_test = 5\n\
         [model]\n{model}\n\
         [encoder_training]\nsteps = 1\nbatch_size = 5\nlearning_rate = 0.01\nn_samples = 1\n\
         [refinement]\nsteps = [1]\n{more}\n"
    );
    parsed(&text)
}

const LINEAR: &str = "[[encoders]]\nkind = \"linear\"";

#[test]
fn every_family_can_be_asked_for_and_is_refined_by_steps_that_know_it() {
    for (name, family) in [
        ("diagonal-gaussian", Family::DiagonalGaussian),
        ("full-gaussian", Family::FullGaussian),
        ("affine-flow", Family::AffineFlow),
        ("auxiliary-flow", Family::AuxiliaryFlow),
        ("planar-flow", Family::PlanarFlow),
        ("gaussian-mixture", Family::GaussianMixture),
    ] {
        let spec = parsed(&of_family(name)).unwrap();
        assert_eq!(spec.family.kind, family);
        let rule = spec.refinement.as_ref().unwrap().rule.unwrap();
        let expected = if family.is_gaussian() {
            StepRule::AveragedNewton
        } else {
            StepRule::Adam
        };
        assert_eq!(rule, expected, "{name}");
        assert!(!family.contains(family));
        assert_eq!(
            family.contains(Family::DiagonalGaussian),
            family != Family::DiagonalGaussian
        );
    }
}

#[test]
fn a_family_that_an_estimator_or_a_rule_does_not_know_is_refused_with_both_keys() {
    let newton = of_family("affine-flow").replace(
        "steps = [1, 5, 20]",
        "steps = [1, 5, 20]\nrule = \"averaged-newton\"",
    );
    assert_eq!(
        parsed(&newton).unwrap_err(),
        "digits.toml:56:8: `refinement.rule` is `averaged-newton`, which knows Gaussians only and does not go with `family.kind = \"affine-flow\"`; use `refinement.rule = \"adam\"`"
    );
    let adaptive = "\n[estimators.adaptive]\ntarget_std_error_nats = 0.1\nmost_samples = 4000\n";
    let defended = format!("{adaptive}prior_share = 0.1\n");
    for family in ["planar-flow", "auxiliary-flow"] {
        let with = |more: &str| parsed(&format!("{}{more}", of_family(family)));
        assert_eq!(
            with(&defended).unwrap_err(),
            format!(
                "digits.toml:64:15: `estimators.adaptive.prior_share` is 0.1, for which the density of `q` is needed at draws of the prior; `family.kind = \"{family}\"` has one at its own draws alone: set it to 0, or use another family"
            )
        );
        let undefended = format!("{adaptive}prior_share = 0.0\n");
        with(&undefended).unwrap();
    }
    parsed(&format!("{}{defended}", of_family("affine-flow"))).unwrap();
    let ascent = "\n[ascents.own]\nprotocol = \"default\"\n";
    let error = parsed(&format!("{}{ascent}", of_family("full-gaussian"))).unwrap_err();
    assert!(
        error.contains("`ascents.own` is an ascent of diagonal Gaussians, which does not go with `family.kind = \"full-gaussian\"`"),
        "{error}"
    );
}

#[test]
fn convolutions_are_for_images() {
    let conv = edited("kind = \"linear\"", "kind = \"conv\"\nchannels = [4, 8]");
    let spec = parsed(&conv).unwrap();
    assert_eq!(spec.encoders[0].name(), "conv-4-8");
    let decoder = DIGITS
        .replace("\"mlp-decoder\"", "\"conv-decoder\"")
        .replace("hidden = [128]", "channels = [8, 16]");
    assert_eq!(parsed(&decoder).unwrap().model.kind, ModelKind::ConvDecoder);
    refused(&[
        (
            "kind = \"linear\"",
            "kind = \"conv\"",
            "digits.toml:31:1: `encoders[0]` is a `conv` without `channels`; give those of its two convolutions, as in [16, 32]",
        ),
        (
            "kind = \"linear\"",
            "kind = \"linear\"\nchannels = [4, 8]",
            "digits.toml:33:12: `encoders[0].channels` does not apply to `kind = \"linear\"`; remove it, or use `kind = \"conv\"`",
        ),
        (
            "kind = \"mlp-decoder\"",
            "kind = \"conv-decoder\"",
            "digits.toml:16:10: `model.hidden` does not apply to `model.kind = \"conv-decoder\"`; remove it",
        ),
        (
            "hidden = [128]",
            "hidden = [128]\nchannels = [4, 8]",
            "digits.toml:17:12: `model.channels` does not apply to `model.kind = \"mlp-decoder\"`; remove it",
        ),
    ]);
    let synthetic = drawn(
        "kind = \"linear-gaussian\"\nlatent_dim = 2\nobserved_dim = 4",
        "[[encoders]]\nkind = \"conv\"\nchannels = [4, 8]",
    );
    let error = synthetic.unwrap_err();
    assert!(
        error.ends_with("`encoders[0].channels` are of a convolution, which does not go with `data.name = \"synthetic\"`: its points are no images; use `kind = \"mlp\"`"),
        "{error}"
    );
    let decoder = drawn(
        "kind = \"conv-decoder\"\nlatent_dim = 2\nobserved_dim = 64\nchannels = [4, 8]",
        LINEAR,
    );
    let error = decoder.unwrap_err();
    assert!(
        error.contains("`data.name` is \"synthetic\", whose points are no images, which does not go with `model.kind = \"conv-decoder\"`"),
        "{error}"
    );
}

#[test]
fn likelihoods_that_are_learned_need_data_and_no_noise() {
    for (name, likelihood) in [
        ("learned-gaussian", LikelihoodKind::LearnedGaussian),
        ("discretized-logistic", LikelihoodKind::DiscretizedLogistic),
    ] {
        let to = format!("likelihood = \"{name}\"");
        let spec = parsed(
            &edited("likelihood = \"bernoulli\"", &to).replace("digits-binarized", "digits"),
        )
        .unwrap();
        assert_eq!(spec.model.likelihood(), likelihood);
        let noisy = format!("{to}\nnoise_std = 0.1");
        let error = parsed(&edited("likelihood = \"bernoulli\"", &noisy)).unwrap_err();
        assert_eq!(
            error,
            format!(
                "digits.toml:19:13: `model.noise_std` does not go with `model.likelihood = \"{name}\"`; remove it, or use `model.likelihood = \"gaussian\"`"
            )
        );
        let model =
            format!("kind = \"mlp-decoder\"\nlatent_dim = 2\nobserved_dim = 4\nhidden = []\n{to}");
        let error = drawn(&model, LINEAR).unwrap_err();
        assert!(
            error.contains("`model.likelihood`") && error.contains("`data.name = \"synthetic\"`"),
            "{error}"
        );
    }
}

#[test]
fn models_of_one_number_have_their_own_sizes() {
    for kind in [
        "time-series",
        "hierarchical-linear",
        "hierarchical-nonlinear",
    ] {
        let model = format!("kind = \"{kind}\"\nlatent_dim = 1");
        assert_eq!(
            drawn(&model, LINEAR).unwrap().model.kind,
            kind.parse().unwrap()
        );
        let refused = |model: String, message: &str| {
            let error = drawn(&model, LINEAR).unwrap_err();
            assert!(error.ends_with(message), "{error}");
        };
        refused(
            format!("kind = \"{kind}\"\nlatent_dim = 2"),
            &format!(
                "`model.latent_dim` is not 1, which it is for `model.kind = \"{kind}\"`; set it to 1"
            ),
        );
        refused(
            format!("{model}\nobserved_dim = 1"),
            &format!(
                "`model.observed_dim` does not apply to `model.kind = \"{kind}\"`, which has one of its own; remove it"
            ),
        );
        for key in ["hidden = [3]", "noise_std = 0.1", "condition_number = 3.0"] {
            let name = key.split(' ').next().unwrap();
            refused(
                format!("{model}\n{key}"),
                &format!("`model.{name}` does not apply to `model.kind = \"{kind}\"`; remove it"),
            );
        }
    }
}

#[test]
fn context_is_for_data_with_an_order() {
    let series = "kind = \"time-series\"\nlatent_dim = 1";
    let context = |n: u32| format!("{LINEAR}\ncontext = {n}");
    for n in [1, 2] {
        drawn(series, &context(n)).unwrap();
    }
    let error = drawn(series, &context(3)).unwrap_err();
    assert!(
        error.ends_with("`encoders[0].context` is 3, but `model.kind = \"time-series\"` depends on 2 observations; use at most 2"),
        "{error}"
    );
    let digits = edited("kind = \"linear\"", "kind = \"linear\"\ncontext = 2");
    assert_eq!(
        parsed(&digits).unwrap_err(),
        "digits.toml:33:11: `encoders[0].context` is 2, but points of `data.name = \"digits-binarized\"` under `model.kind = \"mlp-decoder\"` have no order, so there are no neighbours to see; remove it, or use `model.kind = \"time-series\"`"
    );
}

#[test]
fn adam_of_a_flow_takes_a_learning_rate_without_being_named() {
    let text = of_family("planar-flow").replace(
        "steps = [1, 5, 20]",
        "steps = [1, 5, 20]\nlearning_rate = 0.01",
    );
    let spec = parsed(&text).unwrap();
    let refinement = spec.refinement.as_ref().unwrap();
    assert_eq!(refinement.rule, Some(StepRule::Adam));
    assert_eq!(refinement.learning_rate.unwrap().get(), 0.01);
}

#[test]
fn searches_that_a_family_does_not_have_are_refused_with_both_keys() {
    let published = of_family("full-gaussian").replace(
        "tolerance_nats = 0.005",
        "tolerance_nats = 0.005\nprotocol = \"adam-cremer-2018\"",
    );
    assert_eq!(
        parsed(&published).unwrap_err(),
        "digits.toml:52:12: `free_form.protocol` is `adam-cremer-2018`, which ascends in `(μ, log σ²)` and does not go with `family.kind = \"full-gaussian\"`; use \"default\""
    );
    for (family, most) in [("auxiliary-flow", 128), ("gaussian-mixture", 255)] {
        let of_size = |dim: u32| {
            let text = of_family(family);
            parsed(&text.replace("latent_dim = 10", &format!("latent_dim = {dim}")))
        };
        of_size(most).unwrap();
        assert_eq!(
            of_size(most + 1).unwrap_err(),
            format!(
                "digits.toml:15:14: `model.latent_dim` is above {most}, where the Sobol points end that draws of `family.kind = \"{family}\"` are made of"
            )
        );
    }
}

#[test]
fn a_series_whose_prior_moves_takes_no_draws_of_the_standard_normal() {
    let series = "kind = \"time-series\"\nlatent_dim = 1";
    let adaptive = "[estimators.adaptive]\ntarget_std_error_nats = 0.1\nmost_samples = 4000\nprior_share = 0.1";
    let annealed = "[estimators.annealed]\ntemperatures = 10\nchains = 4\nstart = \"prior\"";
    for (section, key) in [
        (adaptive, "estimators.adaptive.prior_share"),
        (annealed, "estimators.annealed.start"),
    ] {
        let error = drawn(series, &format!("{LINEAR}\n\n{section}")).unwrap_err();
        assert!(
            error.contains(&format!("`{key}` is "))
                && error.contains("`model.kind = \"time-series\"`"),
            "{error}"
        );
    }
}

#[test]
fn families_that_are_the_diagonal_gaussian_in_one_dimension_are_refused_there() {
    for kind in ["full-gaussian", "affine-flow"] {
        let model = format!(
            "kind = \"hierarchical-linear\"\nlatent_dim = 1\n\n[family]\nkind = \"{kind}\""
        );
        let error = drawn(&model, LINEAR).unwrap_err();
        assert!(
            error.ends_with(&format!(
                "`family.kind` is \"{kind}\", which with `model.latent_dim = 1` has the same distributions as \"diagonal-gaussian\"; use that, or a family such as \"planar-flow\""
            )),
            "{error}"
        );
    }
    let planar =
        "kind = \"hierarchical-linear\"\nlatent_dim = 1\n\n[family]\nkind = \"planar-flow\"";
    drawn(planar, LINEAR).unwrap();
}
