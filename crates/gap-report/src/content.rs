//! What a report is made from.

use gap_schema::Summary;
use gap_schema::results::ResultRows;

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportContent<'a> {
    /// The numbers to show.
    pub summary: &'a Summary,
    /// The rows that the summary was computed from; some figures show them directly.
    pub rows: &'a ResultRows,
    /// The question that the experiment answers.
    pub question: &'a str,
    /// The answer that would contradict expectations.
    pub surprise: &'a str,
    /// Where the numbers come from: any JSON, which is shown as a table of keys and values.
    pub provenance: &'a serde_json::Value,
}
