//! What the figures show; how they are drawn is in [`drawing`].

mod axis;
mod drawing;
mod geometry;

pub(crate) use drawing::{DrawError, png, svg};

use crate::across_seeds::{SeedGroup, SeedMean, spread_meaning};
use crate::pairing::capacity;
use crate::table::encoder_name;
use crate::table::number::grouped;
use gap_schema::Summary;
use gap_schema::record::{EncoderLabel, Split};
use plotters::style::RGBColor;

/// Panels side by side on one scale, with one legend.
pub(crate) struct Figure {
    /// The stem of its file's name.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What the error bars are.
    pub(crate) note: String,
    x_label: &'static str,
    y_label: &'static str,
    /// Below the axis, one or two lines each.
    categories: Vec<Vec<String>>,
    legend: Vec<Key>,
    panels: Vec<Panel>,
}

struct Panel {
    title: String,
    series: Vec<Series>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    colour: RGBColor,
    marker: Marker,
    /// Open markers and a dashed line.
    light: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

struct Key {
    label: String,
    look: Look,
}

struct Series {
    look: Look,
    /// The number of the category, the value and its standard error.
    points: Vec<(usize, f64, f64)>,
}

/// The colours of Okabe and Ito (2008), which colour-blind readers can tell apart, without the
/// yellow, which is faint on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x7A, 0x7A, 0x7A),
];
const MARKERS: [Marker; 4] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
];

/// The figures that a summary has points for.
pub(crate) fn figures(summary: &Summary) -> Vec<Figure> {
    let groups: Vec<SeedGroup<'_>> = SeedGroup::all(summary)
        .into_iter()
        .filter(|group| group.encoder().is_some())
        .collect();
    let figures = [gap_by_encoder(&groups), gap_by_steps(&groups)];
    figures.into_iter().filter(Figure::has_points).collect()
}

impl Figure {
    fn has_points(&self) -> bool {
        let mut series = self.panels.iter().flat_map(|panel| &panel.series);
        series.any(|series| !series.points.is_empty())
    }
}

fn encoders<'a>(groups: &[SeedGroup<'a>]) -> Vec<&'a EncoderLabel> {
    let mut encoders: Vec<&EncoderLabel> = groups.iter().filter_map(SeedGroup::encoder).collect();
    encoders.sort_by(|a, b| capacity(Some(a)).cmp(&capacity(Some(b))));
    encoders.dedup();
    encoders
}

/// A point that is not finite has no place in a figure; the tables count it.
fn point(category: usize, mean: Option<SeedMean>) -> Option<(usize, f64, f64)> {
    let mean = mean.filter(|mean| mean.mean_nats.is_finite())?;
    Some((category, mean.mean_nats, mean.std_error_nats))
}

/// What a gap is called, how it looks, and how a group's is found.
type Quantity = (
    &'static str,
    Marker,
    RGBColor,
    fn(&SeedGroup<'_>) -> Option<SeedMean>,
);

fn gap_by_encoder(groups: &[SeedGroup<'_>]) -> Figure {
    let quantities: [Quantity; 3] = [
        ("amortization", MARKERS[0], COLOURS[1], |g| {
            g.mean(|c| c.amortization_gap)
        }),
        ("approximation", MARKERS[1], COLOURS[0], |g| {
            g.mean(|c| Some(c.approximation_gap))
        }),
        ("after refinement", MARKERS[2], COLOURS[2], |g| {
            g.mean(|c| c.refined_gap)
        }),
    ];
    let encoders = encoders(groups);
    let (mut legend, mut series) = (Vec::new(), Vec::new());
    for (label, marker, colour, gap) in quantities {
        for split in [Split::Test, Split::Train] {
            let look = Look {
                colour,
                marker,
                light: split == Split::Train,
            };
            let points = groups.iter().filter(|group| group.split() == split);
            let points: Vec<_> = points
                .filter_map(|group| {
                    let category = encoders.iter().position(|&e| Some(e) == group.encoder())?;
                    point(category, gap(group))
                })
                .collect();
            if points.is_empty() {
                continue;
            }
            legend.push(Key {
                label: format!("{label}, {split}"),
                look,
            });
            series.push(Series { look, points });
        }
    }
    let categories = encoders.iter().map(|e| vec![e.short(), grouped(e.weights)]);
    Figure {
        name: "amortization-gap-by-encoder",
        title: "Gaps by encoder",
        note: format!("Error bars: {}", spread_meaning(groups)),
        x_label: "encoder, and its number of weights",
        y_label: "gap (nats per datapoint)",
        categories: categories.collect(),
        legend,
        panels: vec![Panel {
            title: String::new(),
            series,
        }],
    }
}

fn gap_by_steps(groups: &[SeedGroup<'_>]) -> Figure {
    let mut steps: Vec<u32> = groups
        .iter()
        .flat_map(SeedGroup::refinement_steps)
        .collect();
    steps.sort_unstable();
    steps.dedup();
    let encoders = encoders(groups);
    let look = |group: &SeedGroup<'_>| {
        let i = encoders.iter().position(|&e| Some(e) == group.encoder());
        let i = i.unwrap_or(0);
        Look {
            colour: COLOURS[i % COLOURS.len()],
            marker: MARKERS[i % MARKERS.len()],
            light: i >= COLOURS.len(),
        }
    };
    let with_none = || std::iter::once(0).chain(steps.iter().copied());
    let (mut legend, mut panels) = (Vec::<Key>::new(), Vec::new());
    for split in [Split::Train, Split::Test] {
        let mut series = Vec::new();
        for group in groups.iter().filter(|group| group.split() == split) {
            let steps = with_none().enumerate();
            let points: Vec<_> = steps
                .filter_map(|(category, steps)| point(category, group.remaining_gap(steps)))
                .collect();
            // The amortization gap alone, at no steps, is in the other figure already.
            if group.refinement_steps().is_empty() || points.is_empty() {
                continue;
            }
            let look = look(group);
            if !legend.iter().any(|key| key.look == look) {
                let label = encoder_name(group);
                legend.push(Key { label, look });
            }
            series.push(Series { look, points });
        }
        if !series.is_empty() {
            let title = format!("{split} points");
            panels.push(Panel { title, series });
        }
    }
    Figure {
        name: "gap-by-refinement-steps",
        title: "What remains of the gap after refinement",
        note: format!("Error bars: {}", spread_meaning(groups)),
        x_label: "refinement steps from the encoder's output",
        y_label: "remaining gap (nats per datapoint)",
        categories: with_none().map(|n| vec![n.to_string()]).collect(),
        legend,
        panels,
    }
}
