//! The figures of posteriors over two latent variables and their approximations, one for each datapoint: the
//! posterior first, and then a column for each variant, with `q*` above the encoder's `q`.

use crate::figure::canvas::{
    Canvas, DrawResult, FigureTextStyle, GRID_LINE_COLOUR, INK_COLOUR, PAPER_COLOUR,
};
use crate::figure::geometry::{
    FIGURE_MARGIN, LINE_HEIGHT, Position, SMALL_TEXT_SIZE, TEXT_SIZE, TITLE_TEXT_SIZE, text_width,
    wrap_text,
};
use crate::figure::{Draw, SERIES_COLOURS};
use crate::variant::variant_sort_key;
use gap_schema::PosteriorGridCellRow;
use gap_schema::picture::Pictured;
use gap_spec::Family;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::collections::BTreeMap;

/// The length of a picture's sides, in units of the SVG.
const PICTURE_SIDE_LENGTH: f64 = 150.0;
const PICTURE_SPACING: f64 = 14.0;
const PICTURE_HEADING_HEIGHT: f64 = 40.0;

/// The most characters of a figure's name that are names of variants. A file name has at most 255 bytes.
const MAX_VARIANTS_IN_NAME: usize = 120;

/// Cells whose mass is at most this fraction of the largest one in their picture are not drawn.
const MIN_DRAWN_SHADE: f64 = 0.004;

/// The figure of one datapoint: its posterior, then a column for each variant.
pub(super) struct PosteriorFigure {
    name: String,
    title: String,
    note: String,
    columns: Vec<PictureColumn>,
    axes: String,
}

struct PictureColumn {
    heading: String,
    /// The pictures from top to bottom, each with its label.
    pictures: Vec<(String, Vec<ShadedCell>)>,
}

/// A cell of a picture: two opposite corners, as fractions of the picture's width from the left and of its
/// height from below, and the cell's mass divided by the largest one in the picture.
struct ShadedCell {
    from: [f64; 2],
    to: [f64; 2],
    darkness: f64,
}

/// Returns one figure for each seed, datapoint and model, in that order.
pub(super) fn posterior_figures(rows: &[PosteriorGridCellRow]) -> Vec<PosteriorFigure> {
    let mut by_point: BTreeMap<(u64, u64, &str), Vec<&PosteriorGridCellRow>> = BTreeMap::new();
    for row in rows {
        let place = (row.seed, row.datapoint, row.model.as_str());
        by_point.entry(place).or_default().push(row);
    }
    let models_of = |seed: u64, datapoint: u64| {
        let models = by_point
            .keys()
            .filter(|key| (key.0, key.1) == (seed, datapoint));
        models.count()
    };
    let figures = by_point.iter();
    figures
        .map(|(&(seed, datapoint, _), rows)| {
            let figure = posterior_figure(seed, datapoint, rows);
            match models_of(seed, datapoint) {
                1 => figure,
                _ => figure.named_after_variants(rows),
            }
        })
        .collect()
}

