//! Tests of which estimate of `log p(x)` gaps are computed from, and of what is said of the others.

use crate::by_hand::{assert_mean, assert_near, by_hand, only_cell, summary_of};
use crate::synthetic::{of_model, simulated};
use gap_schema::record::Record;
use gap_schema::summary::{AnnealedAgreement, Cell, MeanEvidenceEstimate};
use gap_spec::{Diagnostics, Estimator, Method, Side, Split, Trust};

/// Returns [`by_hand`] with rows of the model: each estimator has one on each of the three points, at the given
/// distances above `L[q*]`.
fn with_model_rows(rows: &[(Estimator, [f64; 3])]) -> Vec<Record> {
    let mut records = by_hand();
    for (estimator, above) in rows {
        for (i, above) in above.iter().enumerate() {
            let elbo = -10.0 * (i as f64 + 1.0);
            let free_form = by_hand().remove(0);
            let free_form = Record {
                datapoint: i as u64,
                ..free_form
            };
            records.push(of_model(*estimator, &free_form, elbo + above));
        }
    }
    records
}

fn estimate(cell: &Cell, method: Method, estimator: Estimator) -> &MeanEvidenceEstimate {
    let mut all = cell.evidence.iter();
    all.find(|e| e.method == method && e.estimator == estimator)
        .expect("it was measured")
}

#[test]
fn the_best_lower_bound_by_mean_is_the_evidence_of_every_gap() {
    // IW[q*] is above L[q*] by 0.5, 0.5 and 0.8, on average 0.6.
    for (rows, winner, approximation) in [
        (
            vec![(Estimator::Annealed, [0.9, 0.9, 0.3])],
            "annealed",
            0.7,
        ),
        (
            vec![
                (Estimator::AdaptiveImportanceWeighted, [0.6, 0.7, 0.8]),
                (Estimator::Annealed, [0.1, 0.1, 1.3]),
            ],
            "importance-weighted-adaptive",
            0.7,
        ),
        // This one is the highest at two of three points, but not on average.
        (
            vec![(Estimator::Annealed, [0.6, 0.6, 0.1])],
            "importance-weighted",
            0.6,
        ),
        // Of equal bounds, the plain importance-weighted one is kept.
        (
            vec![(Estimator::Annealed, [0.5, 0.5, 0.8])],
            "importance-weighted",
            0.6,
        ),
        (
            vec![
                (Estimator::Annealed, [2.0, 2.0, 2.0]),
                (Estimator::ClosedForm, [1.0, 1.0, 1.0]),
            ],
            "closed-form",
            1.0,
        ),
    ] {
        let cell = only_cell(summary_of("winner", &with_model_rows(&rows)));
        assert_eq!(cell.log_evidence.estimator, winner);
        assert_near(
            cell.log_evidence.mean.mean_nats,
            -20.0 + approximation,
            winner,
        );
        assert_near(cell.approximation_gap.mean_nats, approximation, winner);
        let inference = cell.inference_gap.unwrap().mean_nats;
        assert_near(inference, approximation + 3.0, winner);
        let exact = winner == "closed-form";
        let side = if exact { Side::Exact } else { Side::Lower };
        assert_eq!(cell.log_evidence.side, side);
    }
}

#[test]
fn an_estimate_without_a_side_is_never_the_evidence() {
    let mut records = by_hand();
    let smoothed = by_hand()
        .into_iter()
        .filter(|r| r.method == Method::FreeForm && r.estimator == Estimator::ImportanceWeighted);
    records.extend(smoothed.map(|row| Record {
        estimator: Estimator::ParetoSmoothed,
        side: Side::Neither,
        value_nats: row.value_nats + 5.0,
        ..row
    }));
    let cell = only_cell(summary_of("smoothed", &records));
    assert_eq!(cell.log_evidence.estimator, "importance-weighted");
    let smoothed = estimate(&cell, Method::FreeForm, Estimator::ParetoSmoothed);
    assert_eq!(smoothed.side, Side::Neither);
    assert_near(smoothed.minus_log_evidence.mean_nats, 5.0, "smoothed");
}

#[test]
fn the_estimates_stand_side_by_side_with_paired_differences() {
    let rows = [(Estimator::Annealed, [0.6, 0.7, 1.1])];
    let cell = only_cell(summary_of("side-by-side", &with_model_rows(&rows)));
    let found: Vec<(Method, Estimator)> = cell
        .evidence
        .iter()
        .map(|e| (e.method, e.estimator))
        .collect();
    assert_eq!(
        found,
        [
            (Method::FreeForm, Estimator::Elbo),
            (Method::FreeForm, Estimator::ImportanceWeighted),
            (Method::Amortized, Estimator::Elbo),
            (Method::Amortized, Estimator::ImportanceWeighted),
            (Method::Model, Estimator::Annealed),
        ]
    );
    let annealed = estimate(&cell, Method::Model, Estimator::Annealed);
    assert_mean(
        annealed.minus_log_evidence,
        0.0,
        0.0,
        0.02 * 6f64.sqrt() / 3.0,
        "itself",
    );
    assert_near(annealed.mean.mean_nats, -19.2, "annealed");
    assert_eq!(annealed.n_samples, 16.0);
    assert_eq!(annealed.n_temperatures, Some(100));
    assert_near(annealed.acceptance.unwrap(), 0.7, "acceptance");
    assert_near(annealed.seconds, 0.75, "seconds of all points");
    assert_near(annealed.joint_evaluations, 8000.0, "evaluations of a point");
    // The differences are −0.1, −0.2 and −0.3, so their standard deviation is 0.1.
    let weighted = estimate(&cell, Method::FreeForm, Estimator::ImportanceWeighted);
    assert_mean(
        weighted.minus_log_evidence,
        -0.2,
        0.1 / 3f64.sqrt(),
        (0.02f64.powi(2) + 0.01f64.powi(2)).sqrt() * 3f64.sqrt() / 3.0,
        "IW[q*]",
    );
    assert_eq!(weighted.sandwich_width, None);
}

