//! The figure of estimates of `log p(x)`: how far each is from the one that gaps are computed from.

use super::tables::{estimate_name, has_evidence_beyond_draws};
use crate::across_seeds::SeedGroup;
use crate::figure::{
    Chart, LegendEntry, LineStyle, MarkerPlacement, NO_LINE_THICKNESS, Panel, Point, Series, XAxis,
    signed_scale_covering,
};
use crate::table::encoder_name;
use gap_schema::Summary;
use gap_schema::summary::{Cell, MeanEvidenceEstimate};
use gap_spec::{Estimator, Method, Split};
use std::collections::BTreeSet;

/// Returns one chart for each variant; none if the summary has neither an adaptive nor an annealed estimate.
pub(super) fn evidence_charts(summary: &Summary) -> Vec<Chart> {
    if !has_evidence_beyond_draws(summary) {
        return Vec::new();
    }
    SeedGroup::groups_of_distinct_models(summary)
        .chunk_by(|a, b| a.variant() == b.variant())
        .map(|groups| evidence_chart(groups).named_after_variant(groups[0].variant()))
        .filter(Chart::has_points)
        .collect()
}

/// Returns the estimates that need no encoder and are not exact, each with its method and estimator.
fn plotted_estimates(
    cell: &Cell,
) -> impl Iterator<Item = ((Method, Estimator), &MeanEvidenceEstimate)> {
    let all = cell.evidence.iter();
    let plotted_estimates =
        all.filter(|e| e.method != Method::Amortized && e.estimator != Estimator::ClosedForm);
    plotted_estimates.map(|e| ((e.method, e.estimator), e))
}

fn evidence_chart(groups: &[SeedGroup<'_>]) -> Chart {
    let cells = || groups.iter().flat_map(|group| &group.cells);
    let estimators: BTreeSet<(Method, Estimator)> = cells()
        .flat_map(|cell| plotted_estimates(cell).map(|(key, _)| key))
        .collect();
    let estimators: Vec<(Method, Estimator)> = estimators.into_iter().collect();
    let labels = seed_labels(groups);
    let (mut legend, mut panels) = (Vec::<LegendEntry>::new(), Vec::new());
    for split in [Split::Train, Split::Test] {
        let mut series = Vec::new();
        for group in groups.iter().filter(|group| group.split() == split) {
            for cell in &group.cells {
                let label = seed_label(group, cell, groups);
                let i = labels.iter().position(|other| *other == label);
                let style = LineStyle::for_nth_series(
                    i.expect("the labels are those of all cells"),
                    NO_LINE_THICKNESS,
                );
                let points = plotted_estimates(cell).filter_map(|(key, estimate)| {
                    let category = estimators.iter().position(|other| *other == key)?;
                    let mean = estimate.minus_log_evidence;
                    Point::with_error(category as f64, mean.mean_nats, mean.std_error_nats)
                });
                let points: Vec<Point> = points.collect();
                if !legend.iter().any(|key| key.label == label) {
                    legend.push(LegendEntry { label, style });
                }
                series.push(Series {
                    line_breaks: Vec::new(),
                    style,
                    markers: MarkerPlacement::Every,
                    points,
                });
            }
        }
        series.retain(|series| !series.points.is_empty());
        if !series.is_empty() {
            let title = format!("{split} points");
            panels.push(Panel { title, series });
        }
    }
    let categories = estimators
        .iter()
        .map(|&(method, estimator)| wrapped_label_lines(&estimate_name(method, estimator)));
    Chart {
        name: "evidence".to_owned(),
        title: "Estimates of log p(x), side by side".to_owned(),
        note:
            "Paired differences to the best lower bound, or to the exact value where there is one. \
               Error bars: one standard error over datapoints, each model by itself. The axis is \
               logarithmic away from zero."
                .to_owned(),
        x_label: "estimator",
        y_label: "estimate − best one (nats per datapoint)",
        x_axis: XAxis::Categories(categories.collect()),
        y_scale: signed_scale_covering(&panels),
        legend,
        panels,
        references: Vec::new(),
    }
}

/// Returns the label of a cell: its seed, and also its encoder if each encoder has a model of its own.
fn seed_label(group: &SeedGroup<'_>, cell: &Cell, groups: &[SeedGroup<'_>]) -> String {
    let same_split = groups.iter().filter(|other| other.split() == group.split());
    if same_split.count() > 1 {
        format!("seed {}, {}", cell.seed, encoder_name(group))
    } else {
        format!("seed {}", cell.seed)
    }
}

fn seed_labels(groups: &[SeedGroup<'_>]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for group in groups {
        for cell in &group.cells {
            let label = seed_label(group, cell, groups);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    labels
}

/// Splits a name that is too long for one line: `importance-weighted of q*` has three.
fn wrapped_label_lines(name: &str) -> Vec<String> {
    let (estimator, of) = name.split_once(' ').unwrap_or((name, ""));
    let wrapped_label_lines = estimator.split('-').chain([of]);
    wrapped_label_lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}
