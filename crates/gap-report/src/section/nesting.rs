//! Nested families: whether the search in a larger family ended at a higher ELBO than in the smaller families
//! that it contains.

mod analysis;
mod prose;
mod tables;

use super::interface::{AnalysisInput, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::table::Table;
use gap_schema::Summary;

pub(super) struct NestingSection;

impl Section for NestingSection {
    fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
        summary.nesting = analysis::compare_nested_families(input.cells);
    }

    fn outcome_sentences(&self, summary: &Summary) -> Vec<String> {
        prose::nesting_sentences(summary)
    }

    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        tables::nesting_table(summary).into_vec_unless_empty()
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let table = tables::nesting_table(content.summary);
        let chapter = Chapter::of_table(PagePlace::Families, "Families within families", table);
        chapter.into_iter().collect()
    }
}
