//! From the rows of a run to its summary, by the analysis of each section.

use crate::columns::{FREE_FORM_ELBO_QUANTITY, FREE_FORM_IW_QUANTITY};
use crate::pairing::{PairedCell, pair_records};
use crate::section::{AnalysisInput, SECTIONS};
use gap_schema::results::ResultRows;
use gap_schema::{SCHEMA_VERSION, Summary};
use gap_spec::Split;

/// Summarizes a run: its gaps, one cell for each variant, model, encoder and split, and whatever else it
/// measured, such as ascents, sandwiches on simulated points, and calibrations.
///
/// Cells are sorted by variant, then by seed, then by capacity of the encoder (linear first; within a kind, by
/// weights), then training before test points; the order of rows has no effect. A cell without a free-form ELBO
/// or a free-form importance-weighted bound is left out. Points that a model drew itself are in no cell.
///
/// Gaps are computed from the exact `log p(x)` if it is known, and otherwise from the lower bound with the
/// highest mean over the cell; [`gap_schema::summary::BestMeanLogEvidence::estimator`] says why.
pub fn summarize(experiment: &str, rows: &ResultRows) -> Summary {
    let records = rows.records.iter();
    let cells: Vec<PairedCell<'_>> = pair_records(records.filter(|r| r.split != Split::Simulated))
        .into_iter()
        .filter(|cell| {
            let has = |term| cell.points.first().is_some_and(|p| p.contains_key(&term));
            has(FREE_FORM_ELBO_QUANTITY) && has(FREE_FORM_IW_QUANTITY)
        })
        .collect();
    let mut summary = Summary {
        schema: SCHEMA_VERSION,
        experiment: experiment.to_owned(),
        cells: Vec::new(),
        nesting: Vec::new(),
        sandwich: Vec::new(),
        calibration: Vec::new(),
        ascents: Vec::new(),
        cost: Vec::new(), // Not in the rows; the caller adds it.
    };
    let input = AnalysisInput {
        rows,
        cells: &cells,
    };
    for section in &SECTIONS {
        section.analyse(&input, &mut summary);
    }
    summary
}
