//! The figures of ascents: the distance to the optimum against time and against joint gradients.

use super::analysis::AscentPath;
use crate::figure::{
    Chart, LegendEntry, LineStyle, MarkerPlacement, Panel, Point, ReferenceLine, Scale, Series,
    THIN_LINE_THICKNESS, XAxis,
};
use gap_schema::TracePoint;
use gap_schema::trace::REACHED_TOLERANCE_NATS;
use gap_spec::Start;

/// Smaller distances, in nats, are noise: they do not extend the axis, and are drawn at its bottom.
const MIN_PLOTTED_NATS: f64 = 1e-5;

/// A measure of cost that ascents are drawn against.
struct CostAxis {
    name: &'static str,
    title: &'static str,
    x_label: &'static str,
    cost: fn(&TracePoint) -> f64,
}

const COST_AXES: [CostAxis; 2] = [
    CostAxis {
        name: "ascent-by-time",
        title: "How far ascents have to go, by time",
        x_label: "seconds, all points together",
        cost: |point| point.seconds,
    },
    CostAxis {
        name: "ascent-by-joint-gradients",
        title: "How far ascents have to go, by joint gradients",
        x_label: "joint gradients per point",
        cost: |point| point.joint_gradients,
    },
];

/// Returns two charts for each variant, by time and by joint gradients, without those that have no points.
pub(super) fn ascent_charts(trace: &[TracePoint]) -> Vec<Chart> {
    let paths = AscentPath::split_trace_into_paths(trace);
    let mut names: Vec<&str> = paths
        .iter()
        .map(|c| c.first_point().ascent.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    paths
        .chunk_by(|a, b| a.first_point().variant == b.first_point().variant)
        .flat_map(|paths| COST_AXES.map(|axis| ascent_cost_chart(paths, &axis, &names)))
        .filter(Chart::has_points)
        .collect()
}

fn ascent_cost_chart(paths: &[AscentPath<'_>], axis: &CostAxis, names: &[&str]) -> Chart {
    let (mut legend, mut panels) = (Vec::<LegendEntry>::new(), Vec::new());
    let mut omitted = OmittedPoints::default();
    for (i, name) in names.iter().enumerate() {
        if paths.iter().any(|path| path.first_point().ascent == *name) {
            legend.push(LegendEntry {
                label: (*name).to_owned(),
                style: LineStyle::for_nth_series(i, THIN_LINE_THICKNESS),
            });
        }
    }
    for paths in paths.chunk_by(|a, b| panel_key(a) == panel_key(b)) {
        let series: Vec<Series> = paths
            .iter()
            .map(|path| Series {
                line_breaks: Vec::new(),
                style: ascent_line_style(path, names),
                markers: MarkerPlacement::Last,
                points: plottable_points(path, axis, &mut omitted),
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        if !series.is_empty() {
            let title = panel_title(paths);
            panels.push(Panel { title, series });
        }
    }
    let shown = || {
        let series = panels.iter().flat_map(|panel| &panel.series);
        series.flat_map(|series| &series.points)
    };
    let values = shown().map(|point| point.value.max(MIN_PLOTTED_NATS));
    let y_scale = Scale::logarithmic(values).extended_to_include(REACHED_TOLERANCE_NATS);
    let below = shown().any(|point| point.value < MIN_PLOTTED_NATS);
    let note = [
        Some("Each seed is a line, with a marker at its last point.".to_owned()),
        below.then(|| format!("Below {MIN_PLOTTED_NATS} nats lines run along the bottom.")),
        omitted.sentence(),
    ];
    Chart {
        name: axis.name.to_owned(),
        title: axis.title.to_owned(),
        note: note.into_iter().flatten().collect::<Vec<_>>().join(" "),
        x_label: axis.x_label,
        y_label: "nats to go, mean over datapoints",
        x_axis: XAxis::Log(Scale::logarithmic(shown().map(|point| point.x))),
        y_scale,
        legend,
        panels,
        references: vec![ReferenceLine {
            label: format!("{REACHED_TOLERANCE_NATS} nats"),
            value: REACHED_TOLERANCE_NATS,
        }],
    }
    .named_after_variant(paths[0].first_point().variant.as_deref())
}

fn panel_key<'a>(path: &AscentPath<'a>) -> impl Eq + use<'a> {
    let first = path.first_point();
    (first.dataset.as_str(), first.split, first.start)
}

fn panel_title(paths: &[AscentPath<'_>]) -> String {
    let first = paths[0].first_point();
    let start = match first.start {
        Start::Prior => "from the prior",
        Start::Encoder => "from the encoder",
    };
    format!("{start}, {} points", first.split)
}

fn ascent_line_style(path: &AscentPath<'_>, names: &[&str]) -> LineStyle {
    let i = names
        .iter()
        .position(|name| *name == path.first_point().ascent);
    LineStyle::for_nth_series(
        i.expect("the names are those of all paths"),
        THIN_LINE_THICKNESS,
    )
}

/// Returns the points that can be shown on logarithmic axes; `omitted` counts the others.
fn plottable_points(
    path: &AscentPath<'_>,
    axis: &CostAxis,
    omitted: &mut OmittedPoints,
) -> Vec<Point> {
    let shown = path.points.iter().filter_map(|trace_point| {
        let point = Point {
            x: (axis.cost)(trace_point),
            value: trace_point.nats_to_go,
            error_bar: [f64::NAN; 2],
        };
        omitted.keep_or_count_omitted(point).then_some(point)
    });
    shown.collect()
}

/// Counts of the points that cannot be shown on logarithmic axes, by the reason.
#[derive(Default)]
struct OmittedPoints {
    at_no_cost: usize,
    with_none_to_go: usize,
    not_finite: usize,
}

impl OmittedPoints {
    /// Whether logarithmic axes can show `point`; if they cannot, it is counted.
    fn keep_or_count_omitted(&mut self, point: Point) -> bool {
        let Point { x, value, .. } = point;
        let count = if !x.is_finite() || !value.is_finite() {
            &mut self.not_finite
        } else if x <= 0.0 {
            &mut self.at_no_cost
        } else if value <= 0.0 {
            &mut self.with_none_to_go
        } else {
            return true;
        };
        *count += 1;
        false
    }

    fn sentence(&self) -> Option<String> {
        let counts = [
            (self.at_no_cost, "before the first step"),
            (self.with_none_to_go, "with zero or fewer nats to go"),
            (self.not_finite, "not finite"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        let total = self.at_no_cost + self.with_none_to_go + self.not_finite;
        let points = if total == 1 {
            "point has"
        } else {
            "points have"
        };
        (total > 0).then(|| {
            format!(
                "{total} {points} no place on a logarithmic axis: {}.",
                counts.join(", ")
            )
        })
    }
}
