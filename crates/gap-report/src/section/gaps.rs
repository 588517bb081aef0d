//! The gaps: what a family cannot express, and what an encoder loses within it.

mod analysis;
mod figures;
mod optima;
mod prose;
mod tables;

use super::interface::{AnalysisInput, Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::csv::{CsvField, CsvRow, flatten_to_csv_row};
use crate::figure::{Figure, as_boxed_figures};
use crate::table::Table;
use gap_schema::Summary;
use gap_schema::summary::Cell;

pub(super) struct GapsSection;

impl Section for GapsSection {
    fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
        summary.cells = analysis::gap_cells(input.cells);
    }

    fn outcome_sentences(&self, summary: &Summary) -> Vec<String> {
        prose::gap_sentences(summary)
    }

    fn main_tables(&self, summary: &Summary) -> Vec<Table> {
        let protocols = tables::protocols_table(summary).into_vec_unless_empty();
        let gaps = std::iter::once(tables::gaps_table(summary));
        gaps.chain(protocols).collect()
    }

    /// Returns one line for each cell, with empty fields for keys that the cell lacks. The column `encoder`
    /// holds the encoder's short name; the list of points with different optima is in the JSON only.
    fn csv_rows(&self, summary: &Summary) -> Result<Vec<CsvRow>, serde_json::Error> {
        summary.cells.iter().map(cell_fields).collect()
    }

    fn figures(&self, content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        as_boxed_figures(figures::gap_charts(content.summary))
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let summary = content.summary;
        let gaps = Chapter {
            place: PagePlace::Gaps,
            heading: "Gaps",
            blocks: vec![
                Block::Table(tables::gaps_table(summary)),
                Block::Figures(
                    "Filled markers are test points and open ones training points, where one panel shows both; the exact values are in the tables.",
                ),
            ],
        };
        let meanings = Chapter {
            place: PagePlace::Reading,
            heading: "What each number means",
            blocks: prose::quantity_definitions(summary),
        };
        let bounds = Chapter::of_table(PagePlace::Details, "Bounds", tables::bounds_table(summary));
        let refinement = Chapter::of_table(
            PagePlace::Details,
            "Refinement",
            tables::refinement_table(summary),
        );
        let cells = Chapter {
            place: PagePlace::Cells,
            heading: "Cells",
            blocks: vec![Block::FoldedTable {
                invitation: "Each seed by itself; ± is the standard error over datapoints",
                table: tables::cells_table(summary),
            }],
        };
        let protocols = Chapter::of_table(
            PagePlace::Details,
            "Other free-form protocols",
            tables::protocols_table(summary),
        );
        let details = bounds.into_iter().chain(refinement).chain(protocols);
        [gaps, meanings]
            .into_iter()
            .chain(details)
            .chain([cells])
            .collect()
    }
}

fn cell_fields(cell: &Cell) -> Result<CsvRow, serde_json::Error> {
    let mut fields = flatten_to_csv_row(&Cell {
        different_optima_points: Vec::new(),
        ..cell.clone()
    })?;
    if let Some(encoder) = &cell.encoder {
        fields.push(("encoder".to_owned(), CsvField::Text(encoder.short_name())));
    }
    Ok(fields)
}
