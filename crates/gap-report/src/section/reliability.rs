//! Reliability: how far the gaps can be trusted, and how they compare with closed forms.

pub(super) mod analysis;
mod prose;
mod tables;

use super::interface::{Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use gap_schema::Summary;

/// This section has no analysis of its own: the analyses of gaps, evidence and sandwiches compute its numbers.
pub(super) struct ReliabilitySection;

impl Section for ReliabilitySection {
    fn outcome_sentences(&self, summary: &Summary) -> Vec<String> {
        let negative = prose::negative_gaps_sentence(summary);
        negative
            .into_iter()
            .chain(prose::optima_sentence(summary))
            .collect()
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let summary = content.summary;
        let trust = Chapter {
            place: PagePlace::Reading,
            heading: "How far to trust them",
            blocks: vec![
                prose::reliability_explanation(),
                Block::Table(tables::reliability_table(summary)),
            ],
        };
        let heading = "Against closed forms";
        let closed_forms = Chapter::of_table(
            PagePlace::Details,
            heading,
            tables::closed_form_comparison_table(summary),
        );
        [trust].into_iter().chain(closed_forms).collect()
    }
}
