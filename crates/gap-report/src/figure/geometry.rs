//! Where the parts of a figure are, in units of the SVG.

use super::Figure;
use super::axis::Scale;

pub(super) const LEFT: f64 = 74.0;
pub(super) const RIGHT: f64 = 18.0;
pub(super) const TOP: f64 = 66.0;
pub(super) const PANEL_TITLE: f64 = 22.0;
pub(super) const PANEL_HEIGHT: f64 = 300.0;
pub(super) const PANEL_SPACE: f64 = 26.0;
pub(super) const LINE: f64 = 17.0;
pub(super) const MARKER_RADIUS: f64 = 4.2;
pub(super) const TEXT: f64 = 15.0;
pub(super) const CHARACTER: f64 = 7.4;

/// A place on the figure, in units of the SVG.
pub(super) type Place = (f64, f64);

impl Figure {
    pub(super) fn panel_width(&self) -> f64 {
        let lines = self.categories.iter().flatten();
        let widest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
        let category = widest as f64 * CHARACTER + 16.0;
        let fewest = if self.panels.len() > 1 { 380.0 } else { 520.0 };
        (self.categories.len() as f64 * category).max(fewest)
    }

    pub(super) fn panels_width(&self) -> f64 {
        let n = self.panels.len() as f64;
        n * self.panel_width() + (n - 1.0) * PANEL_SPACE
    }

    pub(super) fn legend_width(&self) -> f64 {
        let labels = self.legend.iter().map(|key| key.label.chars().count());
        labels.max().unwrap_or(0) as f64 * CHARACTER + 56.0
    }

    pub(super) fn plot_top(&self) -> f64 {
        let titled = self.panels.iter().any(|panel| !panel.title.is_empty());
        if titled { TOP + PANEL_TITLE } else { TOP }
    }

    pub(super) fn height(&self) -> f64 {
        let lines = self.categories.iter().map(Vec::len).max().unwrap_or(1);
        let below_axis = 10.0 + lines as f64 * LINE + 30.0;
        let legend = self.legend.len() as f64 * (LINE + 5.0);
        self.plot_top() + PANEL_HEIGHT.max(legend) + below_axis
    }

    pub(super) fn size(&self, scale: f64) -> (u32, u32) {
        let width = LEFT + self.panels_width() + RIGHT + self.legend_width();
        let note = self.note.chars().count() as f64 * CHARACTER * 0.88 + 32.0;
        let pixels = |length: f64| (length * scale).ceil() as u32;
        (pixels(width.max(note)), pixels(self.height()))
    }
}

/// The plot of one panel.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) scale: Scale,
    /// Categories.
    pub(super) n: usize,
}

impl Frame {
    pub(super) fn x(&self, category: usize) -> f64 {
        self.left + self.width * (category as f64 + 0.5) / self.n as f64
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.top + PANEL_HEIGHT * (1.0 - self.scale.place(value))
    }
}
