//! The figures of calibrations: how many intervals hold, and how far estimates lie from the truth.

use super::axis::{Scale, XAxis};
use super::{
    Figure, Key, Look, Marked, NO_LINE, Panel, Point, Reference, Series, points_of,
    signed_scale_covering,
};
use crate::calibration::{COVERAGE_BAND, CalibrationGroup, Coverage};
use crate::table::setting_name;
use gap_schema::Summary;

/// Two figures; none of a summary without calibrations.
pub(super) fn figures(summary: &Summary) -> Vec<Figure> {
    let groups = CalibrationGroup::all(summary);
    let figures = [coverage(&groups), bias(&groups)];
    figures.into_iter().filter(Figure::has_points).collect()
}

/// What the estimators were tried on, and how each of them is called and looks.
struct Layout<'a> {
    groups: &'a [CalibrationGroup<'a>],
    problems: Vec<(Option<&'a str>, u32)>,
    names: Vec<String>,
}

impl<'a> Layout<'a> {
    fn of(groups: &'a [CalibrationGroup<'a>]) -> Self {
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

    fn look(&self, i: usize) -> Look {
        Look::nth(i, NO_LINE)
    }

    /// A series of each estimator, with `point` of each of its groups at its problem.
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
                look: self.look(i),
                marked: Marked::Every,
                points: points.collect(),
            }
        });
        series.collect()
    }

    fn legend(&self) -> Vec<Key> {
        let names = self.names.iter().enumerate();
        names
            .map(|(i, name)| Key {
                label: name.clone(),
                look: self.look(i),
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
        bar: interval,
    })
}

fn coverage(groups: &[CalibrationGroup<'_>]) -> Figure {
    let layout = Layout::of(groups);
    let of_all = layout.series(|x, group| coverage_point(x, group.coverage()));
    let of_trusted = layout.series(|x, group| {
        let untrusted = group.total(|row| row.untrusted);
        coverage_point(x, group.coverage_trusted()).filter(|_| untrusted > 0)
    });
    let of_trusted = of_trusted.into_iter().map(|series| Series {
        look: Look {
            light: true,
            ..series.look
        },
        ..series
    });
    // Those of one estimator stand beside each other.
    let pairs = of_all.into_iter().zip(of_trusted);
    let series = pairs.flat_map(|(all, trusted)| [all, trusted]);
    let panels = vec![Panel {
        title: String::new(),
        series: series.filter(|series| !series.points.is_empty()).collect(),
    }];
    let ends = points_of(&panels).flat_map(|point| point.bar);
    let lowest = ends.fold(COVERAGE_BAND[0], f64::min);
    let references = COVERAGE_BAND.map(|value| Reference {
        label: format!("{:.0}%", 100.0 * value),
        value,
    });
    Figure {
        name: "calibration-coverage".to_owned(),
        title: "How many 95% intervals hold".to_owned(),
        note: "All datapoints of a problem together; error bars: 95% interval for the number of \
               replicates. Open markers: without replicates whose standard error is marked as \
               unreliable, where there are any."
            .to_owned(),
        x_label: "problem",
        y_label: "part of intervals that hold their own mean",
        x_axis: layout.x_axis(),
        y_scale: Scale::Linear {
            low: lowest - 0.02,
            high: 1.01,
        },
        legend: layout.legend(),
        panels,
        references: references.into(),
    }
}

fn bias(groups: &[CalibrationGroup<'_>]) -> Figure {
    let layout = Layout::of(groups);
    let series = layout.series(|x, group| {
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
    Figure {
        name: "calibration-bias".to_owned(),
        title: "How far estimates lie from log p(x)".to_owned(),
        note: "Means over datapoints and replicates; error bars: two standard errors, from the \
               replicates. The axis is logarithmic away from zero."
            .to_owned(),
        x_label: "problem",
        y_label: "mean estimate − exact log p(x) (nats)",
        x_axis: layout.x_axis(),
        y_scale: signed_scale_covering(&panels),
        legend: layout.legend(),
        panels,
        references: Vec::new(),
    }
}
