//! The figures of gaps: by encoder, and by refinement steps.

use crate::across_seeds::{SeedGroup, SeedMean, error_bar_meaning, seed_counts};
use crate::figure::{
    Chart, LegendEntry, LineStyle, Marker, MarkerPlacement, NO_LINE_THICKNESS, Panel, Point,
    ReferenceLine, SERIES_COLOURS, SERIES_MARKERS, Scale, Series, THICK_LINE_THICKNESS, XAxis,
    scale_covering,
};
use crate::pairing::encoder_sort_key;
use crate::table::encoder_name;
use crate::table::number::grouped;
use gap_schema::Summary;
use gap_schema::summary::{Cell, Mean};
use gap_spec::{EncoderLabel, Split};
use plotters::style::RGBColor;
use std::collections::BTreeSet;

/// Returns the charts that a summary has points for: if there are several variants, first one that shows them
/// side by side; then those of each variant.
pub(super) fn gap_charts(summary: &Summary) -> Vec<Chart> {
    let groups: Vec<SeedGroup<'_>> = SeedGroup::group_summary_cells(summary)
        .into_iter()
        .filter(|group| group.encoder().is_some())
        .collect();
    let by_variant = || groups.chunk_by(|a, b| a.variant() == b.variant());
    let together = (by_variant().count() > 1).then(|| gap_by_variant(&groups));
    let each = by_variant().flat_map(|groups| {
        let figures = [gap_by_encoder(groups), gap_by_steps(groups)];
        figures.map(|figure| figure.named_after_variant(groups[0].variant()))
    });
    let figures = together.into_iter().chain(each);
    figures.filter(Chart::has_points).collect()
}

fn distinct_encoders<'a>(groups: &[SeedGroup<'a>]) -> Vec<&'a EncoderLabel> {
    let mut encoders: Vec<&EncoderLabel> = groups.iter().filter_map(SeedGroup::encoder).collect();
    encoders.sort_by(|a, b| encoder_sort_key(Some(a)).cmp(&encoder_sort_key(Some(b))));
    encoders.dedup();
    encoders
}

fn gap_point(category: usize, mean: Option<SeedMean>) -> Option<Point> {
    let mean = mean?;
    Point::with_error(category as f64, mean.mean_nats, mean.std_error_nats)
}

