//! Whether reported errors are true: from rows of replicates to what follows from them.

use crate::variant::variant_order;
use gap_schema::CalibrationRow;
use gap_schema::record::{Estimator, Side};
use gap_schema::summary::Calibration;

/// What a summary says of each row, by variant, dimension, estimator and setting, then by seed and
/// datapoint; the order of `rows` has no effect.
pub(crate) fn calibrations(rows: &[CalibrationRow]) -> Vec<Calibration> {
    let mut rows: Vec<&CalibrationRow> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let groups = group_key(a).cmp(&group_key(b));
        groups.then((a.seed, a.datapoint).cmp(&(b.seed, b.datapoint)))
    });
    rows.into_iter().map(calibration).collect()
}

/// Rows of one group differ in seed and datapoint alone.
fn group_key(row: &CalibrationRow) -> impl Ord + use<'_> {
    // How many draws an adaptive estimator takes is its answer, not its setting.
    let draws = match row.estimator {
        Estimator::AdaptiveImportanceWeighted => 0,
        _ => row.n_samples.round() as u64,
    };
    let variant = variant_order(row.variant.as_deref());
    let setting = (row.n_temperatures, draws);
    (variant, row.latent_dim, row.estimator, row.side, setting)
}

fn calibration(row: &CalibrationRow) -> Calibration {
    let n = finite(row);
    let [coverage_low, coverage_high] = wilson_interval(row.coverage, n);
    let std_error_ratio = row.std_error_nats / row.spread_nats;
    Calibration {
        coverage_low,
        coverage_high,
        std_error_ratio,
        std_error_ratio_std_error: std_error_ratio / (2.0 * (n - 1.0)).sqrt(),
        minus_target_nats: row.target_nats.map(|target| row.mean_nats - target),
        side_holds: side_holds(row),
        row: row.clone(),
    }
}

/// Replicates with a finite estimate.
fn finite(row: &CalibrationRow) -> f64 {
    row.n_replicates.saturating_sub(row.non_finite) as f64
}

fn side_holds(row: &CalibrationRow) -> Option<bool> {
    let (bias, margin) = (row.bias_nats, 2.0 * row.bias_std_error_nats);
    let holds = match row.side {
        Side::Lower => bias <= margin,
        Side::Upper => bias >= -margin,
        Side::Exact => bias.abs() <= margin,
        Side::Neither => return None,
    };
    (bias.is_finite() && margin.is_finite()).then_some(holds)
}

/// The 95% interval of Wilson (1927) for a probability of which `part` of `n` trials spoke.
fn wilson_interval(part: f64, n: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054; // The normal quantile at 0.975.
    let shrink = 1.0 / (1.0 + Z * Z / n);
    let centre = shrink * (part + 0.5 * Z * Z / n);
    let half = shrink * Z * (part * (1.0 - part) / n + 0.25 * Z * Z / (n * n)).sqrt();
    [centre - half, centre + half]
}
