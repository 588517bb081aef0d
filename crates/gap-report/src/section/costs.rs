//! What inference costs: parameters, wall time and joint gradients.

mod tables;

use super::interface::{Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;

pub(super) struct CostsSection;

impl Section for CostsSection {
    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let summary = content.summary;
        let parameters = Chapter {
            place: PagePlace::Reading,
            heading: "Parameters",
            blocks: vec![
                Block::paragraph(
                    "Free-form inference has variational parameters for each datapoint, so they grow with n; an encoder's weights stay the same.",
                ),
                Block::Table(tables::parameters_table(summary)),
            ],
        };
        let mut costs = vec![
            Block::paragraph(
                "Wall seconds for all n datapoints, means over seeds. Fitting is paid once for an encoder; its gradients of the joint density are a total, the others are per datapoint. Refinement is that with the most steps, the forward pass included.",
            ),
            Block::Table(tables::inference_costs_table(summary)),
            Block::EmptyLine,
        ];
        let stages = tables::stage_costs_table(summary);
        if !stages.rows.is_empty() {
            costs.extend([
                Block::paragraph(
                    "Where the time of the run went, all seeds together. Stages may have run beside one another.",
                ),
                Block::Table(stages),
                Block::EmptyLine,
            ]);
        }
        let costs = Chapter {
            place: PagePlace::Reading,
            heading: "Cost",
            blocks: costs,
        };
        vec![parameters, costs]
    }
}
