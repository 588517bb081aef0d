//! Averages the means of cells over seeds, for tables and figures.
//!
//! With two or more seeds, the standard error of such a mean comes from the spread of the seeds' means; with
//! one seed, it is that seed's standard error over datapoints. The two are never added. Monte Carlo error is
//! kept apart from both.

use crate::paired_column::mean_and_std_error;
use crate::pairing::encoder_sort_key;
use crate::variant::variant_sort_key;
use gap_schema::Summary;
use gap_schema::summary::{Cell, Mean};
use gap_spec::{EncoderLabel, Split};
use std::collections::{BTreeSet, HashSet};

/// Whether error bars show the spread over seeds or over datapoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpreadOver {
    Seeds,
    Datapoints,
}

impl SpreadOver {
    pub(crate) const fn from_seed_count(n_seeds: usize) -> Self {
        if n_seeds > 1 {
            Self::Seeds
        } else {
            Self::Datapoints
        }
    }
}

/// A mean over seeds, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SeedMean {
    pub(crate) mean_nats: f64,
    pub(crate) std_error_nats: f64,
    pub(crate) mc_std_error_nats: f64,
}

impl SeedMean {
    /// Averages the means of several seeds; `None` if there are none.
    pub(crate) fn new(means: &[Mean], spread: SpreadOver) -> Option<Self> {
        let first = means.first()?;
        let values: Vec<f64> = means.iter().map(|mean| mean.mean_nats).collect();
        let mc_variances = means.iter().map(|mean| mean.mc_std_error_nats.powi(2));
        let (mean_nats, over_seeds) = mean_and_std_error(&values);
        Some(Self {
            mean_nats,
            std_error_nats: match spread {
                SpreadOver::Seeds => over_seeds,
                SpreadOver::Datapoints => first.std_error_nats,
            },
            mc_std_error_nats: mc_variances.sum::<f64>().sqrt() / means.len() as f64,
        })
    }
}

/// The cells of one variant, encoder and split, one for each seed.
pub(crate) struct SeedGroup<'a> {
    pub(crate) cells: Vec<&'a Cell>,
}

impl<'a> SeedGroup<'a> {
    /// Returns the groups of a summary, sorted by variant, data set and family, then by the encoder's objective
    /// and capacity, then with training before test points.
    pub(crate) fn group_summary_cells(summary: &'a Summary) -> Vec<Self> {
        let mut cells: Vec<&Cell> = summary.cells.iter().collect();
        cells.sort_by(|a, b| group_key(a).cmp(&group_key(b)).then(a.seed.cmp(&b.seed)));
        cells
            .chunk_by(|a, b| group_key(a) == group_key(b))
            .map(|cells| Self {
                cells: cells.to_vec(),
            })
            .collect()
    }

