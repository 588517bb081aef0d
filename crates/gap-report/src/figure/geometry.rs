//! The places and sizes of the parts of a chart, in units of the SVG.

use super::axis::{Scale, XAxis};
use super::chart::Chart;

pub(crate) const FIGURE_MARGIN: f64 = 14.0;
pub(crate) const LEGEND_DISTANCE: f64 = 18.0;
const TITLE_AREA_HEIGHT: f64 = 66.0;
pub(crate) const PANEL_TITLE_HEIGHT: f64 = 22.0;
pub(crate) const PANEL_HEIGHT: f64 = 300.0;
pub(crate) const PANEL_SPACING: f64 = 26.0;
pub(crate) const LINE_HEIGHT: f64 = 17.0;
pub(crate) const MARKER_RADIUS: f64 = 4.2;
pub(crate) const TITLE_TEXT_SIZE: f64 = 20.0;
pub(crate) const TEXT_SIZE: f64 = 15.0;
pub(crate) const SMALL_TEXT_SIZE: f64 = 13.5;
/// The mean width of a character in text of size [`TEXT_SIZE`].
pub(crate) const MEAN_CHARACTER_WIDTH: f64 = 7.4;
/// The distance from an axis to its tick labels.
pub(crate) const TICK_LABEL_DISTANCE: f64 = 8.0;

/// A place on the figure, in units of the SVG.
pub(crate) type Position = (f64, f64);

pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * MEAN_CHARACTER_WIDTH * size / TEXT_SIZE
}

/// Breaks `text` of the given size into lines no wider than `width`; a word that is wider has a line of its
/// own.
pub(crate) fn wrap_text(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                *line += &format!(" {word}");
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

impl Chart {
    /// The left edge of the first panel; the labels of its ticks and of the axis are to the left of it.
    pub(crate) fn first_panel_left(&self) -> f64 {
        let ticks = self.y_scale.ticks();
        let widths = ticks.iter().map(|(_, label)| text_width(label, TEXT_SIZE));
        self.y_label_center_x() + TEXT_SIZE + widths.fold(0.0, f64::max) + TICK_LABEL_DISTANCE
    }

    pub(crate) fn y_label_center_x(&self) -> f64 {
        FIGURE_MARGIN + 0.5 * TEXT_SIZE
    }

    pub(crate) fn panel_width(&self) -> f64 {
        let fewest = if self.panels.len() > 1 { 380.0 } else { 520.0 };
        let XAxis::Categories(categories) = &self.x_axis else {
            return fewest;
        };
        let lines = categories.iter().flatten();
        let widest = lines
            .map(|line| text_width(line, TEXT_SIZE))
            .fold(0.0, f64::max);
        (categories.len() as f64 * (widest + 16.0)).max(fewest)
    }

    pub(crate) fn panels_width(&self) -> f64 {
        let n = self.panels.len() as f64;
        n * self.panel_width() + (n - 1.0) * PANEL_SPACING
    }

    fn legend_width(&self) -> f64 {
        let keys = self.legend.iter().map(|key| &key.label);
        let labels = keys.chain(self.references.iter().map(|reference| &reference.label));
        let widths = labels.map(|label| text_width(label, TEXT_SIZE));
        widths.fold(0.0, f64::max) + 56.0
    }

    pub(crate) fn width(&self) -> f64 {
        let content =
            self.first_panel_left() + self.panels_width() + LEGEND_DISTANCE + self.legend_width();
        content.max(text_width(&self.title, TITLE_TEXT_SIZE) * 1.15 + 2.0 * FIGURE_MARGIN)
    }

    /// Returns the note, broken into lines that are no wider than the figure.
    pub(crate) fn note_lines(&self) -> Vec<String> {
        wrap_text(
            &self.note,
            SMALL_TEXT_SIZE,
            self.width() - 2.0 * FIGURE_MARGIN,
        )
    }

    /// Returns the positions of the title and, below it, of the note's first line.
    pub(crate) fn title_and_note_positions(&self) -> [Position; 2] {
        [(FIGURE_MARGIN, 12.0), (FIGURE_MARGIN, 38.0)]
    }

    pub(crate) fn plot_top(&self) -> f64 {
        let titled = self.panels.iter().any(|panel| !panel.title.is_empty());
        let more_lines = self.note_lines().len().saturating_sub(1);
        let top = TITLE_AREA_HEIGHT + more_lines as f64 * LINE_HEIGHT;
        if titled {
            top + PANEL_TITLE_HEIGHT
        } else {
            top
        }
    }

    pub(crate) fn height(&self) -> f64 {
        let lines = match &self.x_axis {
            XAxis::Categories(categories) => categories.iter().map(Vec::len).max().unwrap_or(1),
            XAxis::Log(_) => 1,
        };
        let below_axis = 10.0 + lines as f64 * LINE_HEIGHT + 30.0;
        let keys = self.legend.len() + self.references.len();
        let legend = keys as f64 * (LINE_HEIGHT + 5.0);
        self.plot_top() + PANEL_HEIGHT.max(legend) + below_axis
    }
}

/// The place of one panel's plot, and its axes.
pub(crate) struct PanelFrame<'a> {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) x_axis: &'a XAxis,
    pub(crate) y_scale: Scale,
}

