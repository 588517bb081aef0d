//! Draws a chart.

use super::canvas::{Canvas, DrawResult, FigureTextStyle, GRID_LINE_COLOUR, INK_COLOUR};
use super::chart::{Chart, MarkerPlacement, Panel, ReferenceLine, Series};
use super::drawing::Draw;
use super::geometry::{
    LEGEND_DISTANCE, LINE_HEIGHT, PANEL_HEIGHT, PANEL_SPACING, PANEL_TITLE_HEIGHT, PanelFrame,
    Position, TICK_LABEL_DISTANCE,
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

    fn size(&self) -> (f64, f64) {
        (self.width(), self.height())
    }

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> DrawResult<DB> {
        canvas.draw_chart(self)
    }
}

/// How a [`ReferenceLine`] looks.
const REFERENCE_STYLE: LineStyle = LineStyle {
    colour: INK_COLOUR,
    marker: None,
    dashed: true,
    thickness: 1.0,
};

impl<DB: DrawingBackend> Canvas<DB> {
    fn draw_chart(&self, chart: &Chart) -> DrawResult<DB> {
        let corner = (HPos::Left, VPos::Top);
        let [title, (left, note)] = chart.title_and_note_positions();
        self.draw_text(&chart.title, title, corner, FigureTextStyle::title())?;
        for (i, line) in chart.note_lines().iter().enumerate() {
            let place = (left, note + i as f64 * LINE_HEIGHT);
            self.draw_text(line, place, corner, FigureTextStyle::small())?;
        }
        let (left, top, width) = (
            chart.first_panel_left(),
            chart.plot_top(),
            chart.panel_width(),
        );
        for (i, panel) in chart.panels.iter().enumerate() {
            let frame = PanelFrame {
                left: left + i as f64 * (width + PANEL_SPACING),
                top,
                width,
                x_axis: &chart.x_axis,
                y_scale: chart.y_scale,
            };
            self.draw_axes(&frame, i == 0)?;
            self.draw_references(&chart.references, &frame)?;
            self.draw_panel(panel, &frame)?;
        }
        let middle = (chart.y_label_center_x(), top + 0.5 * PANEL_HEIGHT);
        self.draw_text(
            chart.y_label,
            middle,
            (HPos::Center, VPos::Center),
            FigureTextStyle::vertical(),
        )?;
        let below = (left + 0.5 * chart.panels_width(), chart.height() - 14.0);
        let centre = (HPos::Center, VPos::Bottom);
        self.draw_text(chart.x_label, below, centre, FigureTextStyle::plain())?;
        self.draw_legend(chart, (left + chart.panels_width() + LEGEND_DISTANCE, top))
    }

    fn draw_axes(&self, frame: &PanelFrame<'_>, with_labels: bool) -> DrawResult<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        let bottom = frame.top + PANEL_HEIGHT;
        for (value, label) in frame.y_scale.ticks() {
            let y = frame.y_position(value);
            let is_zero = value == 0.0;
            let colour = if is_zero {
                INK_COLOUR
            } else {
                GRID_LINE_COLOUR
            };
            self.draw_line((left, y), (right, y), self.stroke_style(colour, 1.0))?;
            if with_labels {
                let place = (left - TICK_LABEL_DISTANCE, y);
                self.draw_text(
                    &label,
                    place,
                    (HPos::Right, VPos::Center),
                    FigureTextStyle::plain(),
                )?;
            }
        }
        let axis = self.stroke_style(INK_COLOUR, 1.0);
        self.draw_line((left, frame.top), (left, bottom), axis)?;
        self.draw_line((left, bottom), (right, bottom), axis)?;
        for (value, lines) in frame.x_ticks() {
            let x = frame.x_position(value);
            self.draw_line((x, bottom), (x, bottom + 5.0), axis)?;
            for (row, line) in lines.iter().enumerate() {
                let y = bottom + 10.0 + row as f64 * LINE_HEIGHT;
                self.draw_text(
                    line,
                    (x, y),
                    (HPos::Center, VPos::Top),
                    FigureTextStyle::plain(),
                )?;
            }
        }
        Ok(())
    }

    fn draw_references(
        &self,
        references: &[ReferenceLine],
        frame: &PanelFrame<'_>,
    ) -> DrawResult<DB> {
        let (left, right) = (frame.left, frame.left + frame.width);
        for reference in references {
            let y = frame.y_position(reference.value);
            self.draw_path(&[(left, y), (right, y)], REFERENCE_STYLE)?;
        }
        Ok(())
    }

    fn draw_panel(&self, panel: &Panel, frame: &PanelFrame<'_>) -> DrawResult<DB> {
        if !panel.title.is_empty() {
            let middle = (
                frame.left + 0.5 * frame.width,
                frame.top - PANEL_TITLE_HEIGHT + 2.0,
            );
            self.draw_text(
                &panel.title,
                middle,
                (HPos::Center, VPos::Top),
                FigureTextStyle::plain(),
            )?;
        }
        let n = panel.series.len();
        let step = if panel.series_share_places() {
            frame.series_spacing(n)
        } else {
            0.0
        };
        for (i, series) in panel.series.iter().enumerate() {
            let dodge = (i as f64 - 0.5 * (n as f64 - 1.0)) * step;
            self.draw_series(series, frame, dodge)?;
        }
        Ok(())
    }

    fn draw_series(&self, series: &Series, frame: &PanelFrame<'_>, dodge: f64) -> DrawResult<DB> {
        let points = series.points.iter();
        let places: Vec<Position> = points
            .map(|p| (frame.x_position(p.x) + dodge, frame.y_position(p.value)))
            .collect();
        let breaks = series.line_breaks.iter().copied();
        let ends = breaks.clone().chain([places.len()]);
        for (start, end) in std::iter::once(0).chain(breaks).zip(ends) {
            self.draw_path(&places[start..end], series.style)?;
        }
        let bar = self.stroke_style(series.style.colour, 1.5);
        for (i, (&(x, y), point)) in places.iter().zip(&series.points).enumerate() {
            let [low, high] = point.error_bar;
            if low.is_finite() && high.is_finite() && low < high {
                let (low, high) = (frame.y_position(low), frame.y_position(high));
                self.draw_line((x, low), (x, high), bar)?;
                for end in [low, high] {
                    self.draw_line((x - 4.0, end), (x + 4.0, end), bar)?;
                }
            }
            if series.markers == MarkerPlacement::Every || i + 1 == places.len() {
                self.draw_marker((x, y), series.style)?;
            }
        }
        Ok(())
    }

    fn draw_legend(&self, chart: &Chart, (left, top): Position) -> DrawResult<DB> {
        let keys = chart.legend.iter().map(|key| (&key.label, key.style));
        let lines = chart.references.iter();
        let keys = keys.chain(lines.map(|line| (&line.label, REFERENCE_STYLE)));
        for (i, (label, style)) in keys.enumerate() {
            let y = top + 8.0 + i as f64 * (LINE_HEIGHT + 5.0);
            self.draw_path(&[(left, y), (left + 34.0, y)], style)?;
            self.draw_marker((left + 17.0, y), style)?;
            let place = (left + 42.0, y);
            self.draw_text(
                label,
                place,
                (HPos::Left, VPos::Center),
                FigureTextStyle::plain(),
            )?;
        }
        Ok(())
    }
}
