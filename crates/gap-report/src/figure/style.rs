//! How lines and markers look: colours, shapes, thickness.

use plotters::style::RGBColor;

/// How a line and its markers look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LineStyle {
    pub(crate) colour: RGBColor,
    pub(crate) marker: Option<Marker>,
    /// Whether the line is dashed and its markers are open.
    pub(crate) dashed: bool,
    /// The thickness of the line; [`NO_LINE_THICKNESS`] if points are not to be connected.
    pub(crate) thickness: f64,
}

pub(crate) const NO_LINE_THICKNESS: f64 = 0.0;

/// The thickness of a line that is one of many in its panel.
pub(crate) const THIN_LINE_THICKNESS: f64 = 1.0;
pub(crate) const THICK_LINE_THICKNESS: f64 = 2.0;

impl LineStyle {
    /// Returns the style of the `i`-th of several series.
    pub(crate) fn for_nth_series(i: usize, thickness: f64) -> Self {
        Self {
            colour: SERIES_COLOURS[i % SERIES_COLOURS.len()],
            marker: Some(SERIES_MARKERS[i % SERIES_MARKERS.len()]),
            dashed: i >= SERIES_COLOURS.len(),
            thickness,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// The colours of Okabe and Ito (2008), which colour-blind readers can tell apart, without the
/// yellow, which is faint on white.
pub(crate) const SERIES_COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x7A, 0x7A, 0x7A),
];
pub(crate) const SERIES_MARKERS: [Marker; 4] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
];
