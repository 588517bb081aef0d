//! Tests of the sentences on the outcome: encoders, contexts, and what is left out.

use crate::by_hand::summary_of;
use crate::report_files::write_to;
use crate::synthetic::{amortized, encoder, free_form};
use gap_report::Format;
use gap_schema::record::Record;
use gap_spec::{EncoderLabel, Split};
use std::fs;

/// Returns the rows of three points of one encoder in a variant, with these amortization gaps.
fn of_encoder(variant: Option<&str>, encoder: &EncoderLabel, gaps: [f64; 3]) -> Vec<Record> {
    let rows = gaps.into_iter().zip(0..).flat_map(|(gap, i)| {
        let elbo = -10.0 * (i as f64 + 1.0);
        let mut rows = free_form(0, Split::Test, i, elbo, elbo + 0.5);
        rows.extend(amortized(encoder, 0, Split::Test, i, elbo - gap, elbo));
        rows
    });
    rows.map(|row| Record {
        variant: variant.map(str::to_owned),
        ..row
    })
    .collect()
}

/// Returns the sentences in the list of `summary.md`.
fn sentences(records: &[Record]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("there is room");
    write_to(dir.path(), &summary_of("readings", records), &[Format::Md]);
    let text = fs::read_to_string(dir.path().join("summary.md")).expect("it was written");
    let lines = text.lines().map_while(|line| line.strip_prefix("- "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_gap_is_told_from_the_narrowest_encoder_to_the_widest() {
    let mut records = of_encoder(None, &encoder(&[]), [1.0, 1.1, 0.9]);
    records.extend(of_encoder(None, &encoder(&[64]), [0.25, 0.25, 0.25]));
    assert_eq!(
        sentences(&records),
        [
            "From linear to mlp-64 the amortization gap on test points goes from 1.000 ± 0.058 to 0.250 ± 0 nats, 25% of it. With mlp-64 the approximation gap is 0.500 ± 0 nats, 67% of the inference gap.",
            "None of 2 mean gaps (amortization, and after each number of refinement steps) is below zero by more than 3 standard errors.",
        ]
    );
}

#[test]
fn no_share_is_told_of_a_gap_that_is_not_there() {
    // The narrow encoder's gap is noise, and the wide one's is negative.
    let mut records = of_encoder(None, &encoder(&[]), [0.01, -0.01, 0.003]);
    records.extend(of_encoder(None, &encoder(&[64]), [-0.2, -0.2, -0.21]));
    let told = sentences(&records);
    assert!(told[0].contains("nats. With mlp-64"), "{}", told[0]);
    assert!(!told[0].contains("% of it"), "{}", told[0]);
    assert!(
        told[1].starts_with("1 of 2 mean gaps") && told[1].contains("1 by more."),
        "{}",
        told[1]
    );
}

#[test]
fn contexts_are_compared_for_one_network_on_one_model() {
    let narrow = encoder(&[4]);
    let wide = EncoderLabel {
        context: 2,
        ..narrow.clone()
    };
    let mut records = of_encoder(Some("x-alone"), &narrow, [0.5, 0.5, 0.5]);
    records.extend(of_encoder(Some("with-x-before"), &wide, [0.01, 0.01, 0.01]));
    let sentence = "with-x-before: mlp-4 has an amortization gap of 0.500 ± 0 nats on test points with context 1, and of 0.0100 ± 0 with context 2, 2.0% of it.";
    let told = sentences(&records);
    assert!(told.iter().any(|told| told == sentence), "{told:?}");
    // Encoders on different models are not compared.
    for row in &mut records {
        if row.variant.as_deref() == Some("x-alone") {
            row.model = "another".to_owned();
        }
    }
    let told = sentences(&records);
    assert!(
        !told.iter().any(|told| told.contains("with context 1")),
        "{told:?}"
    );
}