/// One of the gaps that figures show.
#[derive(Clone, Copy)]
enum GapCurve<'a> {
    Amortization,
    Approximation,
    /// What the refinement with this name leaves, or `[refinement]`.
    AfterRefinement(Option<&'a str>),
    /// What the protocol with this name leaves.
    Optimisation(&'a str),
}

impl<'a> GapCurve<'a> {
    /// Returns the curves of all gaps that the groups may have.
    fn all(groups: &[SeedGroup<'a>]) -> Vec<Self> {
        let refinements = SeedGroup::refinement_names_of_all(groups);
        let protocols = groups.iter().flat_map(SeedGroup::protocol_names);
        let protocols: BTreeSet<&str> = protocols.collect();
        [Self::Amortization, Self::Approximation]
            .into_iter()
            .chain(refinements.into_iter().map(Self::AfterRefinement))
            .chain(protocols.into_iter().map(Self::Optimisation))
            .collect()
    }

    fn label(self) -> String {
        match self {
            Self::Amortization => "amortization".to_owned(),
            Self::Approximation => "approximation".to_owned(),
            Self::AfterRefinement(None) => "after refinement".to_owned(),
            Self::AfterRefinement(Some(name)) => format!("after refinement, {name}"),
            Self::Optimisation(name) => format!("optimisation, {name}"),
        }
    }

    fn gap(self, cell: &Cell) -> Option<Mean> {
        match self {
            Self::Amortization => cell.amortization_gap,
            Self::Approximation => Some(cell.approximation_gap),
            Self::AfterRefinement(name) => Some(cell.refinement_of(name).last()?.gap),
            Self::Optimisation(name) => Some(cell.protocol(name)?.optimisation_gap),
        }
    }
}

/// Returns the colour and the marker of the `i`-th gap. Amortization, the first, has the second colour, and the
/// other way round.
fn gap_colour_and_marker(i: usize) -> (RGBColor, Marker) {
    let colour = match i % SERIES_COLOURS.len() {
        0 => 1,
        1 => 0,
        later => later,
    };
    (
        SERIES_COLOURS[colour],
        SERIES_MARKERS[i % SERIES_MARKERS.len()],
    )
}

fn gap_by_encoder(groups: &[SeedGroup<'_>]) -> Chart {
    let encoders = distinct_encoders(groups);
    let places = GroupPlaces {
        labels: (encoders.iter())
            .map(|e| vec![e.short_name(), grouped(e.weights)])
            .collect(),
        place_of_group: &|group| encoders.iter().position(|&e| Some(e) == group.encoder()),
        x_label: "encoder, and its number of weights",
        thickness: THICK_LINE_THICKNESS,
    };
    let (name, title) = ("amortization-gap-by-encoder", "Gaps by encoder");
    gaps_at(groups, &places, name, title)
}

/// Returns a chart of each variant's widest encoder, as [`widest_encoder`] chooses it.
fn gap_by_variant(groups: &[SeedGroup<'_>]) -> Chart {
    let variants: Vec<Option<&str>> = distinct_variants(groups);
    let places = GroupPlaces {
        labels: (variants.iter())
            .map(|&variant| {
                let widest = widest_encoder(groups, variant).map(EncoderLabel::short_name);
                vec![
                    variant.unwrap_or_default().to_owned(),
                    widest.unwrap_or_default(),
                ]
            })
            .collect(),
        place_of_group: &|group| {
            let is_widest = group.encoder() == widest_encoder(groups, group.variant());
            is_widest.then(|| variants.iter().position(|&v| v == group.variant()))?
        },
        x_label: "variant, and its widest encoder",
        thickness: NO_LINE_THICKNESS,
    };
    gaps_at(groups, &places, "gaps-by-variant", "Gaps by variant")
}

/// Returns the encoder of a variant's last group with the first objective, which is the ELBO if any encoder is
/// fitted by it. It is the one with the most capacity if the variant has one data set and family.
fn widest_encoder<'a>(groups: &[SeedGroup<'a>], variant: Option<&str>) -> Option<&'a EncoderLabel> {
    let own = || groups.iter().filter(|group| group.variant() == variant);
    let objective = own().next()?.objective();
    own()
        .rfind(|group| group.objective() == objective)?
        .encoder()
}

fn distinct_variants<'a>(groups: &[SeedGroup<'a>]) -> Vec<Option<&'a str>> {
    let mut variants: Vec<Option<&str>> = groups.iter().map(SeedGroup::variant).collect();
    variants.dedup();
    variants
}

/// The places on a chart's x axis, and the place of each group; a group without a place is not drawn.
struct GroupPlaces<'a> {
    labels: Vec<Vec<String>>,
    place_of_group: &'a dyn Fn(&SeedGroup<'_>) -> Option<usize>,
    x_label: &'static str,
    /// The thickness of lines; [`NO_LINE_THICKNESS`] if the places have no order.
    thickness: f64,
}

