//! The terms of a cell as columns over its datapoints, and which of these count.
//!
//! A datapoint with any value that is not finite is in no column, so that all columns of a cell are on
//! the same datapoints and can be subtracted.

use crate::paired_column::PairedColumn;
use crate::pairing::{MeasuredQuantity, PairedCell};
use gap_schema::record::Record;
use gap_schema::summary::Cost;
use gap_spec::{Estimator, Method, StopKind};

pub(crate) const FREE_FORM_ELBO: MeasuredQuantity =
    MeasuredQuantity::new(Method::FreeForm, Estimator::Elbo);
pub(crate) const FREE_FORM_IW: MeasuredQuantity =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ImportanceWeighted);
pub(crate) const FREE_FORM_EXACT: MeasuredQuantity =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ExactElbo);
pub(crate) const AMORTIZED_ELBO: MeasuredQuantity =
    MeasuredQuantity::new(Method::Amortized, Estimator::Elbo);
pub(crate) const AMORTIZED_IW: MeasuredQuantity =
    MeasuredQuantity::new(Method::Amortized, Estimator::ImportanceWeighted);
pub(crate) const AMORTIZED_EXACT: MeasuredQuantity =
    MeasuredQuantity::new(Method::Amortized, Estimator::ExactElbo);
pub(crate) const FREE_FORM_SMOOTHED: MeasuredQuantity =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ParetoSmoothed);
pub(crate) const ADAPTIVE_IW: MeasuredQuantity =
    MeasuredQuantity::new(Method::Model, Estimator::AdaptiveImportanceWeighted);
pub(crate) const ANNEALED: MeasuredQuantity =
    MeasuredQuantity::new(Method::Model, Estimator::Annealed);
pub(crate) const ANNEALED_REVERSE: MeasuredQuantity =
    MeasuredQuantity::new(Method::Model, Estimator::AnnealedReverse);
pub(crate) const CLOSED_FORM: MeasuredQuantity =
    MeasuredQuantity::new(Method::Model, Estimator::ClosedForm);
pub(crate) const OPTIMAL_ELBO: MeasuredQuantity =
    MeasuredQuantity::new(Method::Model, Estimator::OptimalElbo);

/// The datapoints of a cell that count, as columns.
pub(crate) struct CellColumns<'a> {
    pub(crate) cell: &'a PairedCell<'a>,
    pub(crate) finite: Vec<bool>,
}

impl<'a> CellColumns<'a> {
    pub(crate) fn new(cell: &'a PairedCell<'a>) -> Self {
        let is_finite = |r: &&Record| r.value_nats.is_finite() && r.stop != StopKind::NonFinite;
        let finite = cell
            .points
            .iter()
            .map(|point| point.values().all(is_finite))
            .collect();
        Self { cell, finite }
    }

    pub(crate) fn has(&self, term: MeasuredQuantity) -> bool {
        self.all_rows(term).next().is_some()
    }

    /// The terms that were measured.
    pub(crate) fn terms(&self) -> impl Iterator<Item = MeasuredQuantity> + use<'a> {
        let first = self.cell.points.first();
        first.into_iter().flat_map(|point| point.keys().copied())
    }

    pub(crate) fn non_finite(&self) -> u64 {
        self.finite.iter().filter(|finite| !**finite).count() as u64
    }

    pub(crate) fn rows_of_all_terms(&self) -> impl Iterator<Item = &'a Record> + use<'a> {
        let points = self.cell.points.iter();
        points.flat_map(|point| point.values().copied())
    }

    pub(crate) fn all_rows(&self, term: MeasuredQuantity) -> impl Iterator<Item = &'a Record> {
        let points = self.cell.points.iter();
        points.filter_map(move |point| point.get(&term).copied())
    }

    pub(crate) fn rows(&self, term: MeasuredQuantity) -> impl Iterator<Item = &'a Record> {
        let rows = self.all_rows(term).zip(&self.finite);
        rows.filter(|(_, finite)| **finite).map(|(row, _)| row)
    }

    /// The term on the finite datapoints; `None` if it was not measured.
    pub(crate) fn get(&self, term: MeasuredQuantity) -> Option<PairedColumn> {
        self.has(term)
            .then(|| PairedColumn::from_records(self.rows(term)))
    }

    /// What the term's `q` cost, on all datapoints.
    pub(crate) fn cost(&self, term: MeasuredQuantity) -> Option<Cost> {
        let n = self.all_rows(term).count();
        (n > 0).then(|| Cost {
            seconds: self.all_rows(term).map(|r| r.seconds).sum(),
            joint_gradients: self.all_rows(term).map(|r| r.joint_gradients).sum::<u64>() as f64
                / n as f64,
        })
    }

    pub(crate) fn draws(&self, term: MeasuredQuantity) -> u64 {
        self.all_rows(term).map(|r| r.n_samples).max().unwrap_or(0)
    }

    /// The numbers of refinement steps with an ELBO, rising.
    pub(crate) fn refinement_steps(&self) -> Vec<u32> {
        self.terms()
            .filter(|t| t.method == Method::Refined && t.estimator == Estimator::Elbo)
            .filter_map(|t| t.steps)
            .collect()
    }
}
