//! How many optima the starts of a cell's searches led to, and how many starts would be needed to find them.

use gap_schema::record::Record;
use gap_schema::start_optima;
use gap_schema::summary::OptimaCounts;

/// The share of datapoints on which [`OptimaCounts::starts_needed`] starts find all optima.
const SHARE_OF_POINTS: f64 = 0.95;

/// Counts the optima of the datapoints whose rows these are; `None` if no search had several starts.
pub(super) fn optima_counts<'a>(rows: impl Iterator<Item = &'a Record>) -> Option<OptimaCounts> {
    let mut counts = OptimaCounts {
        starts: 0,
        mean_optima: 0.0,
        several: 0.0,
        found_once: 0.0,
        starts_needed: 0,
        max_apart_stds: 0.0,
        max_apart_nats: 0.0,
    };
    let (mut n_starts, mut needed) = (0, Vec::new());
    for row in rows {
        let Some(text) = &row.start_optima else {
            continue;
        };
        let found = start_optima::from_text(text);
        let Some(for_all) = start_optima::starts_needed(&found) else {
            continue;
        };
        needed.push(for_all);
        let times_found = |optimum| found.iter().filter(|&&of| of == Some(optimum)).count();
        let n_optima = found.iter().flatten().max().map_or(0, |last| last + 1);
        counts.starts = counts.starts.max(found.len() as u64);
        counts.mean_optima += n_optima as f64;
        if n_optima > 1 {
            counts.several += 1.0;
            let once = (0..n_optima).filter(|&optimum| times_found(optimum) == 1);
            counts.found_once += once.count() as f64;
        }
        n_starts += found.iter().flatten().count();
        let finite = |apart: Option<f64>| apart.filter(|a| a.is_finite()).unwrap_or(0.0);
        counts.max_apart_stds = counts.max_apart_stds.max(finite(row.optima_apart_stds));
        counts.max_apart_nats = counts.max_apart_nats.max(finite(row.optima_apart_nats));
    }
    let n = needed.len();
    needed.sort_unstable();
    let last = ((SHARE_OF_POINTS * n as f64).ceil() as usize).saturating_sub(1);
    counts.starts_needed = *needed.get(last)?;
    counts.mean_optima /= n as f64;
    counts.several /= n as f64;
    counts.found_once /= n_starts as f64;
    Some(counts)
}
