//! Measures how many times per second a function can be called.

use std::time::{Duration, Instant};

/// Calls `run` repeatedly, at least once, until the time `wanted` has passed, and returns the calls per second.
/// The last call is finished, and its time beyond `wanted` is counted.
pub fn rate(wanted: Duration, mut run: impl FnMut()) -> f64 {
    let clock = Instant::now();
    let mut n_runs = 0.0;
    loop {
        run();
        n_runs += 1.0;
        let passed = clock.elapsed();
        if passed >= wanted {
            return n_runs / passed.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_for_no_time_runs_once() {
        let mut n_runs = 0;
        assert!(rate(Duration::ZERO, || n_runs += 1) > 0.0);
        assert_eq!(n_runs, 1);
    }
}
