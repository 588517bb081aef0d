//! The interface of a section: what it can add to a report, whatever its topic.

use crate::content::ReportContent;
use crate::csv::CsvRow;
use crate::figure::Figure;
use crate::pairing::PairedCell;
use crate::table::Table;
use gap_schema::Summary;
use gap_schema::results::ResultRows;

/// One topic of a report. A section overrides the methods for which its topic has something to show.
pub(crate) trait Section: Sync {
    /// Adds the results of this topic to the summary. Sections that are earlier in [`super::SECTIONS`] have
    /// already added theirs.
    fn analyse(&self, _input: &AnalysisInput<'_>, _summary: &mut Summary) {}

    /// Whether the summary has results of this topic that make a report on their own, although no amortization
    /// gaps were measured.
    fn has_standalone_results(&self, _summary: &Summary) -> bool {
        false
    }

    /// Returns the outcome in sentences. They are made from the summary alone, so they state only what was
    /// measured.
    fn outcome_sentences(&self, _summary: &Summary) -> Vec<String> {
        Vec::new()
    }

    /// Returns the tables of main results, for Markdown and the terminal. The first table of all sections is
    /// also written as LaTeX.
    fn main_tables(&self, _summary: &Summary) -> Vec<Table> {
        Vec::new()
    }

    /// Returns the lines of `summary.csv` on this topic; the file holds those of the first section that has
    /// some.
    fn csv_rows(&self, _summary: &Summary) -> Result<Vec<CsvRow>, serde_json::Error> {
        Ok(Vec::new())
    }

    /// Returns the figures that have points to show, each with a file name of its own.
    fn figures(&self, _content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        Vec::new()
    }

    /// Returns the chapters of the page on this topic.
    fn chapters(&self, _content: &ReportContent<'_>) -> Vec<Chapter> {
        Vec::new()
    }
}

/// The input of [`Section::analyse`].
pub(crate) struct AnalysisInput<'a> {
    pub(crate) rows: &'a ResultRows,
    /// The paired records of the cells that get gaps; points that a model drew itself are in none of them.
    pub(crate) cells: &'a [PairedCell<'a>],
}

/// The place of a chapter on the page, from top to bottom. Chapters with the same place are in the order of the
/// sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PagePlace {
    /// The main results of an experiment that are not gaps.
    Lead,
    /// The gaps.
    Gaps,
    /// What the families can express.
    Families,
    /// What is known of `log p(x)`.
    Evidence,
    /// How to read the numbers, how far to trust them, and what they cost.
    Reading,
    /// Further tables.
    Details,
    /// Results of single cells, not averaged over seeds.
    Cells,
}

/// A chapter of the page.
pub(crate) struct Chapter {
    pub(crate) place: PagePlace,
    pub(crate) heading: &'static str,
    pub(crate) blocks: Vec<Block>,
}

impl Chapter {
    /// Returns a chapter that consists of a table; `None` if the table has no rows.
    pub(crate) fn of_table(place: PagePlace, heading: &'static str, table: Table) -> Option<Self> {
        (!table.rows.is_empty()).then(|| Self {
            place,
            heading,
            blocks: vec![Block::Table(table)],
        })
    }
}

/// A part of a chapter.
pub(crate) enum Block {
    Table(Table),
    /// All figures of the section, each with this text at the end of its caption.
    Figures(&'static str),
    /// Prose, as HTML.
    Html(String),
    /// A table that is folded until a reader opens it with a click on `invitation`.
    FoldedTable {
        invitation: &'static str,
        table: Table,
    },
    /// An empty line in the source of the page.
    EmptyLine,
}

impl Block {
    /// A paragraph of HTML.
    pub(crate) fn paragraph(html: &str) -> Self {
        Self::Html(format!("<p>{html}</p>"))
    }

    /// A list of terms, each with its meaning; both are HTML.
    pub(crate) fn terms<M: std::fmt::Display>(terms: &[(&str, M)]) -> Self {
        let lines = terms
            .iter()
            .map(|(term, meaning)| format!("<dt>{term}</dt><dd>{meaning}</dd>\n"));
        Self::Html(format!("<dl>\n{}</dl>", lines.collect::<String>()))
    }
}
