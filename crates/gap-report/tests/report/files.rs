//! Writes the files of a report into a folder, for tests that read them.

use gap_report::{Format, ReportContent, render_report};
use std::fs;
use std::path::Path;

/// Writes the files of a report into `dir`, and returns their names.
pub fn write_report(dir: &Path, content: &ReportContent<'_>, formats: &[Format]) -> Vec<String> {
    let files = render_report(content, formats).expect("it is rendered");
    for (name, bytes) in &files {
        let path = dir.join(name);
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("there is room for a folder");
        fs::write(path, bytes).expect("there is room for a file");
    }
    files.into_keys().collect()
}
