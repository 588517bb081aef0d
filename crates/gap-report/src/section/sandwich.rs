//! The sandwiches: bounds on `log p(x)` from both sides, on points that a model drew itself.

mod analysis;
mod tables;

use super::interface::{AnalysisInput, Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::table::Table;
use gap_schema::Summary;

pub(super) struct SandwichesSection;

impl Section for SandwichesSection {
    fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
        summary.sandwich = analysis::evidence_sandwiches(&input.rows.records);
        analysis::add_sandwich_widths_to_cells(&summary.sandwich, &mut summary.cells);
    }

    fn has_standalone_results(&self, summary: &Summary) -> bool {
        !summary.sandwich.is_empty()
    }

    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        tables::sandwiches_table(summary).into_vec_unless_empty()
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let summary = content.summary;
        let place = if summary.cells.is_empty() {
            PagePlace::Lead
        } else {
            PagePlace::Evidence
        };
        let mut chapter = Chapter::of_table(place, "Sandwich", tables::sandwiches_table(summary));
        if let Some(chapter) = &mut chapter {
            chapter.blocks.push(Block::paragraph(SANDWICH_MEANING_NOTE));
        }
        chapter.into_iter().collect()
    }
}

const SANDWICH_MEANING_NOTE: &str = "On a point that the model drew, a draw of the posterior is known, from which annealing can run backwards and bound log p(x) from above. The width bounds the error of the annealed lower bound there, Monte Carlo error apart. Data that the model did not draw may be harder: there it is what to expect of the same settings, not a bound.";
