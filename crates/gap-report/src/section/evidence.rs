//! The evidence: all estimates of `log p(x)`, and the one that gaps are computed from.

pub(super) mod analysis;
mod figures;
mod tables;

use super::interface::{Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::figure::{Figure, as_boxed_figures};
use crate::table::Table;
use gap_schema::Summary;

/// This section has no analysis of its own: the analysis of gaps computes its numbers.
pub(super) struct EvidenceSection;

impl Section for EvidenceSection {
    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        let is_new = tables::has_evidence_beyond_draws(summary);
        is_new
            .then(|| tables::evidence_table(summary))
            .into_iter()
            .collect()
    }

    fn figures(&self, content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        as_boxed_figures(figures::evidence_charts(content.summary))
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let mut chapter = Chapter::of_table(
            PagePlace::Evidence,
            "Evidence",
            tables::evidence_table(content.summary),
        );
        if let Some(chapter) = &mut chapter {
            chapter.blocks.push(Block::Figures(""));
            chapter.blocks.push(Block::paragraph(EVIDENCE_CHOICE_NOTE));
        }
        chapter.into_iter().collect()
    }
}

const EVIDENCE_CHOICE_NOTE: &str = "log p̂(x) is the exact value where the model has one, and otherwise the lower bound whose mean over the data is the highest. It is chosen for the data set as a whole: the higher of two noisy bounds at each datapoint would lie above log p(x) where both are near it. An estimate on neither side, as that from smoothed weights, is never chosen. The bounds of each encoder's <i>q</i> are under \"Bounds\".";
