//! Whole numbers in tables of results, whose sums over the rows must not overflow.
//!
//! Reports add them up, and other programs read them as signed numbers of 64 bits. After the check here no sum
//! over any of a table's rows overflows, and no product of a number with that of the rows.

use crate::{CalibrationRow, PosteriorGridCellRow, Record, TracePoint};

/// A kind of row with whole numbers in it.
pub(crate) trait WholeNumberColumns {
    /// The columns' names, and this row's numbers in them.
    fn whole_numbers(&self) -> Vec<(&'static str, u64)>;
}

/// Checks that sums over the rows do not overflow.
///
/// # Errors
///
/// A message that names the column and the number.
pub(crate) fn check_sums<T: WholeNumberColumns>(rows: &[T]) -> Result<(), String> {
    let n_rows = rows.len();
    let largest = i64::MAX as u64 / n_rows.max(1) as u64;
    for (i, row) in rows.iter().enumerate() {
        let numbers = row.whole_numbers();
        if let Some((name, number)) = numbers.into_iter().find(|(_, n)| *n > largest) {
            return Err(format!(
                "row {i}: column `{name}` has {number}, which no run records: a sum of {n_rows} such rows is beyond 64 bits; run the experiment again"
            ));
        }
    }
    Ok(())
}

impl WholeNumberColumns for Record {
    fn whole_numbers(&self) -> Vec<(&'static str, u64)> {
        let weights = self.encoder.as_ref().map(|encoder| encoder.weights);
        vec![
            ("datapoint", self.datapoint),
            ("seed", self.seed),
            ("family_params", self.family_params),
            ("encoder_weights", weights.unwrap_or(0)),
            ("n_samples", self.n_samples),
            (
                "estimate_joint_evaluations",
                self.diagnostics.joint_evaluations,
            ),
            ("joint_gradients", self.joint_gradients),
            ("fit_joint_gradients", self.fit_joint_gradients),
            ("constant_inputs", self.constant_inputs),
        ]
    }
}

impl WholeNumberColumns for TracePoint {
    fn whole_numbers(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("seed", self.seed),
            ("n", self.n),
            ("climbing", self.climbing),
            ("above_tolerance", self.above_tolerance),
            ("other_optimum", self.other_optimum),
            ("non_finite", self.non_finite),
        ]
    }
}

impl WholeNumberColumns for CalibrationRow {
    fn whole_numbers(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("seed", self.seed),
            ("datapoint", self.datapoint),
            ("n_replicates", self.n_replicates),
            ("non_finite", self.non_finite),
            ("untrusted", self.untrusted),
        ]
    }
}

impl WholeNumberColumns for PosteriorGridCellRow {
    fn whole_numbers(&self) -> Vec<(&'static str, u64)> {
        vec![("seed", self.seed), ("datapoint", self.datapoint)]
    }
}
