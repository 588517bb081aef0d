//! Writes files atomically: each appears whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system returned an error.
    #[error("{path}: cannot write this file: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The content cannot be rendered in the file's format.
    #[error("{path}: {message}", path = path.display())]
    Render {
        /// The file that was to be written.
        path: PathBuf,
        /// Why it cannot be rendered.
        message: String,
    },
}

/// The error for content that cannot be rendered in the format of the file `path`.
pub(crate) fn render_error(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Render {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// Writes `text` to the file `path`, and returns `path`.
pub(crate) fn write_text_atomically(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    write_file_atomically(path, |temporary| temporary.write_all(text.as_bytes()))
}

/// Writes the file `path` and returns `path`: `write` fills a temporary file beside it, which is then renamed.
pub(crate) fn write_file_atomically(
    path: PathBuf,
    write: impl FnOnce(&mut tempfile::NamedTempFile) -> io::Result<()>,
) -> Result<PathBuf, ReportError> {
    let attempt = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let suffix = path.extension().map_or_else(String::new, |extension| {
            format!(".{}", extension.to_string_lossy())
        });
        let mut builder = tempfile::Builder::new();
        builder.prefix(".amortgap-").suffix(&suffix);
        // By default a temporary file is private to its owner; results get all permissions that the umask
        // allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut temporary = builder.tempfile_in(folder)?;
        write(&mut temporary)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}
