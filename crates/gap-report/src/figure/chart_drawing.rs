//! Draws a chart.

use super::canvas::{Canvas, DrawResult, GRID, INK, Text};
use super::chart::{Chart, MarkerPlacement, Panel, ReferenceLine, Series};
use super::drawing::Draw;
use super::geometry::{
    LEGEND_SPACE, LINE_HEIGHT, PANEL_HEIGHT, PANEL_SPACE, PANEL_TITLE, PanelFrame, Position,
    TICK_SPACE,
};
use super::style::LineStyle;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

impl Draw for Chart {
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

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> DrawResult<DB> {
        canvas.chart(self)
    }
}

/// How a [`ReferenceLine`] looks.
const REFERENCE_STYLE: LineStyle = LineStyle {
    colour: INK,
    marker: None,
    dashed: true,
    thickness: 1.0,
};

impl<DB: DrawingBackend> Canvas<DB> {
    fn chart(&self, chart: &Chart) -> DrawResult<DB> {
        let corner = (HPos::Left, VPos::Top);
        let [title, (left, note)] = chart.heading();
        self.text(&chart.title, title, corner, Text::title())?;
        for (i, line) in chart.note_lines().iter().enumerate() {
            let place = (left, note + i as f64 * LINE_HEIGHT);
            self.text(line, place, corner, Text::small())?;
        }
        let (left, top, width) = (chart.left(), chart.plot_top(), chart.panel_width());
        for (i, panel) in chart.panels.iter().enumerate() {
            let frame = PanelFrame {
                left: left + i as f64 * (width + PANEL_SPACE),
                top,
                width,
                x_axis: &chart.x_axis,
                y_scale: chart.y_scale,
            };
            self.axes(&frame, i == 0)?;
            self.references(&chart.references, &frame)?;
            self.panel(panel, &frame)?;
        }
        let middle = (chart.y_label_middle(), top + 0.5 * PANEL_HEIGHT);
        self.text(
            chart.y_label,
            middle,
            (HPos::Center, VPos::Center),
            Text::upwards(),
        )?;
        let below = (left + 0.5 * chart.panels_width(), chart.height() - 14.0);
        let centre = (HPos::Center, VPos::Bottom);
        self.text(chart.x_label, below, centre, Text::plain())?;
        self.legend(chart, (left + chart.panels_width() + LEGEND_SPACE, top))
    }

    fn axes(&self, frame: &PanelFrame<'_>, with_labels: bool) -> DrawResult<DB> {
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
                let y = bottom + 10.0 + row as f64 * LINE_HEIGHT;
                self.text(line, (x, y), (HPos::Center, VPos::Top), Text::plain())?;
            }
        }
        Ok(())
    }

    fn references(&self, references: &[ReferenceLine], frame: &PanelFrame<'_>) -> DrawResult<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        for reference in references {
            let y = frame.y(reference.value);
            self.path(&[(left, y), (right, y)], REFERENCE_STYLE)?;
        }
        Ok(())
    }

    fn panel(&self, panel: &Panel, frame: &PanelFrame<'_>) -> DrawResult<DB> {
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

    fn series(&self, series: &Series, frame: &PanelFrame<'_>, dodge: f64) -> DrawResult<DB> {
        let points = series.points.iter();
        let places: Vec<Position> = points
            .map(|p| (frame.x(p.x) + dodge, frame.y(p.value)))
            .collect();
        self.path(&places, series.style)?;
        let bar = self.stroke(series.style.colour, 1.5);
        for (i, (&(x, y), point)) in places.iter().zip(&series.points).enumerate() {
            let [low, high] = point.error_bar;
            if low.is_finite() && high.is_finite() && low < high {
                let (low, high) = (frame.y(low), frame.y(high));
                self.line((x, low), (x, high), bar)?;
                for end in [low, high] {
                    self.line((x - 4.0, end), (x + 4.0, end), bar)?;
                }
            }
            if series.markers == MarkerPlacement::Every || i + 1 == places.len() {
                self.marker((x, y), series.style)?;
            }
        }
        Ok(())
    }

    fn legend(&self, chart: &Chart, (left, top): Position) -> DrawResult<DB> {
        let keys = chart.legend.iter().map(|key| (&key.label, key.style));
        let lines = chart.references.iter();
        let keys = keys.chain(lines.map(|line| (&line.label, REFERENCE_STYLE)));
        for (i, (label, style)) in keys.enumerate() {
            let y = top + 8.0 + i as f64 * (LINE_HEIGHT + 5.0);
            self.path(&[(left, y), (left + 34.0, y)], style)?;
            self.marker((left + 17.0, y), style)?;
            let place = (left + 42.0, y);
            self.text(label, place, (HPos::Left, VPos::Center), Text::plain())?;
        }
        Ok(())
    }
}
