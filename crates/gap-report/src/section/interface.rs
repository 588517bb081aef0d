//! What a section of a report contributes, whatever its topic.

use crate::content::ReportContent;
use crate::csv::CsvRow;
use crate::figure::Figure;
use crate::pairing::PairedCell;
use crate::table::Table;
use gap_schema::Summary;
use gap_schema::results::ResultRows;

/// One topic of a report. Whatever a topic has nothing of, it leaves at the default.
pub(crate) trait Section: Sync {
    /// Puts what follows from the rows into the summary, where the sections before this one in the
    /// list have put theirs.
    fn analyse(&self, _input: &AnalysisInput<'_>, _summary: &mut Summary) {}

    /// Whether the summary has results of this topic that are a report of their own, without gaps.
    fn has_standalone_results(&self, _summary: &Summary) -> bool {
        false
    }

    /// The outcome in sentences, made from the summary alone: what was not measured cannot be said.
    fn outcome_sentences(&self, _summary: &Summary) -> Vec<String> {
        Vec::new()
    }

    /// The tables of main results, in Markdown and on the terminal; the first of all is the LaTeX one.
    fn main_tables(&self, _summary: &Summary) -> Vec<Table> {
        Vec::new()
    }

    /// The lines of `summary.csv`, which has those of the first section with any.
    fn csv_rows(&self, _summary: &Summary) -> Result<Vec<CsvRow>, serde_json::Error> {
        Ok(Vec::new())
    }

    /// The figures that there are points for, each with a file name of its own.
    fn figures(&self, _content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        Vec::new()
    }

    /// The chapters of the page, without those that would be empty.
    fn chapters(&self, _content: &ReportContent<'_>) -> Vec<Chapter> {
        Vec::new()
    }
}

/// What sections make a summary from.
pub(crate) struct AnalysisInput<'a> {
    pub(crate) rows: &'a ResultRows,
    /// The records of data sets, paired, of cells that have gaps.
    pub(crate) cells: &'a [PairedCell<'a>],
}

/// Where on the page a chapter stands, from the top down; chapters of one place come in the order of
/// the sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PagePlace {
    /// What an experiment is about that is not about gaps.
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
    /// Every cell by itself.
    Cells,
}

/// A chapter of the page.
pub(crate) struct Chapter {
    pub(crate) place: PagePlace,
    pub(crate) heading: &'static str,
    pub(crate) blocks: Vec<Block>,
}

impl Chapter {
    /// A chapter of a single table; `None` where that has no rows.
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
    /// Each figure of the section, with these words at the end of its caption.
    Figures(&'static str),
    /// Prose, as HTML.
    Html(String),
    /// A table that a reader opens.
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
