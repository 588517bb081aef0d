//! The quantities of a cell as columns over its datapoints.
//!
//! A datapoint with any value that is not finite is in no column, so all columns of a cell cover the same
//! datapoints and can be subtracted.

use crate::paired_column::PairedColumn;
use crate::pairing::{MeasuredQuantity, PairedCell};
use gap_schema::record::Record;
use gap_schema::summary::Cost;
use gap_spec::{Estimator, Method, StopKind};

pub(crate) const FREE_FORM_ELBO_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::FreeForm, Estimator::Elbo);
pub(crate) const FREE_FORM_IW_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ImportanceWeighted);
pub(crate) const FREE_FORM_EXACT_ELBO_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ExactElbo);
pub(crate) const AMORTIZED_ELBO_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Amortized, Estimator::Elbo);
pub(crate) const AMORTIZED_IW_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Amortized, Estimator::ImportanceWeighted);
pub(crate) const AMORTIZED_EXACT_ELBO_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Amortized, Estimator::ExactElbo);
pub(crate) const FREE_FORM_PARETO_SMOOTHED_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::FreeForm, Estimator::ParetoSmoothed);
pub(crate) const ADAPTIVE_IW_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Model, Estimator::AdaptiveImportanceWeighted);
pub(crate) const ANNEALED_EVIDENCE_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Model, Estimator::Annealed);
pub(crate) const ANNEALED_REVERSE_EVIDENCE_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Model, Estimator::AnnealedReverse);
pub(crate) const CLOSED_FORM_EVIDENCE_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Model, Estimator::ClosedForm);
pub(crate) const OPTIMAL_ELBO_QUANTITY: MeasuredQuantity<'static> =
    MeasuredQuantity::new(Method::Model, Estimator::OptimalElbo);

/// A cell whose quantities can be read as columns over its finite datapoints. `finite` says for each datapoint
/// whether all its values are finite, without those of named refinements and protocols: whether one of these fails at
/// a datapoint changes nothing about the others.
pub(crate) struct CellColumns<'a> {
    pub(crate) cell: &'a PairedCell<'a>,
    pub(crate) finite: Vec<bool>,
}

impl<'a> CellColumns<'a> {
    pub(crate) fn new(cell: &'a PairedCell<'a>) -> Self {
        Self::over_points_finite_in(cell, |quantity| quantity.name.is_none())
    }

    /// The same columns over the datapoints where the values of the refinement or the protocol `name` are finite too.
    pub(crate) fn including(&self, name: &str) -> Self {
        Self::over_points_finite_in(self.cell, |quantity| {
            quantity.name.is_none_or(|own| own == name)
        })
    }

    fn over_points_finite_in(
        cell: &'a PairedCell<'a>,
        counts: impl Fn(&MeasuredQuantity<'a>) -> bool,
    ) -> Self {
        let is_finite = |r: &Record| r.value_nats.is_finite() && r.stop != StopKind::NonFinite;
        let points = cell.points.iter();
        let finite = points.map(|point| {
            let mut own = point.iter().filter(|(quantity, _)| counts(quantity));
            own.all(|(_, record)| is_finite(record))
        });
        Self {
            finite: finite.collect(),
            cell,
        }
    }

    pub(crate) fn has_quantity(&self, term: MeasuredQuantity<'a>) -> bool {
        self.records_of_quantity(term).next().is_some()
    }

    /// Returns the quantities that were measured.
    pub(crate) fn measured_quantities(
        &self,
    ) -> impl Iterator<Item = MeasuredQuantity<'a>> + use<'a> {
        let first = self.cell.points.first();
        first.into_iter().flat_map(|point| point.keys().copied())
    }

    pub(crate) fn n_non_finite_points(&self) -> u64 {
        self.finite.iter().filter(|finite| !**finite).count() as u64
    }

    /// The records of all quantities but those of named refinements and protocols.
    pub(crate) fn records_of_unnamed_quantities(
        &self,
    ) -> impl Iterator<Item = &'a Record> + use<'a> {
        let points = self.cell.points.iter();
        let quantities = points.flat_map(|point| point.iter());
        let unnamed = quantities.filter(|(quantity, _)| quantity.name.is_none());
        unnamed.map(|(_, record)| *record)
    }

    pub(crate) fn records_of_quantity(
        &self,
        term: MeasuredQuantity<'a>,
    ) -> impl Iterator<Item = &'a Record> {
        let points = self.cell.points.iter();
        points.filter_map(move |point| point.get(&term).copied())
    }

    pub(crate) fn finite_records_of_quantity(
        &self,
        term: MeasuredQuantity<'a>,
    ) -> impl Iterator<Item = &'a Record> {
        let rows = self.records_of_quantity(term).zip(&self.finite);
        rows.filter(|(_, finite)| **finite).map(|(row, _)| row)
    }

    /// Returns the column of a quantity over the finite datapoints; `None` if it was not measured.
    pub(crate) fn finite_column(&self, term: MeasuredQuantity<'a>) -> Option<PairedColumn> {
        self.has_quantity(term)
            .then(|| PairedColumn::from_records(self.finite_records_of_quantity(term)))
    }

    /// Returns the cost of the `q` that a quantity was estimated from: seconds for all datapoints together,
    /// finite or not, and joint gradients per datapoint; `None` if it was not measured.
    pub(crate) fn inference_cost(&self, term: MeasuredQuantity<'a>) -> Option<Cost> {
        let n = self.records_of_quantity(term).count();
        (n > 0).then(|| Cost {
            seconds: self.records_of_quantity(term).map(|r| r.seconds).sum(),
            joint_gradients: self
                .records_of_quantity(term)
                .map(|r| r.joint_gradients)
                .sum::<u64>() as f64
                / n as f64,
        })
    }

    pub(crate) fn max_samples(&self, term: MeasuredQuantity<'a>) -> u64 {
        self.records_of_quantity(term)
            .map(|r| r.n_samples)
            .max()
            .unwrap_or(0)
    }

    /// Returns the numbers of steps of a refinement after which an ELBO was measured, in increasing order.
    pub(crate) fn refinement_steps(&self, name: Option<&str>) -> Vec<u32> {
        self.measured_quantities()
            .filter(|t| t.method == Method::Refined && t.estimator == Estimator::Elbo)
            .filter(|t| t.name == name)
            .filter_map(|t| t.steps)
            .collect()
    }

    /// Returns the names of the refinements, or of the protocols, that are in the cell, in their order.
    pub(crate) fn names_of(&self, method: Method) -> Vec<&'a str> {
        let quantities = self.measured_quantities().filter(|t| t.method == method);
        let mut names: Vec<&'a str> = quantities.filter_map(|t| t.name).collect();
        names.dedup();
        names
    }
}
