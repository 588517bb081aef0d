//! From the rows of a run to its summary: what each section makes of them.

use crate::columns::{FREE_FORM_ELBO_QUANTITY, FREE_FORM_IW_QUANTITY};
use crate::pairing::{PairedCell, pair_records};
use crate::section::{AnalysisInput, SECTIONS};
use gap_schema::results::ResultRows;
use gap_schema::{SCHEMA_VERSION, Summary};
use gap_spec::Split;

/// The gaps of a run, one cell for each variant, model, encoder and split, and what else it measured:
/// ascents, sandwiches on simulated points, and calibrations.
///
/// Cells come by variant, then by seed, then by capacity of the encoder (linear first, then by weights),
/// then training before test points; the order of rows has no effect. A cell whose free-form ELBO and
/// importance-weighted bound were not measured is left out; points that a model drew itself are in no
/// cell.
///
/// Gaps are taken from the exact `log p(x)` where there is one, and otherwise from the lower bound with
/// the highest mean over the cell, as [`gap_schema::summary::BestMeanLogEvidence::estimator`] explains.
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
        cost: Vec::new(), // A run knows.
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
