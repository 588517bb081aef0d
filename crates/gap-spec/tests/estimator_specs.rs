//! Specs of `[estimators.adaptive]`, `[estimators.annealed]` and `[calibration]`.

mod spec;

use gap_spec::{AnnealedStart, ScheduleShape};
use spec::{DIGITS, parsed, with};

/// The message that refuses the valid spec with these `keys` of annealing, which start at line 61.
fn annealed(keys: &str) -> String {
    parsed(&with(&format!("[estimators.annealed]\n{keys}\n"))).expect_err(keys)
}

/// The message that refuses the valid spec with these adaptive `keys`, which start at line 61.
fn adaptive(keys: &str) -> String {
    parsed(&with(&format!("[estimators.adaptive]\n{keys}\n"))).expect_err(keys)
}

/// A valid spec of a calibration, without encoders or ascents.
const CALIBRATION: &str = r#"name = "calibration"
question = "Are the errors right?"
surprise = "They are not."
seeds = [0]

[data]
name = "synthetic"
train_points = 1
measure_train = 1
measure_test = 1

[model]
kind = "linear-gaussian"
latent_dim = 3
observed_dim = 6
condition_number = 10.0

[calibration]
"#;

/// The message that refuses the calibration spec with the text `from` replaced by `to`.
fn calibration(from: &str, to: &str) -> String {
    assert_eq!(
        CALIBRATION.matches(from).count(),
        1,
        "{from:?} is there once"
    );
    parsed(&CALIBRATION.replace(from, to)).expect_err(to)
}

#[test]
fn annealing_has_defaults_and_schedules_by_shape_or_one_by_one() {
    let keys = "[estimators.annealed]\ntemperatures = 5\nchains = 16\n";
    let spec = parsed(&with(keys)).unwrap();
    let annealed = spec.estimators.annealed.as_ref().unwrap();
    assert_eq!(annealed.start, AnnealedStart::FreeForm);
    assert_eq!(annealed.simulated_points, None);
    let sigmoidal = annealed.inverse_temperatures();
    assert_eq!((sigmoidal[0], sigmoidal[2], sigmoidal[4]), (0.0, 0.5, 1.0));
    assert!(sigmoidal[1] < 0.25 && sigmoidal[3] > 0.75, "{sigmoidal:?}");
    for (schedule, expected) in [
        ("temperatures = 3\nschedule = \"linear\"", [0.0, 0.5, 1.0]),
        ("schedule = [0, 0.1, 1.0]", [0.0, 0.1, 1.0]),
    ] {
        let keys = format!("[estimators.annealed]\nchains = 2\n{schedule}\n");
        let spec = parsed(&with(&keys)).unwrap();
        let annealed = spec.estimators.annealed.as_ref().unwrap();
        assert_eq!(annealed.inverse_temperatures(), expected);
    }
    assert_eq!(ScheduleShape::Sigmoidal.to_string(), "sigmoidal");
}

#[test]
fn annealing_that_cannot_be_done_is_refused() {
    let counts = "is out of range; use a whole number from 1 to 4294967295";
    let rising = "`estimators.annealed.schedule` must rise from 0 to 1, both of them in it, as in [0.0, 0.5, 1.0]";
    for (keys, message) in [
        (
            "temperatures = 0\nchains = 16",
            format!("61:16: `estimators.annealed.temperatures`: 0 {counts}"),
        ),
        (
            "temperatures = 1\nchains = 16",
            "61:16: `estimators.annealed.temperatures` is 1, but a path has two ends; use at least 2, as in 1000".to_owned(),
        ),
        (
            "temperatures = 9\nchains = 0",
            format!("62:10: `estimators.annealed.chains`: 0 {counts}"),
        ),
        (
            "temperatures = 9\nchains = 1",
            "62:10: `estimators.annealed.chains` is 1, from which no standard error can be had; use at least 2, as in 16".to_owned(),
        ),
        ("temperatures = 9", "60:1: missing key `estimators.annealed.chains`".to_owned()),
        (
            "chains = 16\nschedule = \"linear\"",
            "62:12: `estimators.annealed.schedule` needs `estimators.annealed.temperatures`, as in 1000; or list the inverse temperatures".to_owned(),
        ),
        ("chains = 16\nschedule = [0.1, 1.0]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = [0.0, 0.9]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = [0.0, 0.6, 0.5, 1.0]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = [0.0, 0.5, 0.5, 1.0]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = [0.0, nan, 1.0]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = [0.0]", format!("62:12: {rising}")),
        ("chains = 16\nschedule = []", format!("62:12: {rising}")),
        (
            "temperatures = 3\nchains = 16\nschedule = [0.0, 0.5, 1.0]",
            "61:16: `estimators.annealed.temperatures` does not go with a listed `estimators.annealed.schedule`; remove one of them".to_owned(),
        ),
        (
            "temperatures = 9\nchains = 16\nleapfrog_steps = 0",
            format!("63:18: `estimators.annealed.leapfrog_steps`: 0 {counts}"),
        ),
        (
            "temperatures = 9\nchains = 16\nstart = \"posterior\"",
            "63:9: `estimators.annealed.start`: unknown variant `posterior`, expected one of `free-form`, `encoder`, `prior`".to_owned(),
        ),
        (
            "temperatures = 9\nchains = 16\nsteps = 3",
            "63:1: unknown key `estimators.annealed.steps`, expected one of `temperatures`, `chains`, `leapfrog_steps`, `schedule`, `start`, `simulated_points`, `precision`".to_owned(),
        ),
    ] {
        assert_eq!(annealed(keys), format!("digits.toml:{message}"), "{keys}");
    }
    let unknown = annealed("temperatures = 9\nchains = 16\nschedule = \"cubic\"");
    for part in [
        "63:12: `estimators.annealed.schedule`",
        "\"cubic\"",
        "`\"sigmoidal\"`",
        "list",
    ] {
        assert!(unknown.contains(part), "{unknown}");
    }
}

