//! Overrides of a spec: what they change, and whether a mistake is the override's or the file's.

mod spec;

use spec::{DIGITS, edited, overridden, parsed};

#[test]
fn a_good_override_changes_its_key_only() {
    let overrides = [
        "estimators.iw_samples=100",
        "data.name=digits",
        "name = \"quoted\"",
        "surprise=2024-01-01",
        "encoders.1.hidden=[8]",
        "evaluation.batch_size=7",
    ];
    let spec = overridden(DIGITS, &overrides).unwrap();
    assert_eq!(spec.estimators.iw_samples.get(), 100);
    assert_eq!(spec.data.name, "digits");
    assert_eq!(spec.name, "quoted");
    assert_eq!(spec.surprise, "2024-01-01");
    assert_eq!(spec.encoders[1].widths(), [8]);
    assert_eq!(
        spec.evaluation.batch_size.get(),
        7,
        "in a section that the file lacks"
    );

    let by_hand = edited("iw_samples = 1000", "iw_samples = 100")
        .replace("digits-binarized", "digits")
        .replace("digits-capacity", "quoted")
        .replace("The gap stays when the encoder grows.", "2024-01-01")
        .replace("hidden = [64]", "hidden = [8]")
        + "[evaluation]\nbatch_size = 7\n";
    assert_eq!(parsed(&by_hand).unwrap(), spec);
}

#[test]
fn a_bad_override_is_quoted_with_what_is_wrong_with_it() {
    for (assignment, message) in [
        (
            "estimators.iw_samples",
            "write it as key=value, as in estimators.iw_samples=100",
        ),
        (
            "=3",
            "has an empty part in its key; write it as in estimators.iw_samples=100",
        ),
        (
            "data..name=x",
            "has an empty part in its key; write it as in estimators.iw_samples=100",
        ),
        (
            "estimators.iw_sample=100",
            "unknown key `estimators.iw_sample`, expected one of `elbo_samples`, `iw_samples`, `adaptive`, `annealed`",
        ),
        (
            "estimators.iw_samples=lots",
            "`estimators.iw_samples`: invalid type: string \"lots\", expected a whole number",
        ),
        (
            "estimators.iw_samples=0",
            "`estimators.iw_samples`: 0 is out of range; use a whole number from 1 to 4294967295",
        ),
        (
            "name=1",
            "`name`: invalid type: integer `1`, expected a string",
        ),
        (
            "name=",
            "`name` must be letters, digits, `-`, `_` and `.`, and begin with a letter or a digit: it names a folder",
        ),
        (
            "seeds=[0,1",
            "`seeds`: invalid type: string \"[0,1\", expected a list",
        ),
        ("name.part=1", "there is no key `part` below a plain value"),
        (
            "encoders.3.hidden=[8]",
            "`3` is not an index into a list of 3",
        ),
        (
            "encoders.first.hidden=[8]",
            "`first` is not an index into a list of 3",
        ),
        (
            "encoders.0.hidden=[8]",
            "`encoders[0].hidden` does not apply to `kind = \"linear\"`; remove it, or use `kind = \"mlp\"`",
        ),
    ] {
        let error = overridden(DIGITS, &[assignment]).unwrap_err();
        assert_eq!(error, format!("--set {assignment}: {message}"));
    }
}

#[test]
fn of_several_overrides_the_guilty_ones_are_named() {
    let error = overridden(DIGITS, &["seeds=[0]", "encoders.2.hidden=[0]"]).unwrap_err();
    assert!(
        error.starts_with("--set encoders.2.hidden=[0]: `encoders[2].hidden`: 0 is"),
        "{error}"
    );
    // The message of a contradiction may name a key that no override set.
    let error = overridden(DIGITS, &["seeds=[0]", "model.decoder=joint"]).unwrap_err();
    assert!(
        error.starts_with(
            "--set seeds=[0] --set model.decoder=joint: `model.training.encoder_hidden` does"
        ),
        "{error}"
    );
}

#[test]
fn a_mistake_of_the_file_is_reported_in_the_file_unless_an_override_cures_it() {
    let zero = edited("iw_samples = 1000", "iw_samples = 0");
    let at_place = "digits.toml:59:14: `estimators.iw_samples`: 0 is out of range; use a whole number from 1 to 4294967295";
    assert_eq!(overridden(&zero, &[]).unwrap_err(), at_place);
    assert_eq!(overridden(&zero, &["seeds=[0]"]).unwrap_err(), at_place);
    overridden(&zero, &["estimators.iw_samples=10"]).unwrap();
    // An override corrects the file's own mistake, so that the other override is to blame.
    assert_eq!(
        overridden(&zero, &["estimators.iw_samples=10", "seeds=[]"]).unwrap_err(),
        "--set seeds=[]: `seeds` is empty; give at least one seed, as in [0]"
    );
    let broken = overridden("name = \n", &["name=good"]).unwrap_err();
    assert!(broken.starts_with("digits.toml:1:"), "{broken}");
}
