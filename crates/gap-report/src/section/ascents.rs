//! Ascents: what each cost until it stayed within tolerance of the optimum, and where it ended.

mod analysis;
mod figures;
mod tables;

use super::interface::{AnalysisInput, Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::figure::{Figure, as_boxed_figures};
use crate::table::Table;
use gap_schema::Summary;

pub(super) struct AscentsSection;

impl Section for AscentsSection {
    fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
        summary.ascents = analysis::ascent_cells(&input.rows.trace);
    }

    fn has_standalone_results(&self, summary: &Summary) -> bool {
        !summary.ascents.is_empty()
    }

    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        tables::ascents_table(summary).into_vec_unless_empty()
    }

    fn figures(&self, content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        as_boxed_figures(figures::ascent_charts(&content.rows.trace))
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let table = tables::ascents_table(content.summary);
        let mut chapter = Chapter::of_table(PagePlace::Lead, "Ascents", table);
        if let Some(chapter) = &mut chapter {
            chapter.blocks.push(Block::Figures(
                "The times that the table gives are where a line crosses the dashed one for good.",
            ));
        }
        chapter.into_iter().collect()
    }
}
