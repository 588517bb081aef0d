//! The table of what benches measured, one row for each bench.

use super::row::BenchRow;
use crate::table::Table;
use crate::table::number::{grouped, significant};

/// Returns the table of the rows, in their order.
pub(super) fn bench_rows_table(rows: &[BenchRow]) -> Table {
    let headings = ["work", "unit", "per second", "interval", "from", "measured"];
    let mut table = Table::new(2, &headings);
    for row in rows {
        let interval = [row.low_per_second, row.high_per_second].map(rate_text);
        table.rows.push(vec![
            row.work.clone(),
            row.unit.clone(),
            rate_text(row.per_second),
            interval.join("–"),
            row.estimate.as_str().to_owned(),
            row.measured.clone(),
        ]);
    }
    table.notes.push(format!(
        "Interval: criterion's {} confidence interval of the slope of time over runs, or of the mean over \
         samples, as in the column `from`.",
        confidence_levels_text(rows)
    ));
    let n_others = rows.iter().filter(|row| !row.workload).count();
    if n_others > 0 && n_others < rows.len() {
        let others = match n_others {
            1 => "1 other bench is".to_owned(),
            n => format!("{n} other benches are"),
        };
        table.notes.push(format!(
            "The figure has the workloads; {others} in the table alone."
        ));
    }
    table
}

/// Returns the confidence levels of the intervals, such as `95%`, or `95% or 99%` if they differ.
pub(super) fn confidence_levels_text(rows: &[BenchRow]) -> String {
    let mut levels: Vec<String> = Vec::new();
    for row in rows {
        let level = format!("{}%", significant(100.0 * row.confidence_level, 2));
        if !levels.contains(&level) {
            levels.push(level);
        }
    }
    levels.join(" or ")
}

fn rate_text(per_second: f64) -> String {
    if per_second < 1000.0 {
        significant(per_second, 4)
    } else {
        grouped(per_second.round() as u64)
    }
}
