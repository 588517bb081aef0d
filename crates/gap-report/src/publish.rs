//! Writes files, each of them whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{path}: cannot write this file: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content cannot be put into this form.
    #[error("{path}: {message}", path = path.display())]
    Render {
        /// The file that was to be written.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
}

/// The content cannot be put into the form of the file `path`.
pub(crate) fn render_error(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Render {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

/// Writes `text` to the file `path`, and gives that.
pub(crate) fn write_text_atomically(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    write_file_atomically(path, |temporary| temporary.write_all(text.as_bytes()))
}

/// Publishes what `write` puts into a temporary file as the file `path`, and gives that.
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
        // Temporary files are private to their owner; results are for everyone whom the umask lets.
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