impl PanelFrame<'_> {
    pub(crate) fn x_position(&self, x: f64) -> f64 {
        self.left + self.width * self.x_axis.fraction_along_axis(x)
    }

    pub(crate) fn y_position(&self, value: f64) -> f64 {
        self.top + PANEL_HEIGHT * (1.0 - self.y_scale.fraction_along_axis(value))
    }

    /// Returns the values to mark on the x axis, each with the lines of its label.
    pub(crate) fn x_ticks(&self) -> Vec<(f64, Vec<String>)> {
        let scale = match self.x_axis {
            XAxis::Categories(categories) => {
                let categories = categories.iter().enumerate();
                return categories
                    .map(|(i, lines)| (i as f64, lines.clone()))
                    .collect();
            }
            XAxis::Log(scale) => scale,
        };
        let overlap = |ticks: &[(f64, String)]| {
            ticks.windows(2).any(|pair| {
                let widths = pair.iter().map(|(_, label)| text_width(label, TEXT_SIZE));
                let needed = 0.5 * widths.sum::<f64>() + MEAN_CHARACTER_WIDTH;
                self.x_position(pair[1].0) - self.x_position(pair[0].0) < needed
            })
        };
        let mut ticks = scale.ticks();
        if overlap(&ticks) {
            ticks = scale.decade_ticks();
        }
        let labelled = ticks.into_iter();
        labelled
            .map(|(value, label)| (value, vec![label]))
            .collect()
    }

    /// Returns the horizontal distance between points that `n` series have in one category, so that their error
    /// bars do not hide each other; 0 on a logarithmic axis.
    pub(crate) fn series_spacing(&self, n: usize) -> f64 {
        match self.x_axis {
            XAxis::Categories(categories) => {
                let room = 0.6 * self.width / categories.len() as f64;
                (room / n as f64).min(6.0)
            }
            XAxis::Log(_) => 0.0,
        }
    }
}

/// Splits a path into dashes of length `on`, with spaces of length `off` between them.
///
/// Dashes continue around corners, so a path of many short segments is dashed like one long segment.
pub(crate) fn split_path_into_dashes(path: &[Position], on: f64, off: f64) -> Vec<Vec<Position>> {
    let mut dashes: Vec<Vec<Position>> =
        path.first().map(|&start| vec![start]).into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for ends in path.windows(2) {
        let [from, to] = [ends[0], ends[1]];
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let share = gone / length;
            let turn = (
                from.0 + share * (to.0 - from.0),
                from.1 + share * (to.1 - from.1),
            );
            if drawing {
                dashes.last_mut().expect("a dash is being drawn").push(turn);
            } else {
                dashes.push(vec![turn]);
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length - gone;
        if drawing {
            dashes.last_mut().expect("a dash is being drawn").push(to);
        }
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::split_path_into_dashes;

    #[test]
    fn dashes_are_as_long_however_many_points_a_path_has() {
        let total = |path: &[(f64, f64)]| -> f64 {
            let dashes = split_path_into_dashes(path, 6.0, 4.0);
            let pairs = dashes.iter().flat_map(|dash| dash.windows(2));
            pairs
                .map(|p| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1))
                .sum()
        };
        let many: Vec<(f64, f64)> = (0..=400).map(|i| (f64::from(i) * 0.25, 0.0)).collect();
        assert!((total(&[(0.0, 0.0), (100.0, 0.0)]) - 60.0).abs() < 1e-9);
        assert!((total(&many) - 60.0).abs() < 1e-9);
        assert!((total(&[(0.0, 0.0), (3.0, 0.0), (3.0, 4.0)]) - 6.0).abs() < 1e-9);
        assert_eq!(total(&[]), 0.0);
    }
}
