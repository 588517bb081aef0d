//! Reads a Parquet file that may be damaged, or made to do harm: it is read, or there is a message.

use crate::parquet_claims::with_checked_footer;
use polars::prelude::*;
use std::cell::Cell;
use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Reads a flat table in the Parquet format, on this thread alone.
///
/// # Errors
///
/// A message that says what is wrong with the file.
pub(crate) fn read_frame(file: &[u8]) -> Result<DataFrame, String> {
    let checked = with_checked_footer(file)?;
    let read = || {
        let reader = ParquetReader::new(Cursor::new(checked));
        // Panics on another thread would be reported there.
        reader.read_parallel(ParallelStrategy::None).finish()
    };
    match without_panic(read) {
        // polars does not check that all columns have as many values as the table has rows.
        Some(Ok(frame))
            if frame
                .columns()
                .iter()
                .all(|column| column.len() == frame.height()) =>
        {
            Ok(frame)
        }
        Some(Ok(_)) => Err("its columns differ in their number of rows".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("its pages are damaged".to_owned()),
    }
}

thread_local! {
    /// Whether panics of this thread are expected, and caught.
    static PANIC_IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `work`; `None` if it panicked, which is not reported.
///
/// polars panics on some damaged pages, where it should return an error.
fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !PANIC_IS_EXPECTED.get() {
                report(panic);
            }
        }));
    });
    PANIC_IS_EXPECTED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    PANIC_IS_EXPECTED.set(false);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_nothing_and_a_later_one_is_reported_again() {
        assert_eq!(without_panic(|| 3), Some(3));
        assert_eq!(without_panic(|| -> u32 { panic!("not to be seen") }), None);
        assert!(!PANIC_IS_EXPECTED.get());
    }
}