fn posterior_figure(seed: u64, datapoint: u64, rows: &[&PosteriorGridCellRow]) -> PosteriorFigure {
    let mut variants: Vec<(Family, Option<&str>)> = rows
        .iter()
        .map(|row| (row.family, row.variant.as_deref()))
        .collect();
    variants.sort_by(|a, b| {
        a.0.cmp(&b.0)
            .then(variant_sort_key(a.1).cmp(&variant_sort_key(b.1)))
    });
    variants.dedup();
    let variants: Vec<Option<&str>> = variants.into_iter().map(|(_, variant)| variant).collect();
    let picture = |variant: Option<&str>, pictured: Pictured| -> Vec<ShadedCell> {
        let own = rows.iter().filter(|row| row.variant.as_deref() == variant);
        let own: Vec<&&PosteriorGridCellRow> = own.filter(|row| row.pictured == pictured).collect();
        let most = own.iter().map(|row| row.mass).fold(0.0, f64::max);
        let seen = own
            .into_iter()
            .filter(|row| row.mass > MIN_DRAWN_SHADE * most);
        seen.map(|row| new_shaded_cell(row, most)).collect()
    };
    let first = variants[0];
    let mut columns = vec![PictureColumn {
        heading: "posterior".to_owned(),
        pictures: vec![("p(z | x)".to_owned(), picture(first, Pictured::Posterior))],
    }];
    columns.extend(variants.iter().map(|&variant| {
        let first = rows.iter().find(|row| row.variant.as_deref() == variant);
        let family = first.map_or_else(String::new, |row| row.family.to_string());
        let encoders = rows.iter().filter(|row| row.variant.as_deref() == variant);
        let encoder = encoders.filter_map(|row| row.encoder.clone()).next();
        PictureColumn {
            heading: variant.map_or(family, str::to_owned),
            pictures: vec![
                ("q*".to_owned(), picture(variant, Pictured::FreeForm)),
                (
                    format!("q, {}", encoder.unwrap_or_default()),
                    picture(variant, Pictured::Amortized),
                ),
            ],
        }
    }));
    let PosteriorGridCellRow {
        middle_1,
        middle_2,
        half_width,
        ..
    } = rows[0];
    let span = |middle: f64| format!("{:.2} to {:.2}", middle - half_width, middle + half_width);
    PosteriorFigure {
        name: format!("posterior-seed-{seed}-point-{datapoint}"),
        title: format!("Posterior of test point {datapoint}, seed {seed}, and what stands for it"),
        note: "All pictures show the same square, which reaches four standard deviations of the posterior \
               from its mean. Darker cells hold more mass, each picture to its own largest; those of q are \
               from draws."
            .to_owned(),
        columns,
        axes: format!("z₁: {}, z₂: {}", span(*middle_1), span(*middle_2)),
    }
}

fn new_shaded_cell(row: &PosteriorGridCellRow, most: f64) -> ShadedCell {
    let width = 1.0 / f64::from(row.cells);
    let place = |z: f64, middle: f64| 0.5 + 0.5 * (z - middle) / row.half_width;
    let (across, up) = (place(row.z_1, row.middle_1), place(row.z_2, row.middle_2));
    ShadedCell {
        from: [across - 0.5 * width, up - 0.5 * width],
        to: [across + 0.5 * width, up + 0.5 * width],
        darkness: row.mass / most,
    }
}

/// Returns the colour for a darkness between 0 (the paper) and 1 (full colour).
fn shade_colour(darkness: f64) -> RGBColor {
    let full = SERIES_COLOURS[0];
    let mix = |paper: u8, full: u8| {
        let mixed = f64::from(paper) + darkness * (f64::from(full) - f64::from(paper));
        mixed.round() as u8
    };
    RGBColor(
        mix(PAPER_COLOUR.0, full.0),
        mix(PAPER_COLOUR.1, full.1),
        mix(PAPER_COLOUR.2, full.2),
    )
}

impl PosteriorFigure {
    /// Returns the figure with the variants of its model added to its name and title, to tell it from those of
    /// other models of the same datapoint.
    fn named_after_variants(mut self, rows: &[&PosteriorGridCellRow]) -> Self {
        let mut variants: Vec<&str> = rows.iter().filter_map(|r| r.variant.as_deref()).collect();
        variants.sort_by(|a, b| variant_sort_key(Some(a)).cmp(&variant_sort_key(Some(b))));
        variants.dedup();
        let joined = variants.join("-");
        self.name += &match variants.as_slice() {
            [first, rest @ ..] if joined.len() > MAX_VARIANTS_IN_NAME => {
                format!("-{first}-and-{}-more", rest.len())
            }
            _ => format!("-{joined}"),
        };
        self.title += &format!(": {}", variants.join(", "));
        self
    }

    fn width(&self) -> f64 {
        let n = self.columns.len() as f64;
        let pictures = n * PICTURE_SIDE_LENGTH + (n - 1.0) * PICTURE_SPACING + 2.0 * FIGURE_MARGIN;
        pictures.max(text_width(&self.title, TITLE_TEXT_SIZE) * 1.15 + 2.0 * FIGURE_MARGIN)
    }

