//! Drawing of figures, whatever they show: charts of panels with axes and a legend, and a canvas for figures
//! that are not charts.

mod axis;
pub(crate) mod canvas;
mod chart;
mod chart_drawing;
mod drawing;
pub(crate) mod geometry;
mod style;

pub(crate) use axis::{Scale, XAxis};
pub(crate) use canvas::DrawError;
pub(crate) use chart::{
    Chart, LegendEntry, MarkerPlacement, Panel, Point, ReferenceLine, Series, points_in,
    scale_covering, signed_scale_covering,
};
pub(crate) use drawing::{Draw, Figure, as_boxed_figures};
pub(crate) use style::{
    LineStyle, Marker, NO_LINE_THICKNESS, SERIES_COLOURS, SERIES_MARKERS, THICK_LINE_THICKNESS,
    THIN_LINE_THICKNESS,
};