    pub(crate) fn variant(&self) -> Option<&'a str> {
        self.cells[0].variant.as_deref()
    }

    pub(crate) fn encoder(&self) -> Option<&'a EncoderLabel> {
        self.cells[0].encoder.as_ref()
    }

    /// Returns the objective of the group's encoder; `None` for the ELBO, and without an encoder.
    pub(crate) fn objective(&self) -> Option<&'a str> {
        self.encoder()?.objective.as_deref()
    }

    pub(crate) fn split(&self) -> Split {
        self.cells[0].split
    }

    pub(crate) fn n_seeds(&self) -> usize {
        self.cells.len()
    }

    /// Returns the groups with a model that no earlier group has on the same points. Estimates that belong to
    /// the model alone are thereby shown once for all encoders that share its decoder.
    pub(crate) fn groups_of_distinct_models(summary: &'a Summary) -> Vec<Self> {
        let mut seen = HashSet::new();
        let mut groups = Self::group_summary_cells(summary);
        groups.retain(|group| {
            let models = group.cells.iter().map(|cell| {
                let variant = cell.variant.as_deref();
                (variant, &cell.dataset, cell.split, cell.seed, &cell.model)
            });
            // `count` visits every model, so that all of them are marked as seen.
            models.filter(|model| seen.insert(*model)).count() > 0
        });
        groups
    }

    /// Returns the mean of a quantity over the seeds that have it; `None` if no seed does.
    pub(crate) fn mean(&self, quantity: impl Fn(&Cell) -> Option<Mean>) -> Option<SeedMean> {
        let means: Vec<Mean> = self.cells.iter().filter_map(|c| quantity(c)).collect();
        SeedMean::new(&means, SpreadOver::from_seed_count(self.n_seeds()))
    }

    /// Returns the mean of a plain number over the seeds that have it; `None` if no seed does.
    pub(crate) fn average(&self, quantity: impl Fn(&Cell) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.cells.iter().filter_map(|c| quantity(c)).collect();
        (!values.is_empty()).then(|| mean_and_std_error(&values).0)
    }

    /// Returns the sum of a count over the seeds.
    pub(crate) fn total(&self, count: impl Fn(&Cell) -> u64) -> u64 {
        self.cells.iter().map(|cell| count(cell)).sum()
    }

    /// Returns the largest value of a number over the seeds that have it.
    pub(crate) fn largest(&self, quantity: impl Fn(&Cell) -> Option<f64>) -> Option<f64> {
        let values = self.cells.iter().filter_map(|c| quantity(c));
        values.max_by(f64::total_cmp)
    }

    /// Returns the refinements that any seed has: `None` for `[refinement]`, then the names of the others.
    pub(crate) fn refinement_names(&self) -> BTreeSet<Option<&'a str>> {
        let of_cell = |cell: &&'a Cell| {
            let unnamed = (!cell.refinement.is_empty()).then_some(None);
            let named = cell.refinements.iter();
            let named = named.map(|refinement| Some(refinement.name.as_str()));
            unnamed.into_iter().chain(named)
        };
        self.cells.iter().flat_map(of_cell).collect()
    }

    /// Returns the refinements that any of the groups has.
    pub(crate) fn refinement_names_of_all(groups: &[Self]) -> BTreeSet<Option<&'a str>> {
        groups.iter().flat_map(Self::refinement_names).collect()
    }

    /// Returns the names of the protocols that any seed has.
    pub(crate) fn protocol_names(&self) -> BTreeSet<&'a str> {
        let protocols = self.cells.iter().flat_map(|cell| &cell.protocols);
        protocols.map(|protocol| protocol.name.as_str()).collect()
    }

    /// Returns the numbers of steps of a refinement that any seed has, in increasing order.
    pub(crate) fn refinement_steps(&self, name: Option<&str>) -> Vec<u32> {
        let points = self.cells.iter().flat_map(|cell| cell.refinement_of(name));
        let mut steps: Vec<u32> = points.map(|point| point.steps).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Returns the gap that remains after `steps` of a refinement; for 0 steps, this is the amortization gap.
    pub(crate) fn remaining_gap(&self, name: Option<&str>, steps: u32) -> Option<SeedMean> {
        self.mean(|cell| match steps {
            0 => cell.amortization_gap,
            _ => {
                let mut points = cell.refinement_of(name).iter();
                points.find(|point| point.steps == steps).map(|p| p.gap)
            }
        })
    }
}

fn group_key(cell: &Cell) -> impl Ord + use<'_> {
    let encoder = encoder_sort_key(cell.encoder.as_ref());
    let variant = variant_sort_key(cell.variant.as_deref());
    (variant, &cell.dataset, cell.family, encoder, cell.split)
}

/// Returns the end of a sentence that says what `±` and error bars mean for groups with these numbers of seeds.
pub(crate) fn error_bar_meaning(n_seeds: &[usize]) -> String {
    let over_seeds = |n: &&usize| SpreadOver::from_seed_count(**n) == SpreadOver::Seeds;
    match n_seeds.iter().filter(over_seeds).count() {
        0 => "one standard error over datapoints; there is one seed, so it says nothing about \
              the spread over fits."
            .to_owned(),
        n if n == n_seeds.len() => {
            let (fewest, most) = (n_seeds.iter().min(), n_seeds.iter().max());
            let (fewest, most) = (fewest.unwrap_or(&0), most.unwrap_or(&0));
            let seeds = if fewest == most {
                fewest.to_string()
            } else {
                format!("{fewest} to {most}")
            };
            format!("one standard error over {seeds} seeds, from the spread of the seeds' means.")
        }
        _ => "one standard error over seeds where a row has at least two of them, and over \
              datapoints where it has one."
            .to_owned(),
    }
}

/// Returns the number of seeds of each group.
pub(crate) fn seed_counts(groups: &[SeedGroup<'_>]) -> Vec<usize> {
    groups.iter().map(SeedGroup::n_seeds).collect()
}

/// Returns the split that sentences report on: test if any group has test points, training otherwise.
pub(crate) fn reported_split(groups: &[SeedGroup<'_>]) -> Split {
    if groups.iter().any(|group| group.split() == Split::Test) {
        Split::Test
    } else {
        Split::Train
    }
}
