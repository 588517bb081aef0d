//! The text of the column `start_optima`: the number of the optimum that each start led to.

/// A start whose ascent failed.
const FAILED: &str = "-";

/// The column's text.
pub fn to_text(optimum_of_start: &[Option<usize>]) -> String {
    let numbers = optimum_of_start.iter();
    let words: Vec<String> = numbers
        .map(|number| number.map_or_else(|| FAILED.to_owned(), |number| number.to_string()))
        .collect();
    words.join(" ")
}

/// The number of each start's optimum; `None` for one that failed.
pub fn from_text(text: &str) -> Vec<Option<usize>> {
    text.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

/// How many starts would find every one of these optima with a probability of 95%, if a start finds the rarest
/// one as often as these starts did: the least `n` with `(1 − share)ⁿ ≤ 0.05`. `None` if all starts failed.
///
/// It cannot count optima that no start found. Their share of all starts is about that of the starts that were
/// the only ones to find their optimum (Good 1953, "The population frequencies of species and the estimation of
/// population parameters").
pub fn starts_needed(optimum_of_start: &[Option<usize>]) -> Option<u64> {
    let found: Vec<usize> = optimum_of_start.iter().flatten().copied().collect();
    let last = *found.iter().max()?;
    let counts = (0..=last).map(|optimum| found.iter().filter(|&&of| of == optimum).count());
    let rarest = counts.filter(|&count| count > 0).min()?;
    let missed = 1.0 - rarest as f64 / found.len() as f64;
    Some(if missed <= 0.05 {
        1
    } else {
        (0.05_f64.ln() / missed.ln()).ceil() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_which_start_led_where() {
        let optima = [Some(0), None, Some(12), Some(0)];
        assert_eq!(to_text(&optima), "0 - 12 0");
        assert_eq!(from_text("0 - 12 0"), optima);
        assert!(from_text("").is_empty());
    }

    #[test]
    fn the_rarest_optimum_says_how_many_starts_are_needed() {
        let needed = |text: &str| starts_needed(&from_text(text));
        assert_eq!(needed("0 0 0"), Some(1));
        // (1 − 1/2)⁵ = 0.031, (1 − 1/2)⁴ = 0.063.
        assert_eq!(needed("0 1 0 1"), Some(5));
        // (1 − 1/10)²⁹ = 0.047.
        assert_eq!(needed("0 0 0 0 1 0 0 0 0 0"), Some(29));
        // A start that failed is none of the starts that were tried.
        assert_eq!(needed("0 1 -"), Some(5));
        assert_eq!(needed("- -"), None);
    }
}
