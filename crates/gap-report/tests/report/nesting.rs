//! Tests of nested families: what the larger one gains, and where its search failed.

use crate::by_hand::{assert_mean, assert_near, summary_of};
use crate::report_files::write_to;
use crate::synthetic::{amortized, encoder, free_form};
use gap_report::Format;
use gap_schema::record::Record;
use gap_spec::{Family, Split};
use std::fs;

/// Returns the rows of three points of `family`, whose free-form ELBOs are above −10, −20 and −30 by `gains`.
fn family(family: Family, gains: [f64; 3]) -> Vec<Record> {
    let rows = gains.into_iter().zip(0..).flat_map(|(gain, i)| {
        let elbo = -10.0 * (i as f64 + 1.0) + gain;
        let mut rows = free_form(0, Split::Test, i, elbo, elbo + 0.5);
        rows.extend(amortized(
            &encoder(&[4]),
            0,
            Split::Test,
            i,
            elbo - 1.0,
            elbo,
        ));
        rows
    });
    rows.map(|row| Record {
        variant: Some(family.to_string()),
        family,
        ..row
    })
    .collect()
}

#[test]
fn gains_are_paired_by_datapoint_and_falls_are_counted_where_noise_does_not_explain_them() {
    let mut records = family(Family::DiagonalGaussian, [0.0; 3]);
    records.extend(family(Family::FullGaussian, [0.3, 0.2, 0.1]));
    // The errors are 0.01 each, so a fall of more than 0.02 + 2 √2 0.01 = 0.048 counts.
    records.extend(family(Family::PlanarFlow, [0.1, -0.04, -0.06]));
    records.reverse();
    let summary = summary_of("nesting", &records);
    let found: Vec<(Family, Family)> = summary
        .nesting
        .iter()
        .map(|n| (n.larger, n.smaller))
        .collect();
    assert_eq!(found.len(), 3, "{found:?}");
    let of = |larger, smaller| {
        let mut all = summary.nesting.iter();
        all.find(|n| (n.larger, n.smaller) == (larger, smaller))
            .unwrap()
    };
    let full = of(Family::FullGaussian, Family::DiagonalGaussian);
    // The standard deviation of 0.1, 0.2 and 0.3 is 0.1.
    let error = 0.1 / 3_f64.sqrt();
    let mc = (2.0 * 3.0 * 0.01_f64.powi(2)).sqrt() / 3.0;
    assert_mean(full.gain, 0.2, error, mc, "full on diagonal");
    assert_eq!((full.n, full.violations), (3, 0));
    let planar = of(Family::PlanarFlow, Family::DiagonalGaussian);
    assert_near(planar.gain.mean_nats, 0.0, "planar on diagonal");
    assert_eq!(planar.violations, 1);
    assert_near(planar.lowest_nats, -0.06, "lowest");
    let planar = of(Family::PlanarFlow, Family::FullGaussian);
    assert_near(planar.gain.mean_nats, -0.2, "planar on full");
    assert_eq!(planar.violations, 3);

    let dir = tempfile::tempdir().unwrap();
    write_to(dir.path(), &summary, &[Format::Html, Format::Md]);
    for file in ["report.html", "summary.md"] {
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        for sentence in [
            "The best full-gaussian is 0.200 ± 0.058 nats above the best diagonal-gaussian on test points, more than 3 standard errors above 0.",
            "The nesting law is broken in 1 of 3 cells",
            "None of 3 mean gaps",
        ] {
            assert!(text.contains(sentence), "{sentence}: {text}");
        }
    }
}

#[test]
fn families_of_one_experiment_are_compared_on_one_model_only() {
    let mut records = family(Family::DiagonalGaussian, [0.0; 3]);
    let other = family(Family::FullGaussian, [0.3; 3]).into_iter();
    records.extend(other.map(|row| Record {
        model: "another".to_owned(),
        ..row
    }));
    assert!(summary_of("nesting", &records).nesting.is_empty());
    let alone = family(Family::FullGaussian, [0.3; 3]);
    assert!(summary_of("nesting", &alone).nesting.is_empty());
}
