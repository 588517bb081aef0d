//! Draws a figure, the same one as SVG and as PNG.

use super::canvas::{
    Canvas, DrawError, Drawn, GRID, INK, Medium, PAPER, PNG, SVG, Text, register_font,
};
use super::geometry::{
    Frame, LINE, PANEL_HEIGHT, PANEL_SPACE, PANEL_TITLE, Place, RIGHT, TICK_SPACE,
};
use super::{Figure, Look, Marked, Panel, Reference, Series};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// What can be drawn, the same on an SVG and on a bitmap.
pub(crate) trait Drawing {
    /// The stem of its file's name.
    fn name(&self) -> &str;

    fn title(&self) -> &str;

    /// What its parts are.
    fn note(&self) -> &str;

    /// In pixels, with so many for one unit of the SVG.
    fn size(&self, scale: f64) -> (u32, u32);

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Drawn<DB>;
}

/// The figure as an SVG document.
pub(crate) fn svg(drawing: &impl Drawing) -> Result<String, DrawError> {
    register_font();
    let mut text = String::new();
    let backend = SVGBackend::with_string(&mut text, drawing.size(SVG.scale));
    draw(backend, drawing, SVG)?;
    Ok(text)
}

/// Draws the figure into the file `path`, whose name must end in `.png`.
pub(crate) fn png(drawing: &impl Drawing, path: &Path) -> Result<(), DrawError> {
    register_font();
    draw(
        BitMapBackend::new(path, drawing.size(PNG.scale)),
        drawing,
        PNG,
    )
}

fn draw<DB: DrawingBackend>(
    backend: DB,
    drawing: &impl Drawing,
    medium: Medium,
) -> Result<(), DrawError> {
    let canvas = Canvas {
        area: backend.into_drawing_area(),
        medium,
    };
    let drawn = canvas.area.fill(&PAPER);
    drawn
        .and_then(|()| drawing.draw(&canvas))
        .map_err(|error| DrawError(error.to_string()))
}

impl Drawing for Figure {
    fn name(&self) -> &str {
        &self.name
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn note(&self) -> &str {
        &self.note
    }

    fn size(&self, scale: f64) -> (u32, u32) {
        self.pixels(scale)
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> Drawn<DB> {
        canvas.figure(self)
    }
}

/// How the lines of [`Reference`] look.
const REFERENCE: Look = Look {
    colour: INK,
    marker: None,
    light: true,
    thickness: 1.0,
};

impl<DB: DrawingBackend> Canvas<DB> {
    fn figure(&self, figure: &Figure) -> Drawn<DB> {
        let corner = (HPos::Left, VPos::Top);
        let [title, (left, note)] = figure.heading();
        self.text(&figure.title, title, corner, Text::title())?;
        for (i, line) in figure.note_lines().iter().enumerate() {
            let place = (left, note + i as f64 * LINE);
            self.text(line, place, corner, Text::small())?;
        }
        let (left, top, width) = (figure.left(), figure.plot_top(), figure.panel_width());
        for (i, panel) in figure.panels.iter().enumerate() {
            let frame = Frame {
                left: left + i as f64 * (width + PANEL_SPACE),
                top,
                width,
                x_axis: &figure.x_axis,
                y_scale: figure.y_scale,
            };
            self.axes(&frame, i == 0)?;
            self.references(&figure.references, &frame)?;
            self.panel(panel, &frame)?;
        }
        let middle = (figure.y_label_middle(), top + 0.5 * PANEL_HEIGHT);
        self.text(
            figure.y_label,
            middle,
            (HPos::Center, VPos::Center),
            Text::upwards(),
        )?;
        let below = (left + 0.5 * figure.panels_width(), figure.height() - 14.0);
        let centre = (HPos::Center, VPos::Bottom);
        self.text(figure.x_label, below, centre, Text::plain())?;
        self.legend(figure, (left + figure.panels_width() + RIGHT, top))
    }

    fn axes(&self, frame: &Frame<'_>, with_labels: bool) -> Drawn<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        let bottom = frame.top + PANEL_HEIGHT;
        for (value, label) in frame.y_scale.ticks() {
            let y = frame.y(value);
            let is_zero = value == 0.0;
            let colour = if is_zero { INK } else { GRID };
            self.line((left, y), (right, y), self.stroke(colour, 1.0))?;
            if with_labels {
                let place = (left - TICK_SPACE, y);
                self.text(&label, place, (HPos::Right, VPos::Center), Text::plain())?;
            }
        }
        let axis = self.stroke(INK, 1.0);
        self.line((left, frame.top), (left, bottom), axis)?;
        self.line((left, bottom), (right, bottom), axis)?;
        for (value, lines) in frame.x_ticks() {
            let x = frame.x(value);
            self.line((x, bottom), (x, bottom + 5.0), axis)?;
            for (row, line) in lines.iter().enumerate() {
                let y = bottom + 10.0 + row as f64 * LINE;
                self.text(line, (x, y), (HPos::Center, VPos::Top), Text::plain())?;
            }
        }
        Ok(())
    }

    fn references(&self, references: &[Reference], frame: &Frame<'_>) -> Drawn<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        for reference in references {
            let y = frame.y(reference.value);
            self.path(&[(left, y), (right, y)], REFERENCE)?;
        }
        Ok(())
    }

    fn panel(&self, panel: &Panel, frame: &Frame<'_>) -> Drawn<DB> {
        if !panel.title.is_empty() {
            let middle = (
                frame.left + 0.5 * frame.width,
                frame.top - PANEL_TITLE + 2.0,
            );
            self.text(
                &panel.title,
                middle,
                (HPos::Center, VPos::Top),
                Text::plain(),
            )?;
        }
        let n = panel.series.len();
        let step = if panel.series_share_places() {
            frame.dodge(n)
        } else {
            0.0
        };
        for (i, series) in panel.series.iter().enumerate() {
            let dodge = (i as f64 - 0.5 * (n as f64 - 1.0)) * step;
            self.series(series, frame, dodge)?;
        }
        Ok(())
    }

    fn series(&self, series: &Series, frame: &Frame<'_>, dodge: f64) -> Drawn<DB> {
        let points = series.points.iter();
        let places: Vec<Place> = points
            .map(|p| (frame.x(p.x) + dodge, frame.y(p.value)))
            .collect();
        self.path(&places, series.look)?;
        let bar = self.stroke(series.look.colour, 1.5);
        for (i, (&(x, y), point)) in places.iter().zip(&series.points).enumerate() {
            let [low, high] = point.bar;
            if low.is_finite() && high.is_finite() && low < high {
                let (low, high) = (frame.y(low), frame.y(high));
                self.line((x, low), (x, high), bar)?;
                for end in [low, high] {
                    self.line((x - 4.0, end), (x + 4.0, end), bar)?;
                }
            }
            if series.marked == Marked::Every || i + 1 == places.len() {
                self.marker((x, y), series.look)?;
            }
        }
        Ok(())
    }

    fn legend(&self, figure: &Figure, (left, top): Place) -> Drawn<DB> {
        let keys = figure.legend.iter().map(|key| (&key.label, key.look));
        let lines = figure.references.iter();
        let keys = keys.chain(lines.map(|line| (&line.label, REFERENCE)));
        for (i, (label, look)) in keys.enumerate() {
            let y = top + 8.0 + i as f64 * (LINE + 5.0);
            self.path(&[(left, y), (left + 34.0, y)], look)?;
            self.marker((left + 17.0, y), look)?;
            let place = (left + 42.0, y);
            self.text(label, place, (HPos::Left, VPos::Center), Text::plain())?;
        }
        Ok(())
    }
}