fn gaps_at(groups: &[SeedGroup<'_>], places: &GroupPlaces<'_>, name: &str, title: &str) -> Chart {
    let (mut legend, mut series) = (Vec::new(), Vec::new());
    for (i, curve) in GapCurve::all(groups).into_iter().enumerate() {
        let (colour, marker) = gap_colour_and_marker(i);
        for split in [Split::Test, Split::Train] {
            let style = LineStyle {
                colour,
                marker: Some(marker),
                dashed: split == Split::Train,
                thickness: places.thickness,
            };
            let of_split = groups.iter().filter(|group| group.split() == split);
            let (objectives, points): (Vec<_>, Vec<_>) = of_split
                .filter_map(|group| {
                    let place = (places.place_of_group)(group)?;
                    let point = gap_point(place, group.mean(|cell| curve.gap(cell)))?;
                    Some((group.objective(), point))
                })
                .unzip();
            // A line joins encoders of one objective.
            let line_breaks = (1..objectives.len()).filter(|&i| objectives[i - 1] != objectives[i]);
            if points.is_empty() {
                continue;
            }
            legend.push(LegendEntry {
                label: format!("{}, {split}", curve.label()),
                style,
            });
            series.push(Series {
                style,
                markers: MarkerPlacement::Every,
                line_breaks: line_breaks.collect(),
                points,
            });
        }
    }
    let panels = vec![Panel {
        title: String::new(),
        series,
    }];
    Chart {
        name: name.to_owned(),
        title: title.to_owned(),
        note: format!("Error bars: {}", error_bar_meaning(&seed_counts(groups))),
        x_label: places.x_label,
        y_label: "gap (nats per datapoint)",
        x_axis: XAxis::Categories(places.labels.clone()),
        y_scale: scale_covering(&panels),
        legend,
        panels,
        references: Vec::new(),
    }
}

fn gap_by_steps(groups: &[SeedGroup<'_>]) -> Chart {
    let refinements = SeedGroup::refinement_names_of_all(groups);
    let steps = groups.iter().flat_map(|group| {
        let names = refinements.iter();
        names.flat_map(|&name| group.refinement_steps(name))
    });
    let steps: BTreeSet<u32> = steps.collect();
    let encoders = distinct_encoders(groups);
    let style = |group: &SeedGroup<'_>, refinement: usize| {
        let encoder = encoders.iter().position(|&e| Some(e) == group.encoder());
        let i = refinement * encoders.len() + encoder.unwrap_or(0);
        LineStyle::for_nth_series(i, THICK_LINE_THICKNESS)
    };
    let with_none = || std::iter::once(0).chain(steps.iter().copied());
    let (mut legend, mut panels) = (Vec::<LegendEntry>::new(), Vec::new());
    for split in [Split::Train, Split::Test] {
        let mut series = Vec::new();
        let of_split = groups.iter().filter(|group| group.split() == split);
        let curves = of_split.flat_map(|group| {
            let refinements = refinements.iter().enumerate();
            refinements.map(move |(i, &name)| (group, i, name))
        });
        for (group, refinement, name) in curves {
            let steps = with_none().enumerate();
            let points: Vec<_> = steps
                .filter_map(|(category, steps)| {
                    gap_point(category, group.remaining_gap(name, steps))
                })
                .collect();
            // Without refinement there is only the amortization gap, which another figure shows.
            if group.refinement_steps(name).is_empty() || points.is_empty() {
                continue;
            }
            let style = style(group, refinement);
            let encoder = encoder_name(group);
            let label = match name {
                Some(name) => format!("{encoder}, {name}"),
                None => encoder,
            };
            if !legend
                .iter()
                .any(|key| (key.style, &key.label) == (style, &label))
            {
                legend.push(LegendEntry { label, style });
            }
            series.push(Series {
                style,
                markers: MarkerPlacement::Every,
                line_breaks: Vec::new(),
                points,
            });
        }
        if !series.is_empty() {
            let title = format!("{split} points");
            panels.push(Panel { title, series });
        }
    }
    let (y_scale, references) = scale_with_remaining_bound(&panels, groups);
    Chart {
        name: "gap-by-refinement-steps".to_owned(),
        title: "What remains of the gap after refinement".to_owned(),
        note: format!("Error bars: {}", error_bar_meaning(&seed_counts(groups))),
        x_label: "refinement steps from the encoder's output",
        y_label: "remaining gap (nats per datapoint)",
        x_axis: XAxis::Categories(with_none().map(|n| vec![n.to_string()]).collect()),
        y_scale,
        legend,
        panels,
        references,
    }
}

/// Returns the scale of the remaining gaps. A logarithmic one has a reference line at the largest bound on the
/// distance of `q*` to its optimum, which shows how small a gap can be told from zero.
fn scale_with_remaining_bound(
    panels: &[Panel],
    groups: &[SeedGroup<'_>],
) -> (Scale, Vec<ReferenceLine>) {
    let scale = scale_covering(panels);
    let bounds = groups
        .iter()
        .filter_map(|group| group.largest(|c| c.max_remaining_bound_nats));
    let bound = bounds.max_by(f64::total_cmp).filter(|bound| *bound > 0.0);
    match (scale, bound) {
        (Scale::Log { .. }, Some(value)) => {
            let label = "largest bound on q*'s own distance".to_owned();
            (
                scale.extended_to_include(value),
                vec![ReferenceLine { label, value }],
            )
        }
        _ => (scale, Vec::new()),
    }
}
