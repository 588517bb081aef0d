//! Names that users give to experiments, variants, ascents and encoders. They become parts of file names, of
//! keys and of table cells.

use super::{SpecConflict, refuse};

/// The most characters of a name. With those that programs add to it, a file name must stay within 255 bytes.
pub(super) const MAX_NAME_CHARACTERS: usize = 100;

/// What is wrong with a name, in words that follow its key; `None` if nothing is. `verb` is the first word,
/// such as `be` in "must be letters".
///
/// A name begins with a letter or a digit: a leading `.` hides a file, a leading `-` is read as an option, and
/// spreadsheets run a cell that begins with `=`, `+`, `-` or `@`.
pub(crate) fn objection_to_name(name: &str, verb: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins_well || !name.chars().all(plain) {
        return Some(format!(
            "must {verb} letters, digits, `-`, `_` and `.`, and begin with a letter or a digit"
        ));
    }
    (name.len() > MAX_NAME_CHARACTERS).then(|| {
        format!(
            "has a name of {} characters; use at most {MAX_NAME_CHARACTERS}",
            name.len()
        )
    })
}

/// Checks the name of an experiment, the value of `name`.
pub(super) fn check_experiment_name(name: &str) -> Result<(), SpecConflict> {
    match objection_to_name(name, "be") {
        Some(objection) => refuse("name", format!("{objection}: it names a folder")),
        None => Ok(()),
    }
}
