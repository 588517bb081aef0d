//! `precision`: what an experiment of 64 bits accepts and refuses.

mod spec;

use gap_spec::{FloatPrecision, Precision};
use spec::{DIGITS, overridden, parsed};

const DOUBLE: &str = "precision=double";

#[test]
fn an_experiment_has_32_bits_unless_it_asks_for_64() {
    let spec = parsed(DIGITS).expect("it is valid");
    assert_eq!(spec.precision, FloatPrecision::Single);
    assert_eq!(spec.free_form.precision(), Precision::Mixed);
    let spec = overridden(DIGITS, &[DOUBLE]).expect("it is valid");
    assert_eq!(spec.precision, FloatPrecision::Double);
    assert_eq!(spec.free_form.precision(), Precision::Full);
    let refinement = spec.refinement.as_ref().expect("it is there");
    assert_eq!(refinement.precision, Some(Precision::Full));
}

#[test]
fn products_of_16_bits_are_refused_in_64() {
    for (section, key) in [
        ("free_form", "free_form.precision"),
        ("refinement", "refinement.precision"),
    ] {
        let mixed = format!("{section}.precision=mixed");
        overridden(DIGITS, &[&mixed]).expect("it is the default");
        let refused = overridden(DIGITS, &[DOUBLE, &mixed]).expect_err(section);
        let said = format!(
            "`{key}` is \"mixed\", but all products have 64 bits with `precision = \"double\"`; remove one of the two keys"
        );
        assert!(refused.ends_with(&said), "{refused}");
    }
    // Networks are fitted in 32 bits, with products of either precision.
    overridden(DIGITS, &[DOUBLE, "encoder_training.precision=mixed"]).expect("a fit has 32 bits");
}

#[test]
fn limits_that_follow_from_32_bits_are_wider_in_64() {
    let set = |settings: &[&str]| overridden(DIGITS, settings).map(|_| ());
    let tolerance = "free_form.tolerance_nats=1e-6";
    assert!(
        set(&[tolerance])
            .expect_err("32 bits")
            .contains("precision = \"double\"")
    );
    set(&[tolerance, DOUBLE]).expect("64 bits");
    let tolerance = "free_form.tolerance_nats=1e-10";
    assert!(
        set(&[tolerance, DOUBLE])
            .expect_err("64 bits")
            .contains("use 1e-8 or more")
    );
}