    fn note_lines(&self) -> Vec<String> {
        wrap_text(
            &self.note,
            SMALL_TEXT_SIZE,
            self.width() - 2.0 * FIGURE_MARGIN,
        )
    }

    fn top(&self) -> f64 {
        38.0 + self.note_lines().len() as f64 * LINE_HEIGHT + PICTURE_HEADING_HEIGHT
    }

    fn height(&self) -> f64 {
        let rows = self.columns.iter().map(|column| column.pictures.len());
        let rows = rows.max().unwrap_or(0) as f64;
        self.top() + rows * (PICTURE_SIDE_LENGTH + LINE_HEIGHT + PICTURE_SPACING) + FIGURE_MARGIN
    }
}

impl Draw for PosteriorFigure {
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
        let corner = (HPos::Left, VPos::Top);
        canvas.draw_text(
            &self.title,
            (FIGURE_MARGIN, 12.0),
            corner,
            FigureTextStyle::title(),
        )?;
        for (i, line) in self.note_lines().iter().enumerate() {
            let place = (FIGURE_MARGIN, 38.0 + i as f64 * LINE_HEIGHT);
            canvas.draw_text(line, place, corner, FigureTextStyle::small())?;
        }
        for (i, column) in self.columns.iter().enumerate() {
            let left = FIGURE_MARGIN + i as f64 * (PICTURE_SIDE_LENGTH + PICTURE_SPACING);
            let middle = (
                left + 0.5 * PICTURE_SIDE_LENGTH,
                self.top() - TEXT_SIZE - 4.0,
            );
            canvas.draw_text(
                &column.heading,
                middle,
                (HPos::Center, VPos::Center),
                FigureTextStyle::plain(),
            )?;
            for (j, (label, shades)) in column.pictures.iter().enumerate() {
                let top =
                    self.top() + j as f64 * (PICTURE_SIDE_LENGTH + LINE_HEIGHT + PICTURE_SPACING);
                canvas.draw_picture((left, top), shades)?;
                let below = (
                    left + 0.5 * PICTURE_SIDE_LENGTH,
                    top + PICTURE_SIDE_LENGTH + 3.0,
                );
                canvas.draw_text(
                    label,
                    below,
                    (HPos::Center, VPos::Top),
                    FigureTextStyle::small(),
                )?;
            }
        }
        let axes = (FIGURE_MARGIN, self.height() - SMALL_TEXT_SIZE - 6.0);
        canvas.draw_text(&self.axes, axes, corner, FigureTextStyle::small())
    }
}

impl<DB: DrawingBackend> Canvas<DB> {
    fn draw_picture(&self, (left, top): Position, shades: &[ShadedCell]) -> DrawResult<DB> {
        for shade in shades {
            let place = |[across, up]: [f64; 2]| {
                (
                    left + across * PICTURE_SIDE_LENGTH,
                    top + (1.0 - up) * PICTURE_SIDE_LENGTH,
                )
            };
            let corners = [place(shade.from), place(shade.to)];
            self.draw_rectangle(corners, shade_colour(shade.darkness).filled())?;
        }
        let (right, bottom) = (left + PICTURE_SIDE_LENGTH, top + PICTURE_SIDE_LENGTH);
        let frame = [
            (left, top),
            (right, top),
            (right, bottom),
            (left, bottom),
            (left, top),
        ];
        for ends in frame.windows(2) {
            self.draw_line(ends[0], ends[1], self.stroke_style(INK_COLOUR, 1.0))?;
        }
        let (middle_x, middle_y) = (
            left + 0.5 * PICTURE_SIDE_LENGTH,
            top + 0.5 * PICTURE_SIDE_LENGTH,
        );
        for (x, y) in [(middle_x, bottom), (left, middle_y)] {
            // Marks the posterior's mean on both axes.
            let inwards = if x == left {
                (x + 5.0, y)
            } else {
                (x, y - 5.0)
            };
            self.draw_line((x, y), inwards, self.stroke_style(GRID_LINE_COLOUR, 1.0))?;
        }
        Ok(())
    }
}
