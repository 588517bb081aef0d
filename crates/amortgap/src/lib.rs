//! What amortization costs in variational inference, measured on a model and an encoder of your own.
//!
//! [`measure`] does for them what an experiment does for its own: it searches the optimum `q*` of each datapoint with a
//! certificate, evaluates the encoder's `q` and its refinements on the same draws, and gives the gaps with their
//! paired standard errors. A whole program:
//!
//! ```no_run
#![doc = include_str!("../examples/own_model.rs")]
//! ```
//!
//! The command line, for experiments in files, is the program of this package.
#![cfg(feature = "compute")]

pub use gap_harness::RunError;
pub use gap_harness::own_model::MeasureSettings;
pub use gap_infer::{Encode, Encoder, VariationalParams};
pub use gap_model::{LatentVariableModel, ModelError};
pub use gap_schema::Record;
pub use gap_schema::summary::{Cell, Mean};
pub use gap_spec::{BoundSpec, Count, Family, FreeFormSpec, RefinementSpec, Start};
pub use tch;

use gap_schema::results::ResultRows;
use tch::Tensor;

/// What [`measure`] found.
#[derive(Clone, Debug)]
pub struct Gaps {
    /// Means over the datapoints, with their standard errors and counts: what `summary.json` has of one encoder on one
    /// part of the data.
    pub cell: Cell,
    /// A row for each datapoint, method and estimator, as in `records.parquet`.
    pub records: Vec<Record>,
}

impl Gaps {
    /// `L[q*] − L[q]` of the encoder's `q`, nats; `None` without an encoder.
    pub const fn amortization_gap(&self) -> Option<&Mean> {
        self.cell.amortization_gap.as_ref()
    }

    /// `log p(x) − L[q*]`, nats, where `log p(x)` is the best bound that was measured.
    pub const fn approximation_gap(&self) -> &Mean {
        &self.cell.approximation_gap
    }
}

/// Measures the gaps of `model` at the observations `x`, `[N, X]`; without an encoder, only what the family misses.
///
/// ELBOs are lower bounds of `log p(x)` whose error is in [`Mean::mc_std_error_nats`]; `q*` is within
/// [`FreeFormSpec::tolerance_nats`] of the optimum at all datapoints but [`Cell::unconverged`].
///
/// # Errors
///
/// [`RunError::Stage`] if sizes do not fit, there are no observations, or the model or the encoder fails.
pub fn measure(
    model: &dyn LatentVariableModel,
    encoder: Option<&dyn Encode>,
    x: &Tensor,
    settings: &MeasureSettings,
) -> Result<Gaps, RunError> {
    let records = gap_harness::own_model::measure_own_model(model, encoder, x, settings)?;
    let rows = ResultRows {
        records,
        ..ResultRows::default()
    };
    let cell = gap_report::summarize("own", &rows).cells.into_iter().next();
    Ok(Gaps {
        cell: cell.ok_or_else(|| RunError::Stage("there are no observations".to_owned()))?,
        records: rows.records,
    })
}
