//! A chart: panels side by side on one scale, with one legend.

use super::axis::{Scale, XAxis};
use super::style::LineStyle;

/// Panels side by side on one scale, with one legend.
pub(crate) struct Chart {
    /// The stem of the chart's file name.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What the lines, markers and error bars show.
    pub(crate) note: String,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) x_axis: XAxis,
    pub(crate) y_scale: Scale,
    pub(crate) legend: Vec<LegendEntry>,
    pub(crate) panels: Vec<Panel>,
    /// Horizontal lines through every panel.
    pub(crate) references: Vec<ReferenceLine>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
}

pub(crate) struct LegendEntry {
    pub(crate) label: String,
    pub(crate) style: LineStyle,
}

pub(crate) struct Series {
    pub(crate) style: LineStyle,
    pub(crate) markers: MarkerPlacement,
    pub(crate) points: Vec<Point>,
    /// The positions of points that no line leads to from the point before.
    pub(crate) line_breaks: Vec<usize>,
}

/// Which points of a series have a marker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MarkerPlacement {
    Every,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// The position on the [`XAxis`]: the number of a category, or a value.
    pub(crate) x: f64,
    pub(crate) value: f64,
    /// The ends of the error bar; NaN if there is none.
    pub(crate) error_bar: [f64; 2],
}

impl Point {
    /// Returns a point with an error bar of length `error` on either side. The result is `None` if the value is
    /// not finite: figures cannot show it, but tables count it.
    pub(crate) fn with_error(x: f64, value: f64, error: f64) -> Option<Self> {
        value.is_finite().then_some(Self {
            x,
            value,
            error_bar: [value - error, value + error],
        })
    }
}

impl Panel {
    /// Whether several series have points at the same place on the x axis.
    pub(crate) fn series_share_places(&self) -> bool {
        let places: Vec<Vec<f64>> = self
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| point.x).collect())
            .collect();
        let mut pairs = (1..places.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.any(|(i, j)| places[i].iter().any(|x| places[j].contains(x)))
    }
}

pub(crate) struct ReferenceLine {
    pub(crate) label: String,
    pub(crate) value: f64,
}

impl Chart {
    /// Returns the chart with the variant's name added to its file name and title; unchanged without a variant.
    pub(crate) fn named_after_variant(mut self, variant: Option<&str>) -> Self {
        if let Some(variant) = variant {
            self.name += &format!("-{variant}");
            self.title += &format!(": {variant}");
        }
        self
    }

    pub(crate) fn has_points(&self) -> bool {
        let mut series = self.panels.iter().flat_map(|panel| &panel.series);
        series.any(|series| !series.points.is_empty())
    }
}

pub(crate) fn points_in(panels: &[Panel]) -> impl Iterator<Item = &Point> + Clone {
    let series = panels.iter().flat_map(|panel| &panel.series);
    series.flat_map(|series| &series.points)
}

/// Returns [`Scale::covering`] for all points of `panels`.
pub(crate) fn scale_covering(panels: &[Panel]) -> Scale {
    Scale::covering(points_in(panels).map(|point| (point.value, point.error_bar)))
}

/// Returns [`Scale::signed`] for all points of `panels`.
pub(crate) fn signed_scale_covering(panels: &[Panel]) -> Scale {
    Scale::signed(points_in(panels).map(|point| (point.value, point.error_bar)))
}
