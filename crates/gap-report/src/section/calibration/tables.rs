//! The table that checks reported standard errors: coverage of intervals, ratio of error to spread, bias, and
//! whether the bias has the sign that a lower or upper bound must have. It has a row for each estimator,
//! setting and problem.

use super::analysis::{
    COVERAGE_BAND, CalibrationGroup, Coverage, ReplicateMean, WRONG_SIDE_TOLERANCE_STD_ERRORS,
};
use crate::table::Table;
use crate::table::number::{
    self, grouped, plus_minus_text, seconds, text_or_absent, value_or_range_text,
};
use gap_schema::Summary;
use gap_spec::Estimator;

/// Returns the calibrations, pooled over datapoints; no rows if there are none.
pub(super) fn calibrations_table(summary: &Summary) -> Table {
    let mut table = Table::new(
        3,
        &[
            "variant",
            "dimensions",
            "estimator",
            "draws",
            "temperatures",
            "points",
            "replicates",
            "coverage",
            "band",
            "coverage, trusted",
            "error / spread",
            "bias (nats)",
            "− own expectation",
            "side holds",
            "untrusted",
            "non-finite",
            "seconds",
        ],
    );
    let groups = CalibrationGroup::group_calibrations(summary);
    table.rows = groups.iter().map(calibration_table_row).collect();
    table.notes = calibrations_table_notes(&groups);
    if groups.iter().all(|group| group.problem().0.is_none()) {
        table = table.without_column("variant");
    }
    let has_targets = summary.calibration.iter();
    if has_targets.clone().all(|c| c.minus_target_nats.is_none()) {
        table = table.without_column("− own expectation");
    }
    table
}

fn calibration_table_row(group: &CalibrationGroup<'_>) -> Vec<String> {
    let first = group.first();
    let (variant, dimensions) = group.problem();
    let replicates = group.total(|row| row.n_replicates);
    let sides = group.points.iter().filter_map(|point| point.side_holds);
    let (holding, sided) = (sides.clone().filter(|holds| *holds).count(), sides.count());
    let replicate_mean_text = |value: Option<ReplicateMean>| {
        text_or_absent(value, |m| plus_minus_text(m.mean, m.std_error))
    };
    let average = |number: Option<ReplicateMean>, text: fn(f64) -> String| {
        text_or_absent(number, |m| text(m.mean))
    };
    vec![
        text_or_absent(variant, str::to_owned),
        dimensions.to_string(),
        first.estimator.to_string(),
        average(
            group.mean(|c| Some((c.row.n_samples, 0.0))),
            mean_samples_text,
        ),
        text_or_absent(first.n_temperatures, |n| grouped(u64::from(n))),
        group.points.len().to_string(),
        grouped(replicates),
        coverage_text(group.coverage()),
        text_or_absent(group.coverage(), |coverage| {
            band_text(coverage, group.points_below(COVERAGE_BAND[0]))
        }),
        coverage_text(group.coverage_trusted()),
        replicate_mean_text(group.mean(|c| Some((c.std_error_ratio, c.std_error_ratio_std_error)))),
        replicate_mean_text(group.bias()),
        replicate_mean_text(
            group.mean(|c| Some((c.minus_target_nats?, c.row.bias_std_error_nats))),
        ),
        match sided {
            0 => number::ABSENT.to_owned(),
            _ => format!("{}: {holding} of {sided}", first.side),
        },
        share_text(group.total(|row| row.untrusted), replicates),
        grouped(group.total(|row| row.non_finite)),
        average(group.mean(|c| Some((c.row.seconds, 0.0))), seconds),
    ]
}

fn mean_samples_text(mean: f64) -> String {
    grouped(mean.round() as u64)
}

fn percent_text(part: f64) -> String {
    format!("{:.1}%", 100.0 * part)
}

fn coverage_text(coverage: Option<Coverage>) -> String {
    text_or_absent(coverage, |coverage| {
        let [low, high] = coverage.interval.map(|end| 100.0 * end);
        format!("{} ({low:.1}–{high:.1})", percent_text(coverage.part))
    })
}

/// Returns where the coverage over all datapoints lies with respect to [`COVERAGE_BAND`], and how many
/// datapoints are below it on their own, which pooling may hide.
fn band_text(coverage: Coverage, points_below: usize) -> String {
    let [low, high] = COVERAGE_BAND;
    let place = if coverage.part < low {
        "below"
    } else if coverage.part > high {
        "above"
    } else {
        "inside"
    };
    match points_below {
        0 => place.to_owned(),
        n => format!("{place}, {n} low"),
    }
}

fn share_text(part: u64, all: u64) -> String {
    match part {
        0 => "0".to_owned(),
        _ => percent_text(part as f64 / all as f64),
    }
}

/// Returns the estimator's name. Its setting is added if the summary has several settings of that estimator,
/// except for the adaptive estimator.
pub(super) fn setting_name(group: &CalibrationGroup<'_>, all: &[CalibrationGroup<'_>]) -> String {
    let first = group.first();
    let setting = |group: &CalibrationGroup<'_>| {
        let row = group.first();
        (row.n_temperatures, row.n_samples.round() as u64)
    };
    let same_estimator = || {
        all.iter()
            .filter(|other| other.first().estimator == first.estimator)
    };
    let several = same_estimator().any(|other| setting(other) != setting(group));
    let adaptive = first.estimator == Estimator::AdaptiveImportanceWeighted;
    match (several && !adaptive, setting(group)) {
        (true, (Some(temperatures), n)) => {
            format!("{}, {n} × {temperatures}", first.estimator)
        }
        (true, (None, n)) => format!("{}, {}", first.estimator, grouped(n)),
        (false, _) => first.estimator.to_string(),
    }
}

fn calibrations_table_notes(groups: &[CalibrationGroup<'_>]) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    let [low, high] = COVERAGE_BAND.map(|end| 100.0 * end);
    let points = groups.iter().flat_map(|group| &group.points);
    let per_point = value_or_range_text(points.map(|point| point.row.n_replicates));
    vec![
        format!(
            "Each datapoint was estimated {per_point} times, with draws of its own; means over datapoints, ± and \
             intervals from the replicates alone."
        ),
        format!(
            "coverage: replicates whose 95% interval holds the estimator's own mean, which for a bound \
             is not log p(x) (95% interval of Wilson); band: all points together against {low:.0}–{high:.0}%, and how many are low by themselves, \
             their whole interval below."
        ),
        format!(
            "error / spread: reported standard error over the standard deviation of the replicates, 1 if true. \
             bias: mean estimate minus the exact log p(x). side holds: datapoints where the bias is on the \
             estimator's side, up to {WRONG_SIDE_TOLERANCE_STD_ERRORS} standard errors."
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coverage_is_inside_the_band_up_to_its_ends() {
        let of = |part| {
            let interval = [part, part];
            band_text(Coverage { part, interval }, 0)
        };
        assert_eq!(
            [0.929, 0.93, 0.95, 0.97, 0.971].map(of),
            ["below", "inside", "inside", "inside", "above"]
        );
    }

    #[test]
    fn points_that_are_low_by_themselves_are_counted_beside_the_others() {
        let coverage = Coverage {
            part: 0.94,
            interval: [0.93, 0.95],
        };
        assert_eq!(band_text(coverage, 2), "inside, 2 low");
    }

    #[test]
    fn no_untrusted_replicate_is_a_plain_zero() {
        assert_eq!(
            (share_text(0, 0), share_text(1, 8)),
            ("0".to_owned(), "12.5%".to_owned())
        );
    }
}
