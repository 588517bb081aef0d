//! Calibrations: whether the standard errors that estimators report are correct.

mod analysis;
mod figures;
mod prose;
mod tables;

use super::interface::{AnalysisInput, Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::csv::{CsvRow, flatten_to_csv_row};
use crate::figure::{Figure, as_boxed_figures};
use crate::table::Table;
use gap_schema::Summary;

pub(super) struct CalibrationsSection;

impl Section for CalibrationsSection {
    fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
        summary.calibration = analysis::summarize_calibrations(&input.rows.calibration);
    }

    fn has_standalone_results(&self, summary: &Summary) -> bool {
        !summary.calibration.is_empty()
    }

    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        tables::calibrations_table(summary).into_vec_unless_empty()
    }

    /// Returns one line for each calibration.
    fn csv_rows(&self, summary: &Summary) -> Result<Vec<CsvRow>, serde_json::Error> {
        summary.calibration.iter().map(flatten_to_csv_row).collect()
    }

    fn figures(&self, content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        as_boxed_figures(figures::calibration_charts(content.summary))
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let table = tables::calibrations_table(content.summary);
        let heading = "Calibration: are the reported errors true?";
        let mut chapter = Chapter::of_table(PagePlace::Lead, heading, table);
        if let Some(chapter) = &mut chapter {
            chapter.blocks.push(Block::Figures(""));
            chapter.blocks.extend(prose::coverage_explanation());
        }
        chapter.into_iter().collect()
    }
}
