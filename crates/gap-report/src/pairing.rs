//! Joins the rows of a run by datapoint, so that gaps are differences on the same points.
//!
//! Rows of free-form inference and of the model itself belong to a model; all other rows belong to one of its
//! encoders. The cell of each encoder also contains the rows of its model. Nothing is averaged here.

use crate::variant::variant_sort_key;
use gap_schema::record::Record;
use gap_spec::{EncoderLabel, Estimator, Family, Method, Split};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One quantity that is measured on a datapoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MeasuredQuantity<'a> {
    pub(crate) method: Method,
    /// See [`Record::method_name`].
    pub(crate) name: Option<&'a str>,
    pub(crate) steps: Option<u32>,
    pub(crate) estimator: Estimator,
}

impl<'a> MeasuredQuantity<'a> {
    pub(crate) const fn new(method: Method, estimator: Estimator) -> Self {
        Self {
            method,
            name: None,
            steps: None,
            estimator,
        }
    }

    /// The ELBO after `steps` of the refinement with this name, or of `[refinement]`.
    pub(crate) const fn refined_elbo(name: Option<&'a str>, steps: u32) -> Self {
        Self {
            method: Method::Refined,
            name,
            steps: Some(steps),
            estimator: Estimator::Elbo,
        }
    }

    /// The ELBO of what the protocol with this name found.
    pub(crate) const fn protocol_elbo(name: &'a str) -> Self {
        Self {
            name: Some(name),
            ..Self::new(Method::FreeForm, Estimator::Elbo)
        }
    }
}

/// The record of each quantity that was measured on one datapoint.
pub(crate) type DatapointTerms<'a> = BTreeMap<MeasuredQuantity<'a>, &'a Record>;

/// The paired rows of one variant, model, encoder and split.
pub(crate) struct PairedCell<'a> {
    pub(crate) variant: Option<&'a str>,
    pub(crate) dataset: &'a str,
    pub(crate) model: &'a str,
    pub(crate) seed: u64,
    pub(crate) family: Family,
    pub(crate) split: Split,
    pub(crate) encoder: Option<&'a EncoderLabel>,
    /// The datapoints in the order of their numbers; all of them have the same quantities.
    pub(crate) points: Vec<DatapointTerms<'a>>,
}

/// Orders encoders by objective, the ELBO first, and then by capacity: by kind (linear, perceptron,
/// convolutional), then by the number of weights.
pub(crate) fn encoder_sort_key(encoder: Option<&EncoderLabel>) -> impl Ord + use<'_> {
    encoder.map(|e| {
        let capacity = (e.kind, e.weights, e.hidden.as_slice(), e.context);
        (e.objective.as_deref(), capacity)
    })
}

#[derive(PartialEq, Eq, Hash)]
struct GroupKey<'a> {
    variant: Option<&'a str>,
    dataset: &'a str,
    model: &'a str,
    seed: u64,
    family: Family,
    split: Split,
}

type EncoderRows<'a> = HashMap<Option<&'a EncoderLabel>, DatapointTerms<'a>>;

/// Pairs `records`; the result does not depend on their order.
///
/// A datapoint that lacks a quantity which other datapoints of its cell have is left out, so that all
/// quantities of a cell cover the same points. An interrupted run has such datapoints.
pub(crate) fn pair_records<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<PairedCell<'a>> {
    let mut groups: HashMap<GroupKey<'a>, HashMap<u64, EncoderRows<'a>>> = HashMap::new();
    for record in records {
        let key = GroupKey {
            variant: record.variant.as_deref(),
            dataset: &record.dataset,
            model: &record.model,
            seed: record.seed,
            family: record.family,
            split: record.split,
        };
        let term = MeasuredQuantity {
            method: record.method,
            name: record.method_name.as_deref(),
            steps: record.refinement_steps,
            estimator: record.estimator,
        };
        groups
            .entry(key)
            .or_default()
            .entry(record.datapoint)
            .or_default()
            .entry(record.encoder.as_ref())
            .or_default()
            .entry(term)
            .and_modify(|kept| *kept = preferred_record(kept, record))
            .or_insert(record);
    }
    let mut cells: Vec<PairedCell<'a>> = groups
        .into_iter()
        .flat_map(|(key, points)| cells_of_group(&key, points))
        .collect();
    cells.sort_by(|a, b| {
        let place = |cell: &PairedCell<'_>| (cell.seed, cell.family, cell.split);
        let a_place = (
            a.seed,
            encoder_sort_key(a.encoder),
            a.dataset,
            a.model,
            place(a),
        );
        let variants = variant_sort_key(a.variant).cmp(&variant_sort_key(b.variant));
        variants.then(a_place.cmp(&(
            b.seed,
            encoder_sort_key(b.encoder),
            b.dataset,
            b.model,
            place(b),
        )))
    });
    cells
}

/// Chooses between two rows of the same quantity: the one with more draws wins. If these are equal, a NaN wins
/// over a number, so that it is not hidden.
fn preferred_record<'a>(a: &'a Record, b: &'a Record) -> &'a Record {
    let order = a
        .n_samples
        .cmp(&b.n_samples)
        .then(a.value_nats.abs().total_cmp(&b.value_nats.abs()))
        .then(a.std_error_nats.total_cmp(&b.std_error_nats))
        .then(a.seconds.total_cmp(&b.seconds));
    if order.is_lt() { b } else { a }
}

fn cells_of_group<'a>(
    key: &GroupKey<'a>,
    points: HashMap<u64, EncoderRows<'a>>,
) -> Vec<PairedCell<'a>> {
    let mut points: Vec<(u64, EncoderRows<'a>)> = points.into_iter().collect();
    points.sort_by_key(|(datapoint, _)| *datapoint);
    let encoders: BTreeSet<&EncoderLabel> = points
        .iter()
        .flat_map(|(_, rows)| rows.keys().copied().flatten())
        .collect();
    let encoders: Vec<Option<&EncoderLabel>> = if encoders.is_empty() {
        vec![None]
    } else {
        encoders.into_iter().map(Some).collect()
    };
    encoders
        .into_iter()
        .map(|encoder| {
            let merged: Vec<DatapointTerms<'a>> = points
                .iter()
                .map(|(_, rows)| {
                    let own = encoder.and_then(|_| rows.get(&encoder));
                    let shared = rows.get(&None);
                    shared
                        .into_iter()
                        .chain(own)
                        .flatten()
                        .map(|(&term, &record)| (term, record))
                        .collect()
                })
                .collect();
            PairedCell {
                variant: key.variant,
                dataset: key.dataset,
                model: key.model,
                seed: key.seed,
                family: key.family,
                split: key.split,
                encoder,
                points: keep_complete_points(merged),
            }
        })
        .collect()
}

fn keep_complete_points(points: Vec<DatapointTerms<'_>>) -> Vec<DatapointTerms<'_>> {
    let all: BTreeSet<MeasuredQuantity<'_>> =
        points.iter().flat_map(|p| p.keys().copied()).collect();
    points
        .into_iter()
        .filter(|p| p.len() == all.len())
        .collect()
}
