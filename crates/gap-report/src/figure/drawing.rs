//! Draws a figure, the same one as SVG and as PNG.
//!
//! plotters is the canvas only. Axes are our own, since categories, error bars that pass zero on a
//! log axis and labels at the ends of one need more than its meshes give.

use super::axis::Scale;
use super::geometry::{
    Frame, LEFT, LINE, MARKER_RADIUS, PANEL_HEIGHT, PANEL_SPACE, Place, RIGHT, TEXT,
};
use super::{Figure, Key, Look, Marker, Panel, Series};
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;
use std::sync::Once;

/// A figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the figure: {0}")]
pub(crate) struct DrawError(String);

type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// The embedded font, and what a browser without it may use: Verdana has nearly its widths.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// What makes the two backends draw the same figure.
#[derive(Clone, Copy)]
struct Medium {
    /// Pixels for one unit of the SVG.
    scale: f64,
    /// plotters' SVG takes 1/1.24 of a font's size for its em, its bitmaps 1/1.164 with this font.
    font_factor: f64,
    /// How far, in font sizes, the bitmaps set centred text too high.
    text_drop: f64,
}

const SVG: Medium = Medium {
    scale: 1.0,
    font_factor: 1.0,
    text_drop: 0.0,
};
/// plotters rounds half the width of a slanted line to pixels, which shows at a scale below 3.
const PNG: Medium = Medium {
    scale: 3.0,
    font_factor: 1.164 / 1.24,
    text_drop: 0.19,
};

/// The figure as an SVG document.
pub(crate) fn svg(figure: &Figure) -> Result<String, DrawError> {
    register_font();
    let mut text = String::new();
    draw(
        SVGBackend::with_string(&mut text, figure.size(SVG.scale)),
        figure,
        SVG,
    )?;
    Ok(text)
}

/// Draws the figure into the file `path`, whose name must end in `.png`.
pub(crate) fn png(figure: &Figure, path: &Path) -> Result<(), DrawError> {
    register_font();
    draw(
        BitMapBackend::new(path, figure.size(PNG.scale)),
        figure,
        PNG,
    )
}

fn register_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (style, bytes) in [
            (FontStyle::Normal, dejavu::sans::regular()),
            (FontStyle::Bold, dejavu::sans::bold()),
        ] {
            let registered = plotters::style::register_font(FONT, style, bytes);
            assert!(registered.is_ok(), "the embedded font is a valid one");
        }
    });
}

fn draw<DB: DrawingBackend>(backend: DB, figure: &Figure, medium: Medium) -> Result<(), DrawError> {
    let canvas = Canvas {
        area: backend.into_drawing_area(),
        medium,
    };
    canvas
        .figure(figure)
        .map_err(|error| DrawError(error.to_string()))
}

struct Canvas<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    medium: Medium,
}

impl<DB: DrawingBackend> Canvas<DB> {
    fn pixel(&self, (x, y): Place) -> (i32, i32) {
        let round = |length: f64| (length * self.medium.scale).round() as i32;
        (round(x), round(y))
    }

    fn stroke(&self, colour: RGBColor, width: f64) -> ShapeStyle {
        colour.stroke_width((width * self.medium.scale).round().max(1.0) as u32)
    }

    fn line(&self, from: Place, to: Place, style: ShapeStyle) -> Drawn<DB> {
        let ends = vec![self.pixel(from), self.pixel(to)];
        self.area.draw(&PathElement::new(ends, style))
    }

    fn text(&self, text: &str, at: Place, anchor: (HPos, VPos), style: Text) -> Drawn<DB> {
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
        let font = (FONT, size, weight).into_font();
        let font = if style.upwards {
            font.transform(FontTransform::Rotate270)
        } else {
            font
        };
        let style = TextStyle::from(font)
            .color(&INK)
            .pos(Pos::new(anchor.0, anchor.1));
        self.area.draw_text(text, &style, self.pixel(at))
    }

    fn figure(&self, figure: &Figure) -> Drawn<DB> {
        self.area.fill(&PAPER)?;
        let plain = Text::plain();
        self.text(
            figure.title,
            (14.0, 12.0),
            (HPos::Left, VPos::Top),
            Text::title(),
        )?;
        self.text(
            &figure.note,
            (14.0, 38.0),
            (HPos::Left, VPos::Top),
            Text::small(),
        )?;
        let all = figure.panels.iter().flat_map(|panel| &panel.series);
        let all = all.flat_map(|series| series.points.iter().map(|&(_, v, e)| (v, e)));
        let scale = Scale::covering(all);
        let (top, width) = (figure.plot_top(), figure.panel_width());
        for (i, panel) in figure.panels.iter().enumerate() {
            let left = LEFT + i as f64 * (width + PANEL_SPACE);
            let frame = Frame {
                left,
                top,
                width,
                scale,
                n: figure.categories.len(),
            };
            self.axes(figure, &frame, i == 0)?;
            self.panel(panel, &frame)?;
        }
        let middle = (20.0, top + 0.5 * PANEL_HEIGHT);
        self.text(
            figure.y_label,
            middle,
            (HPos::Center, VPos::Center),
            Text {
                upwards: true,
                ..plain
            },
        )?;
        let below = (LEFT + 0.5 * figure.panels_width(), figure.height() - 14.0);
        self.text(figure.x_label, below, (HPos::Center, VPos::Bottom), plain)?;
        self.legend(&figure.legend, (LEFT + figure.panels_width() + RIGHT, top))
    }