#[test]
fn a_path_from_the_encoder_needs_a_fitted_model() {
    let keys = "[estimators.annealed]\ntemperatures = 9\nchains = 2\nstart = \"encoder\"\n";
    parsed(&with(keys)).unwrap();
    assert_eq!(
        parsed(&format!("{CALIBRATION}\n{keys}")).unwrap_err(),
        "digits.toml:23:9: `estimators.annealed.start` is `encoder`, but `[model.training]` is not there, so no encoder comes with the model; use \"free-form\""
    );
}

#[test]
fn adaptive_weighing_that_makes_no_sense_is_refused() {
    for (keys, message) in [
        (
            "target_std_error_nats = 0.05\nmost_samples = 999",
            "62:16: `estimators.adaptive.most_samples` is 999, less than the 1000 of `estimators.adaptive.first_samples`",
        ),
        (
            "target_std_error_nats = 0.05\nmost_samples = 4000\nprior_share = 1.0",
            "63:15: `estimators.adaptive.prior_share` is 1; use a share from 0 to below 1, as in 0.1",
        ),
        (
            "target_std_error_nats = 0.05\nmost_samples = 4000\nprior_share = -0.1",
            "63:15: `estimators.adaptive.prior_share` is -0.1; use a share from 0 to below 1, as in 0.1",
        ),
        (
            "target_std_error_nats = 0.05\nmost_samples = 4000\nprior_share = nan",
            "63:15: `estimators.adaptive.prior_share` is NaN; use a share from 0 to below 1, as in 0.1",
        ),
        (
            "target_std_error_nats = 0\nmost_samples = 4000",
            "61:25: `estimators.adaptive.target_std_error_nats`: 0 is out of range; use a number above 0",
        ),
        (
            "most_samples = 4000",
            "60:1: missing key `estimators.adaptive.target_std_error_nats`",
        ),
    ] {
        assert_eq!(adaptive(keys), format!("digits.toml:{message}"), "{keys}");
    }
}

#[test]
fn a_calibration_may_stand_alone_on_a_model_with_closed_forms() {
    let spec = parsed(CALIBRATION).unwrap();
    let own = spec.calibration.as_ref().unwrap();
    assert_eq!(own.replicates.get(), 1000);
    assert_eq!(own.points.get(), 1);
    assert_eq!(
        parsed(&with("[calibration]\n")).unwrap_err(),
        "digits.toml:60:1: `calibration` is for `model.kind = \"linear-gaussian\"`, whose `log p(x)` is exact, and not for `model.kind = \"mlp-decoder\"`; use that, or remove the section"
    );
    assert_eq!(
        calibration("[calibration]\n", "[calibration]\nreplicates = 1\n"),
        "digits.toml:19:14: `calibration.replicates` is 1, which has no spread; use at least 2, as in 1000"
    );
    assert_eq!(
        calibration("[calibration]\n", "[calibration]\nreplicate = 9\n"),
        "digits.toml:19:1: unknown key `calibration.replicate`, expected `replicates` or `points`"
    );
}

#[test]
fn a_condition_number_that_no_model_has_is_refused() {
    assert_eq!(
        calibration("condition_number = 10.0", "condition_number = 0.5"),
        "digits.toml:16:20: `model.condition_number` is 0.5; use a number of at least 1, as in 100"
    );
    assert_eq!(
        calibration("observed_dim = 6", "observed_dim = 2"),
        "digits.toml:16:20: `model.condition_number` needs `model.observed_dim` to be at least the 3 of `model.latent_dim`, not 2"
    );
    assert_eq!(
        calibration("latent_dim = 3", "latent_dim = 1"),
        "digits.toml:16:20: `model.condition_number` does not go with `model.latent_dim = 1`, where the precision is one number; remove it"
    );
    let of_decoder = DIGITS.replace("hidden = [128]", "hidden = [128]\ncondition_number = 3.0");
    assert_eq!(
        parsed(&of_decoder).unwrap_err(),
        "digits.toml:17:20: `model.condition_number` does not apply to `model.kind = \"mlp-decoder\"`; remove it"
    );
}
