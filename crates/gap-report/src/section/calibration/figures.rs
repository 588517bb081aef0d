//! The figures of calibrations: the coverage of 95% intervals, and the bias of estimates.

use super::analysis::{COVERAGE_BAND, CalibrationGroup, Coverage};
use super::tables::setting_name;
use crate::figure::{
    Chart, LegendEntry, LineStyle, MarkerPlacement, NO_LINE_THICKNESS, Panel, Point, ReferenceLine,
    Scale, Series, XAxis, points_in, signed_scale_covering,
};
use gap_schema::Summary;

/// Returns the charts of coverage and bias; none for a summary without calibrations.
pub(super) fn calibration_charts(summary: &Summary) -> Vec<Chart> {
    let groups = CalibrationGroup::group_calibrations(summary);
    let figures = [coverage_chart(&groups), bias_chart(&groups)];
    figures.into_iter().filter(Chart::has_points).collect()
}

/// The problems along the x axis, and the names of the estimators with their settings; the index of a name
/// decides its style.
struct ProblemAxis<'a> {
    groups: &'a [CalibrationGroup<'a>],
    problems: Vec<(Option<&'a str>, u32)>,
    names: Vec<String>,
}

impl<'a> ProblemAxis<'a> {
    fn new(groups: &'a [CalibrationGroup<'a>]) -> Self {
        let mut problems = Vec::new();
        let mut named: Vec<(_, String)> = Vec::new();
        for group in groups {
            if !problems.contains(&group.problem()) {
                problems.push(group.problem());
            }
            let name = setting_name(group, groups);
            if !named.iter().any(|(_, other)| *other == name) {
                named.push((group.first().estimator, name));
            }
        }
        named.sort_by_key(|(estimator, _)| *estimator);
        Self {
            groups,
            problems,
            names: named.into_iter().map(|(_, name)| name).collect(),
        }
    }

    fn style(&self, i: usize) -> LineStyle {
        LineStyle::for_nth_series(i, NO_LINE_THICKNESS)
    }

    /// Returns a series for each name in `names`. `point` makes the point of a group from the place of the
    /// group's problem on the x axis.
    fn series(&self, point: impl Fn(f64, &CalibrationGroup<'_>) -> Option<Point>) -> Vec<Series> {
        let series = self.names.iter().enumerate().map(|(i, name)| {
            let own = self
                .groups
                .iter()
                .filter(|group| setting_name(group, self.groups) == *name);
            let points = own.filter_map(|group| {
                let mut problems = self.problems.iter();
                let place = problems.position(|problem| *problem == group.problem())?;
                point(place as f64, group)
            });
            Series {
                line_breaks: Vec::new(),
                style: self.style(i),
                markers: MarkerPlacement::Every,
                points: points.collect(),
            }
        });
        series.collect()
    }

    fn legend(&self) -> Vec<LegendEntry> {
        let names = self.names.iter().enumerate();
        names
            .map(|(i, name)| LegendEntry {
                label: name.clone(),
                style: self.style(i),
            })
            .collect()
    }

    fn x_axis(&self) -> XAxis {
        let problems = self.problems.iter();
        let lines = problems.map(|(variant, dimensions)| {
            let variant = variant.map(str::to_owned);
            let dimensions = format!("D = {dimensions}");
            variant.into_iter().chain([dimensions]).collect()
        });
        XAxis::Categories(lines.collect())
    }
}

fn coverage_point(x: f64, coverage: Option<Coverage>) -> Option<Point> {
    let Coverage { part, interval } = coverage?;
    Some(Point {
        x,
        value: part,
        error_bar: interval,
    })
}

fn coverage_chart(groups: &[CalibrationGroup<'_>]) -> Chart {
    let axis = ProblemAxis::new(groups);
    let all_replicates = axis.series(|x, group| coverage_point(x, group.coverage()));
    let trusted_replicates = axis.series(|x, group| {
        let untrusted = group.total(|row| row.untrusted);
        coverage_point(x, group.coverage_trusted()).filter(|_| untrusted > 0)
    });
    let trusted_replicates = trusted_replicates.into_iter().map(|series| Series {
        style: LineStyle {
            dashed: true,
            ..series.style
        },
        ..series
    });
    // The two series of an estimator are drawn side by side.
    let pairs = all_replicates.into_iter().zip(trusted_replicates);
    let series = pairs.flat_map(|(all, trusted)| [all, trusted]);
    let panels = vec![Panel {
        title: String::new(),
        series: series.filter(|series| !series.points.is_empty()).collect(),
    }];
    let ends = points_in(&panels).flat_map(|point| point.error_bar);
    let lowest = ends.fold(COVERAGE_BAND[0], f64::min);
    let references = COVERAGE_BAND.map(|value| ReferenceLine {
        label: format!("{:.0}%", 100.0 * value),
        value,
    });
    Chart {
        name: "calibration-coverage".to_owned(),
        title: "How many 95% intervals hold".to_owned(),
        note: "All datapoints of a problem together; error bars: 95% interval for the number of \
               replicates. Open markers: without replicates whose standard error is marked as \
               unreliable, where there are any."
            .to_owned(),
        x_label: "problem",
        y_label: "part of intervals that hold their own mean",
        x_axis: axis.x_axis(),
        y_scale: Scale::Linear {
            low: lowest - 0.02,
            high: 1.01,
        },
        legend: axis.legend(),
        panels,
        references: references.into(),
    }
}

fn bias_chart(groups: &[CalibrationGroup<'_>]) -> Chart {
    let axis = ProblemAxis::new(groups);
    let series = axis.series(|x, group| {
        let bias = group.bias()?;
        Point::with_error(x, bias.mean, 2.0 * bias.std_error)
    });
    let panels = vec![Panel {
        title: String::new(),
        series: series
            .into_iter()
            .filter(|series| !series.points.is_empty())
            .collect(),
    }];
    Chart {
        name: "calibration-bias".to_owned(),
        title: "How far estimates lie from log p(x)".to_owned(),
        note: "Means over datapoints and replicates; error bars: two standard errors, from the \
               replicates. The axis is logarithmic away from zero."
            .to_owned(),
        x_label: "problem",
        y_label: "mean estimate − exact log p(x) (nats)",
        x_axis: axis.x_axis(),
        y_scale: signed_scale_covering(&panels),
        legend: axis.legend(),
        panels,
        references: Vec::new(),
    }
}