#[test]
fn untrusted_estimates_are_counted_by_reason_and_heavy_tails_by_point() {
    let mut records = with_model_rows(&[(Estimator::Annealed, [0.5; 3])]);
    let mut damage = |datapoint, method, estimator, trust: Trust| {
        let mut rows = records.iter_mut();
        let row = rows
            .find(|r| r.datapoint == datapoint && r.method == method && r.estimator == estimator);
        row.expect("there is one").trust = trust;
    };
    let weighted = Estimator::ImportanceWeighted;
    damage(0, Method::FreeForm, weighted, Trust::HeavyTail);
    damage(0, Method::Amortized, weighted, Trust::HeavyTail);
    damage(1, Method::Amortized, weighted, Trust::FewEffectiveSamples);
    damage(1, Method::Model, Estimator::Annealed, Trust::LowAcceptance);
    damage(2, Method::Amortized, weighted, Trust::HeavyTail);
    let cell = only_cell(summary_of("untrusted", &records));
    let by_reason: Vec<(&str, u64)> = cell
        .untrusted_by_reason
        .iter()
        .map(|(reason, n)| (reason.as_str(), *n))
        .collect();
    assert_eq!(
        by_reason,
        [
            ("few-effective-samples", 1),
            ("heavy-tail", 3),
            ("low-acceptance", 1)
        ]
    );
    assert_eq!((cell.untrusted, cell.heavy_tails), (5, 2));
    let amortized = estimate(&cell, Method::Amortized, weighted);
    assert_eq!(amortized.untrusted, 3);
    assert_eq!(amortized.untrusted_by_reason["heavy-tail"], 2);
    let elbo = estimate(&cell, Method::FreeForm, Estimator::Elbo);
    assert_eq!(elbo.untrusted, 0);
    assert!(elbo.untrusted_by_reason.is_empty());
}

#[test]
fn agreement_is_within_the_interval_of_the_difference_where_the_importance_weights_are_trusted() {
    // The errors 0.01 (1,000 draws) and 0.02 (16 chains) combine to √5 / 100. Welch's degrees of freedom are
    // 0.0005² / (0.0004² / 15 + 0.0001² / 999) = 23.4, for which the quantile is 2.0665. IW[q*] is above L[q*]
    // by 0.5, 0.5 and 0.8.
    let margin = 0.01 * 5f64.sqrt() * 2.0665;
    for (annealed, untrusted, expected) in [
        ([0.5, 0.5, 0.8], None, (3, 3, 3)),
        (
            [0.5 + 0.999 * margin, 0.5 - 0.999 * margin, 0.8],
            None,
            (3, 3, 3),
        ),
        (
            [0.5 + 1.001 * margin, 0.5 - 1.001 * margin, 0.8],
            None,
            (3, 1, 3),
        ),
        // The two intervals overlap up to a distance of 1.9623 · 0.01 + 2.1314 · 0.02 = 0.06225.
        ([0.562, 0.437, 0.8], None, (3, 1, 2)),
        ([5.0, 0.5, 0.8], Some((0, Method::FreeForm)), (2, 2, 2)),
        // An annealed estimate is compared even if it is marked as unreliable.
        ([5.0, 0.5, 0.8], Some((0, Method::Model)), (3, 2, 2)),
    ] {
        let mut records = with_model_rows(&[(Estimator::Annealed, annealed)]);
        for row in &mut records {
            if Some((row.datapoint, row.method)) == untrusted {
                row.trust = Trust::HeavyTail;
            }
        }
        let cell = only_cell(summary_of("agreement", &records));
        let (n, agree, overlap) = expected;
        let expected = AnnealedAgreement { n, agree, overlap };
        assert_eq!(cell.annealed_agreement, Some(expected), "{annealed:?}");
        let weighted = estimate(&cell, Method::FreeForm, Estimator::ImportanceWeighted);
        assert_eq!(weighted.annealed_agreement, Some(expected));
        let elbo = estimate(&cell, Method::FreeForm, Estimator::Elbo);
        assert_eq!(elbo.annealed_agreement, None);
    }
    let without = only_cell(summary_of("agreement", &by_hand()));
    assert_eq!(without.annealed_agreement, None);
}

#[test]
fn simulated_points_leave_the_cells_of_data_as_they_are() {
    let rows = [(Estimator::Annealed, [0.6, 0.7, 1.1])];
    let mut records = with_model_rows(&rows);
    let alone = only_cell(summary_of("simulated", &records));
    for i in 0..4 {
        records.extend(simulated(0, i, [-30.0, -29.5], None));
    }
    let mut cell = only_cell(summary_of("simulated", &records));
    let annealed = cell.evidence.iter_mut();
    let mut annealed = annealed.filter(|e| e.estimator == Estimator::Annealed);
    let annealed = annealed.next().expect("it was measured");
    let width = annealed.sandwich_width.take().expect("it is beside it");
    assert_near(width.mean_nats, 0.5, "width");
    assert_eq!(cell, alone);
}

#[test]
fn records_without_diagnostics_have_their_estimates_all_the_same() {
    let mut records = by_hand();
    for row in &mut records {
        row.diagnostics = Diagnostics::default();
    }
    let cell = only_cell(summary_of("older", &records));
    assert_eq!(cell.evidence.len(), 4);
    assert!(cell.evidence.iter().all(|e| e.acceptance.is_none()));
    assert_eq!(cell.split, Split::Test);
}
