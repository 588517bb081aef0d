//! What a report is made from.

use gap_schema::Summary;
use gap_schema::results::ResultRows;

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportContent<'a> {
    /// The numbers.
    pub summary: &'a Summary,
    /// The rows that they follow from: some figures show these themselves.
    pub rows: &'a ResultRows,
    /// The question that the experiment answers.
    pub question: &'a str,
    /// The answer that would surprise.
    pub surprise: &'a str,
    /// Where the numbers come from: any JSON, shown as a table of keys and values.
    pub provenance: &'a serde_json::Value,
}
