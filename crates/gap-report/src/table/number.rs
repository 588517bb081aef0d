//! Numbers as text, with as many digits as their error justifies.

use crate::across_seeds::SeedMean;
use std::collections::BTreeMap;

/// The text for a missing number.
pub(crate) const ABSENT: &str = "–";

/// Returns the text of a value that may be missing.
pub(crate) fn text_or_absent<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), text)
}

/// Returns text such as `0.281 ± 0.020`: the error with two significant digits, the mean with as many decimals.
pub(crate) fn plus_minus_text(mean: f64, std_error: f64) -> String {
    if !mean.is_finite() {
        return ABSENT.to_owned();
    }
    if !std_error.is_finite() {
        return format!("{} ± {ABSENT}", significant(mean, 3));
    }
    // An error this small is only rounding error: the numbers that were averaged are all equal.
    if std_error <= 1e-12 * mean.abs().max(1.0) {
        return format!("{} ± 0", significant(mean, 3));
    }
    let decimals = decimals_for(std_error, 2);
    format!(
        "{} ± {std_error:.decimals$}",
        fixed_decimals(mean, decimals)
    )
}

/// Returns `value` with `digits` significant digits, but always with all digits before the decimal point. An
/// absolute value below 1e-6 has one digit and an exponent.
pub(crate) fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        ABSENT.to_owned()
    } else if value == 0.0 {
        "0".to_owned()
    } else if value.abs() < 1e-6 {
        format!("{value:.0e}")
    } else {
        fixed_decimals(value, decimals_for(value, digits))
    }
}

fn decimals_for(value: f64, digits: i32) -> usize {
    let leading = value.abs().log10().floor() as i32;
    usize::try_from(digits - 1 - leading).unwrap_or(0).min(7)
}

/// Returns `value` with a fixed number of decimals. A value that rounds to zero has no sign, so `-0.00` is
/// never shown.
fn fixed_decimals(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.chars().any(|c| ('1'..='9').contains(&c)) {
        text
    } else {
        text.trim_start_matches('-').to_owned()
    }
}

/// Returns `value` with commas between groups of three digits, such as `12,345`.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns seconds with three significant digits.
pub(crate) fn seconds(value: f64) -> String {
    significant(value, 3)
}

/// Returns the text of a mean over seeds with its standard error, in nats.
pub(crate) fn mean_text(mean: Option<SeedMean>) -> String {
    text_or_absent(mean, |m| plus_minus_text(m.mean_nats, m.std_error_nats))
}

/// Returns the common value, such as `500`, or the range, such as `490–500`, if values differ; `0` if there are
/// none.
pub(crate) fn value_or_range_text(values: impl Iterator<Item = u64> + Clone) -> String {
    let (low, high) = (values.clone().min(), values.max());
    match (low, high) {
        (Some(low), Some(high)) if low < high => format!("{}–{}", grouped(low), grouped(high)),
        (low, _) => grouped(low.unwrap_or(0)),
    }
}

/// Returns [`value_or_range_text`], but [`ABSENT`] if there are no values.
pub(crate) fn range_text_or_absent(values: impl Iterator<Item = u64> + Clone) -> String {
    if values.clone().next().is_none() {
        return ABSENT.to_owned();
    }
    value_or_range_text(values)
}

/// Returns text such as `57 of 60`, or [`ABSENT`] if `all` is 0.
pub(crate) fn part_of_all_text(part: u64, all: u64) -> String {
    if all == 0 {
        return ABSENT.to_owned();
    }
    format!("{} of {}", grouped(part), grouped(all))
}

/// Returns the sum of counts for each reason that `trust` names, such as `heavy-tail 3, low-acceptance 1`; `0`
/// if there are none.
pub(crate) fn reason_counts_text<'a>(
    counts: impl Iterator<Item = &'a BTreeMap<String, u64>>,
) -> String {
    let mut total: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, n) in counts.flatten() {
        *total.entry(reason).or_default() += n;
    }
    if total.is_empty() {
        return "0".to_owned();
    }
    let texts = total
        .iter()
        .map(|(reason, n)| format!("{reason} {}", grouped(*n)));
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_decides_how_many_digits_the_mean_has() {
        assert_eq!(plus_minus_text(0.28123, 0.0204), "0.281 ± 0.020");
        assert_eq!(plus_minus_text(-18.137, 0.42), "-18.14 ± 0.42");
        assert_eq!(plus_minus_text(1234.5, 37.0), "1234 ± 37");
        assert_eq!(plus_minus_text(-0.001, 0.42), "0.00 ± 0.42");
        assert_eq!(plus_minus_text(0.05, 1e-17), "0.0500 ± 0");
        assert_eq!(plus_minus_text(f64::NAN, 0.1), "–");
        assert_eq!(plus_minus_text(0.5, f64::NAN), "0.500 ± –");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(5_460), "5,460");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(significant(0.000_123_4, 2), "0.00012");
        assert_eq!(significant(3e-9, 2), "3e-9");
        assert_eq!(significant(0.0, 2), "0");
        assert_eq!(significant(123.4, 2), "123");
    }
}