    fn axes(&self, figure: &Figure, frame: &Frame, with_labels: bool) -> Drawn<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        let bottom = frame.top + PANEL_HEIGHT;
        for (value, label) in frame.scale.ticks() {
            let y = frame.y(value);
            let is_zero = value == 0.0;
            let colour = if is_zero { INK } else { GRID };
            self.line((left, y), (right, y), self.stroke(colour, 1.0))?;
            if with_labels {
                self.text(
                    &label,
                    (left - 8.0, y),
                    (HPos::Right, VPos::Center),
                    Text::plain(),
                )?;
            }
        }
        let axis = self.stroke(INK, 1.0);
        self.line((left, frame.top), (left, bottom), axis)?;
        self.line((left, bottom), (right, bottom), axis)?;
        for (i, lines) in figure.categories.iter().enumerate() {
            let x = frame.x(i);
            self.line((x, bottom), (x, bottom + 5.0), axis)?;
            for (row, line) in lines.iter().enumerate() {
                let y = bottom + 10.0 + row as f64 * LINE;
                self.text(line, (x, y), (HPos::Center, VPos::Top), Text::plain())?;
            }
        }
        Ok(())
    }

    fn panel(&self, panel: &Panel, frame: &Frame) -> Drawn<DB> {
        let middle = (frame.left + 0.5 * frame.width, frame.top - 20.0);
        if !panel.title.is_empty() {
            self.text(
                &panel.title,
                middle,
                (HPos::Center, VPos::Top),
                Text::plain(),
            )?;
        }
        let n = panel.series.len() as f64;
        // Side by side by a few units, so that error bars do not hide each other.
        let step = (0.6 * frame.width / frame.n as f64 / n).min(6.0);
        for (i, series) in panel.series.iter().enumerate() {
            let dodge = (i as f64 - 0.5 * (n - 1.0)) * step;
            self.series(series, frame, dodge)?;
        }
        Ok(())
    }

    fn series(&self, series: &Series, frame: &Frame, dodge: f64) -> Drawn<DB> {
        let x = |category: usize| frame.x(category) + dodge;
        let places = series.points.iter().map(|&(i, v, _)| (x(i), frame.y(v)));
        let pixels: Vec<(i32, i32)> = places.map(|place| self.pixel(place)).collect();
        self.path(&pixels, series.look)?;
        let bar = self.stroke(series.look.colour, 1.5);
        for &(category, value, error) in &series.points {
            let x = x(category);
            if error.is_finite() && error > 0.0 {
                let (low, high) = (frame.y(value - error), frame.y(value + error));
                self.line((x, low), (x, high), bar)?;
                for end in [low, high] {
                    self.line((x - 4.0, end), (x + 4.0, end), bar)?;
                }
            }
            self.marker((x, frame.y(value)), series.look)?;
        }
        Ok(())
    }

    /// Segment by segment: plotters thins the joints of a wide path in bitmaps.
    fn path(&self, pixels: &[(i32, i32)], look: Look) -> Drawn<DB> {
        let style = self.stroke(look.colour, 2.0);
        let length = |units: f64| (units * self.medium.scale) as i32;
        for ends in pixels.windows(2).map(<[_]>::to_vec) {
            if look.light {
                let path = DashedPathElement::new(ends, length(6.0), length(4.0), style);
                self.area.draw(&path)?;
            } else {
                self.area.draw(&PathElement::new(ends, style))?;
            }
        }
        Ok(())
    }

    /// Filled twice, in its colour and, if open, smaller in that of the paper: outlines of a few
    /// pixels come out ragged in bitmaps.
    fn marker(&self, centre: Place, look: Look) -> Drawn<DB> {
        self.filled_marker(centre, MARKER_RADIUS, look.marker, look.colour)?;
        if look.light {
            self.filled_marker(centre, 0.55 * MARKER_RADIUS, look.marker, PAPER)?;
        }
        Ok(())
    }

    fn filled_marker(&self, (x, y): Place, r: f64, marker: Marker, fill: RGBColor) -> Drawn<DB> {
        let corners: Vec<Place> = match marker {
            Marker::Circle => {
                let radius = (r * self.medium.scale).round() as i32;
                let circle = Circle::new(self.pixel((x, y)), radius, fill.filled());
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
        let corners: Vec<(i32, i32)> = corners.iter().map(|&place| self.pixel(place)).collect();
        self.area.draw(&Polygon::new(corners, fill.filled()))
    }

    fn legend(&self, keys: &[Key], (left, top): Place) -> Drawn<DB> {
        for (i, key) in keys.iter().enumerate() {
            let y = top + 8.0 + i as f64 * (LINE + 5.0);
            let frame = [(left, y), (left + 34.0, y)].map(|place| self.pixel(place));
            self.path(&frame, key.look)?;
            self.marker((left + 17.0, y), key.look)?;
            self.text(
                &key.label,
                (left + 42.0, y),
                (HPos::Left, VPos::Center),
                Text::plain(),
            )?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Text {
    size: f64,
    bold: bool,
    upwards: bool,
}

impl Text {
    const fn plain() -> Self {
        Self {
            size: TEXT,
            bold: false,
            upwards: false,
        }
    }

    const fn small() -> Self {
        Self {
            size: 13.5,
            bold: false,
            upwards: false,
        }
    }

    const fn title() -> Self {
        Self {
            size: 20.0,
            bold: true,
            upwards: false,
        }
    }
}
