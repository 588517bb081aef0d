//! What the figures show: gaps in [`gaps`], estimates of the evidence in [`evidence`], ascents in
//! [`ascents`], calibrations in [`calibration`], posteriors in [`pictures`], benches in [`benches`]; how
//! they are drawn is in [`drawing`].

mod ascents;
mod axis;
mod benches;
mod calibration;
mod canvas;
mod drawing;
mod evidence;
mod gaps;
mod geometry;
mod pictures;

pub(crate) use benches::throughput;
pub(crate) use canvas::DrawError;
pub(crate) use drawing::{Drawing, png, svg};
pub(crate) use pictures::Pictures;

use crate::report::ReportContent;
use axis::{Scale, XAxis};
use gap_schema::Summary;
use plotters::style::RGBColor;

/// Panels side by side on one scale, with one legend.
pub(crate) struct Figure {
    /// The stem of its file's name.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What the lines, markers and error bars are.
    pub(crate) note: String,
    x_label: &'static str,
    y_label: &'static str,
    x_axis: XAxis,
    y_scale: Scale,
    legend: Vec<Key>,
    panels: Vec<Panel>,
    /// Horizontal lines through every panel.
    references: Vec<Reference>,
}

struct Panel {
    title: String,
    series: Vec<Series>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    colour: RGBColor,
    marker: Option<Marker>,
    /// Open markers and a dashed line.
    light: bool,
    /// [`NO_LINE`] where points are not on the way to each other.
    thickness: f64,
}

const NO_LINE: f64 = 0.0;

/// The thickness of a line that is one of many.
const THIN: f64 = 1.0;
const THICK: f64 = 2.0;

impl Look {
    /// The look of the `i`-th of several things.
    fn nth(i: usize, thickness: f64) -> Self {
        Self {
            colour: COLOURS[i % COLOURS.len()],
            marker: Some(MARKERS[i % MARKERS.len()]),
            light: i >= COLOURS.len(),
            thickness,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

struct Key {
    label: String,
    look: Look,
}

struct Series {
    look: Look,
    marked: Marked,
    points: Vec<Point>,
}

/// Which points of a series have a marker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Marked {
    Every,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// A place on the [`XAxis`].
    x: f64,
    value: f64,
    /// The ends of its error bar; NaN where it has none.
    bar: [f64; 2],
}

impl Point {
    /// A value with an error bar on either side; `None` where the value is not finite, which has no
    /// place in a figure: the tables count it.
    fn with_error(x: f64, value: f64, error: f64) -> Option<Self> {
        value.is_finite().then_some(Self {
            x,
            value,
            bar: [value - error, value + error],
        })
    }
}

impl Panel {
    /// Whether a place on the x axis has points of several series.
    fn series_share_places(&self) -> bool {
        let places: Vec<Vec<f64>> = self
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| point.x).collect())
            .collect();
        let mut pairs = (1..places.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.any(|(i, j)| places[i].iter().any(|x| places[j].contains(x)))
    }
}

struct Reference {
    label: String,
    value: f64,
}

/// The colours of Okabe and Ito (2008), which colour-blind readers can tell apart, without the
/// yellow, which is faint on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x7A, 0x7A, 0x7A),
];
const MARKERS: [Marker; 4] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
];

/// The figures of a report.
pub(crate) struct Figures {
    pub(crate) gaps: Vec<Figure>,
    pub(crate) evidence: Vec<Figure>,
    pub(crate) ascents: Vec<Figure>,
    pub(crate) calibration: Vec<Figure>,
    pub(crate) pictures: Vec<Pictures>,
}

impl Figures {
    /// The figures that there are points for.
    pub(crate) fn new(content: &ReportContent<'_>) -> Self {
        let summary: &Summary = content.summary;
        Self {
            gaps: gaps::figures(summary),
            evidence: evidence::figures(summary),
            ascents: ascents::figures(content.trace),
            calibration: calibration::figures(summary),
            pictures: pictures::figures(content.pictures),
        }
    }

    /// All but the pictures.
    pub(crate) fn charts(&self) -> impl Iterator<Item = &Figure> {
        let figures = [&self.gaps, &self.evidence, &self.ascents, &self.calibration];
        figures.into_iter().flatten()
    }
}

impl Figure {
    /// The same of one variant, where there are several.
    fn of_variant(mut self, variant: Option<&str>) -> Self {
        if let Some(variant) = variant {
            self.name += &format!("-{variant}");
            self.title += &format!(": {variant}");
        }
        self
    }

    fn has_points(&self) -> bool {
        let mut series = self.panels.iter().flat_map(|panel| &panel.series);
        series.any(|series| !series.points.is_empty())
    }
}

fn points_of(panels: &[Panel]) -> impl Iterator<Item = &Point> + Clone {
    let series = panels.iter().flat_map(|panel| &panel.series);
    series.flat_map(|series| &series.points)
}

/// A scale that shows every point of `panels`, with its error.
fn scale_covering(panels: &[Panel]) -> Scale {
    Scale::covering(points_of(panels).map(|point| (point.value, point.bar)))
}

/// The same for values of either sign and any size.
fn signed_scale_covering(panels: &[Panel]) -> Scale {
    Scale::signed(points_of(panels).map(|point| (point.value, point.bar)))
}
