//! The text on the page that explains how to read a calibration.

use super::analysis::COVERAGE_BAND;
use crate::section::interface::Block;

/// Returns the explanation of a coverage within the band, below it and above it, and of the side of a bound.
pub(super) fn coverage_explanation() -> [Block; 2] {
    let [low, high] = COVERAGE_BAND.map(|end| format!("{:.0}", 100.0 * end));
    let within = format!("coverage within {low}–{high}%");
    let terms = [
        (
            within.as_str(),
            "The reported standard error is what it says: about 19 of 20 intervals of ±1.96 standard errors hold the estimator's own mean. For a bound that mean is not log p(x): what it misses is its bias, and no standard error tells of it.",
        ),
        (
            "coverage below",
            "The reported error is too small, as with heavy-tailed weights: most replicates miss the rare large weights, and with them both the value and the error. If \"untrusted\" says so, and the coverage over trusted replicates is within the band, then the warning works: heed it. If an estimator is below and trusted, its errors are not to be relied on at this setting, however small they are.",
        ),
        (
            "coverage above",
            "The reported error is too large: \"error / spread\" is above 1. It is safe, and more was computed than was claimed.",
        ),
        (
            "side",
            "A lower bound's mean is not above log p(x), an upper bound's not below, up to three standard errors of the bias. With many rows, one in 700 may fail by chance where the bias is near zero.",
        ),
    ];
    [
        Block::paragraph(
            "Each estimate was repeated with new draws on datapoints whose log p(x) is known. How to read it:",
        ),
        Block::terms(&terms),
    ]
}
