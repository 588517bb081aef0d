//! A stage's name depends on code that can change a result, and on nothing else of the source.

#[path = "../build/source_tokens.rs"]
mod source_tokens;

use source_tokens::computing_tokens;

const SOURCE: &str = r#"
//! Steps.

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It is too long.
    #[error("the step is too long")]
    TooLong,
}

/// Half of `x`.
#[must_use]
pub fn half(x: f64) -> f64 {
    // Exact.
    0.5 * x
}

#[cfg(test)]
mod tests {
    #[test]
    fn half_of_two_is_one() {
        assert_eq!(super::half(2.0), 1.0);
    }
}
"#;

fn edited(from: &str, to: &str) -> String {
    assert!(SOURCE.contains(from), "{from}");
    computing_tokens(&SOURCE.replace(from, to)).unwrap_or_default()
}

#[test]
fn comments_documentation_error_texts_layout_and_tests_do_not_matter() {
    let tokens = computing_tokens(SOURCE).unwrap_or_default();
    assert!(tokens.contains("half"));
    for (from, to) in [
        ("// Exact.", "// Without rounding."),
        ("/// Half of `x`.", "/// Half of the number."),
        ("//! Steps.", "//! Steps and halves."),
        ("is too long\"", "is longer than 1\""),
        ("    0.5 * x", "0.5*x"),
        ("assert_eq!(super::half(2.0), 1.0);", ""),
        ("#[must_use]\n", ""),
    ] {
        assert_eq!(edited(from, to), tokens, "{to}");
    }
}

#[test]
fn code_matters() {
    let tokens = computing_tokens(SOURCE).unwrap_or_default();
    for (from, to) in [
        ("0.5 * x", "0.25 * x"),
        ("TooLong", "TooShort"),
        ("#[derive(Debug, ", "#[derive(Clone, Debug, "),
        ("x: f64", "x: f32"),
    ] {
        assert_ne!(edited(from, to), tokens, "{to}");
    }
}

#[test]
fn what_is_no_rust_is_an_error() {
    assert!(computing_tokens("fn f( {").is_err());
}
