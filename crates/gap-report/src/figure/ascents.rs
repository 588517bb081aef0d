//! The figures of ascents: how far each has to go, by time and by joint gradients.

use super::axis::{Scale, XAxis};
use super::{Figure, Key, Look, Marked, Panel, Point, Reference, Series, THIN};
use crate::ascents::Course;
use gap_schema::TracePoint;
use gap_schema::trace::REACHED_NATS;
use gap_spec::Start;

/// Distances below this, nats, are drawn as if they were this: what lies deeper is noise.
const FLOOR_NATS: f64 = 1e-5;

/// What ascents are drawn against.
struct Cost {
    name: &'static str,
    title: &'static str,
    x_label: &'static str,
    of: fn(&TracePoint) -> f64,
}

const COSTS: [Cost; 2] = [
    Cost {
        name: "ascent-by-time",
        title: "How far ascents have to go, by time",
        x_label: "seconds, all points together",
        of: |point| point.seconds,
    },
    Cost {
        name: "ascent-by-joint-gradients",
        title: "How far ascents have to go, by joint gradients",
        x_label: "joint gradients per point",
        of: |point| point.joint_gradients,
    },
];

/// Two figures for each variant.
pub(super) fn figures(trace: &[TracePoint]) -> Vec<Figure> {
    let courses = Course::all(trace);
    let mut names: Vec<&str> = courses.iter().map(|c| c.first().ascent.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    courses
        .chunk_by(|a, b| a.first().variant == b.first().variant)
        .flat_map(|courses| COSTS.map(|cost| figure(courses, &cost, &names)))
        .filter(Figure::has_points)
        .collect()
}

fn figure(courses: &[Course<'_>], cost: &Cost, names: &[&str]) -> Figure {
    let (mut legend, mut panels) = (Vec::<Key>::new(), Vec::new());
    let mut left_out = LeftOut::default();
    for (i, name) in names.iter().enumerate() {
        if courses.iter().any(|course| course.first().ascent == *name) {
            legend.push(Key {
                label: (*name).to_owned(),
                look: Look::nth(i, THIN),
            });
        }
    }
    for courses in courses.chunk_by(|a, b| panel_key(a) == panel_key(b)) {
        let series: Vec<Series> = courses
            .iter()
            .map(|course| Series {
                look: look(course, names),
                marked: Marked::Last,
                points: points(course, cost, &mut left_out),
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        if !series.is_empty() {
            let title = panel_title(courses);
            panels.push(Panel { title, series });
        }
    }
    let shown = || {
        let series = panels.iter().flat_map(|panel| &panel.series);
        series.flat_map(|series| &series.points)
    };
    let values = shown().map(|point| point.value.max(FLOOR_NATS));
    let y_scale = Scale::logarithmic(values).with(REACHED_NATS);
    let below = shown().any(|point| point.value < FLOOR_NATS);
    let note = [
        Some("Each seed is a line, with a marker at its last point.".to_owned()),
        below.then(|| format!("Below {FLOOR_NATS} nats lines run along the bottom.")),
        left_out.sentence(),
    ];
    Figure {
        name: cost.name.to_owned(),
        title: cost.title.to_owned(),
        note: note.into_iter().flatten().collect::<Vec<_>>().join(" "),
        x_label: cost.x_label,
        y_label: "nats to go, mean over datapoints",
        x_axis: XAxis::Log(Scale::logarithmic(shown().map(|point| point.x))),
        y_scale,
        legend,
        panels,
        references: vec![Reference {
            label: format!("{REACHED_NATS} nats"),
            value: REACHED_NATS,
        }],
    }
    .of_variant(courses[0].first().variant.as_deref())
}

fn panel_key<'a>(course: &Course<'a>) -> impl Eq + use<'a> {
    let first = course.first();
    (first.dataset.as_str(), first.split, first.start)
}

fn panel_title(courses: &[Course<'_>]) -> String {
    let first = courses[0].first();
    let start = match first.start {
        Start::Prior => "from the prior",
        Start::Encoder => "from the encoder",
    };
    format!("{start}, {} points", first.split)
}

fn look(course: &Course<'_>, names: &[&str]) -> Look {
    let i = names.iter().position(|name| *name == course.first().ascent);
    Look::nth(i.expect("the names are those of all courses"), THIN)
}

/// The points that have a place on logarithmic axes.
fn points(course: &Course<'_>, cost: &Cost, left_out: &mut LeftOut) -> Vec<Point> {
    let shown = course.points.iter().filter_map(|trace_point| {
        let point = Point {
            x: (cost.of)(trace_point),
            value: trace_point.nats_to_go,
            bar: [f64::NAN; 2],
        };
        left_out.has_place(point).then_some(point)
    });
    shown.collect()
}

/// Points that a logarithmic axis has no place for.
#[derive(Default)]
struct LeftOut {
    at_no_cost: usize,
    with_none_to_go: usize,
    not_finite: usize,
}

impl LeftOut {
    /// Whether there is a place for `point`; it is counted if there is none.
    fn has_place(&mut self, point: Point) -> bool {
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
