//! Draws lines, markers and text on an SVG or a bitmap, so that both look the same.
//!
//! Only the canvas is from plotters; this crate draws the axes. The meshes of plotters cannot handle
//! categories, error bars that pass zero on a logarithmic axis, or labels at the ends of such an axis.

use super::geometry::{
    MARKER_RADIUS, Position, SMALL_TEXT_SIZE, TEXT_SIZE, TITLE_TEXT_SIZE, split_path_into_dashes,
};
use super::style::{LineStyle, Marker, NO_LINE_THICKNESS};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::sync::Once;

/// A figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the figure: {0}")]
pub(crate) struct DrawError(pub(crate) String);

pub(crate) type DrawResult<DB> =
    Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// The font families: DejaVu Sans, which is compiled in, then fallbacks for a browser that lacks it. The
/// characters of Verdana are nearly as wide.
const FONT_FAMILIES: &str = "DejaVu Sans, Verdana, sans-serif";
pub(crate) const INK_COLOUR: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(crate) const PAPER_COLOUR: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(crate) const GRID_LINE_COLOUR: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// Settings with which the two backends draw the same figure.
#[derive(Clone, Copy)]
pub(crate) struct BackendRendering {
    /// Pixels for one unit of the SVG.
    pub(crate) scale: f64,
    /// The factor on font sizes. plotters divides a font's size by 1.24 to get the em in an SVG, and by 1.164
    /// in a bitmap with this font.
    font_factor: f64,
    /// How far text is moved down, as a multiple of the font size, because bitmaps draw it too high.
    text_drop: f64,
}

pub(crate) const SVG_RENDERING: BackendRendering = BackendRendering {
    scale: 1.0,
    font_factor: 1.0,
    text_drop: 0.0,
};
/// The scale is 3 because plotters rounds half the width of a slanted line to whole pixels, which is visible at
/// lower scales.
pub(crate) const PNG_RENDERING: BackendRendering = BackendRendering {
    scale: 3.0,
    font_factor: 1.164 / 1.24,
    text_drop: 0.19,
};

pub(crate) fn register_font() {
    static FONT_REGISTRATION: Once = Once::new();
    FONT_REGISTRATION.call_once(|| {
        for (style, bytes) in [
            (FontStyle::Normal, dejavu::sans::regular()),
            (FontStyle::Bold, dejavu::sans::bold()),
        ] {
            let registered = plotters::style::register_font(FONT_FAMILIES, style, bytes);
            assert!(registered.is_ok(), "the embedded font is a valid one");
        }
    });
}

pub(crate) struct Canvas<DB: DrawingBackend> {
    pub(crate) area: DrawingArea<DB, Shift>,
    pub(crate) medium: BackendRendering,
}

impl<DB: DrawingBackend> Canvas<DB> {
    fn to_pixel(&self, (x, y): Position) -> (i32, i32) {
        let round = |length: f64| (length * self.medium.scale).round() as i32;
        (round(x), round(y))
    }

    pub(crate) fn stroke_style(&self, colour: RGBColor, width: f64) -> ShapeStyle {
        colour.stroke_width((width * self.medium.scale).round().max(1.0) as u32)
    }

    pub(crate) fn draw_line(
        &self,
        from: Position,
        to: Position,
        style: ShapeStyle,
    ) -> DrawResult<DB> {
        let ends = vec![self.to_pixel(from), self.to_pixel(to)];
        self.area.draw(&PathElement::new(ends, style))
    }

    pub(crate) fn draw_rectangle(
        &self,
        corners: [Position; 2],
        style: ShapeStyle,
    ) -> DrawResult<DB> {
        let corners = corners.map(|corner| self.to_pixel(corner));
        self.area.draw(&Rectangle::new(corners, style))
    }

    pub(crate) fn draw_text(
        &self,
        text: &str,
        at: Position,
        anchor: (HPos, VPos),
        style: FigureTextStyle,
    ) -> DrawResult<DB> {
        let weight = if style.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let size = style.size * self.medium.font_factor * self.medium.scale;
        let drop = style.size * self.medium.text_drop;
        let at = if style.upwards {
            (at.0 + drop, at.1)
        } else {
            (at.0, at.1 + drop)
        };
        let font = (FONT_FAMILIES, size, weight).into_font();
        let font = if style.upwards {
            font.transform(FontTransform::Rotate270)
        } else {
            font
        };
        let style = TextStyle::from(font)
            .color(&INK_COLOUR)
            .pos(Pos::new(anchor.0, anchor.1));
        self.area.draw_text(text, &style, self.to_pixel(at))
    }

    /// Draws a path segment by segment, because plotters thins the joints of a wide path in bitmaps.
    pub(crate) fn draw_path(&self, places: &[Position], style: LineStyle) -> DrawResult<DB> {
        if style.thickness == NO_LINE_THICKNESS {
            return Ok(());
        }
        let stroke = self.stroke_style(style.colour, style.thickness);
        let pieces = if style.dashed {
            split_path_into_dashes(places, 6.0, 4.0)
        } else {
            vec![places.to_vec()]
        };
        for ends in pieces.iter().flat_map(|piece| piece.windows(2)) {
            self.draw_line(ends[0], ends[1], stroke)?;
        }
        Ok(())
    }

    /// Draws a filled marker and, if it is open, a smaller one in the colour of the paper on it: an outline a
    /// few pixels wide would be ragged in bitmaps.
    pub(crate) fn draw_marker(&self, centre: Position, style: LineStyle) -> DrawResult<DB> {
        let Some(marker) = style.marker else {
            return Ok(());
        };
        self.draw_filled_marker(centre, MARKER_RADIUS, marker, style.colour)?;
        if style.dashed {
            self.draw_filled_marker(centre, 0.55 * MARKER_RADIUS, marker, PAPER_COLOUR)?;
        }
        Ok(())
    }

    fn draw_filled_marker(
        &self,
        (x, y): Position,
        r: f64,
        marker: Marker,
        fill: RGBColor,
    ) -> DrawResult<DB> {
        let corners: Vec<Position> = match marker {
            Marker::Circle => {
                let radius = (r * self.medium.scale).round() as i32;
                let circle = Circle::new(self.to_pixel((x, y)), radius, fill.filled());
                return self.area.draw(&circle);
            }
            Marker::Square => {
                let r = 0.9 * r;
                vec![
                    (x - r, y - r),
                    (x + r, y - r),
                    (x + r, y + r),
                    (x - r, y + r),
                ]
            }
            Marker::Triangle => vec![
                (x, y - 1.25 * r),
                (x + 1.15 * r, y + 0.8 * r),
                (x - 1.15 * r, y + 0.8 * r),
            ],
            Marker::Diamond => {
                let r = 1.25 * r;
                vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
            }
        };
        let corners: Vec<(i32, i32)> = corners.iter().map(|&place| self.to_pixel(place)).collect();
        self.area.draw(&Polygon::new(corners, fill.filled()))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct FigureTextStyle {
    size: f64,
    bold: bool,
    upwards: bool,
}

impl FigureTextStyle {
    pub(crate) const fn plain() -> Self {
        Self {
            size: TEXT_SIZE,
            bold: false,
            upwards: false,
        }
    }

    pub(crate) const fn vertical() -> Self {
        Self {
            upwards: true,
            ..Self::plain()
        }
    }

    pub(crate) const fn small() -> Self {
        Self {
            size: SMALL_TEXT_SIZE,
            bold: false,
            upwards: false,
        }
    }

    pub(crate) const fn title() -> Self {
        Self {
            size: TITLE_TEXT_SIZE,
            bold: true,
            upwards: false,
        }
    }
}
