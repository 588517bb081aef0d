//! Reads files that a user names, whatever is at their paths: only regular files, and only up to a size.
//!
//! A FIFO would make the program wait, and a device or an endless file would fill its memory. A link is
//! followed, since a spec or a data set may well lie elsewhere. Messages do not name the file; the caller's
//! message does, and says what to do.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::str::Utf8Error;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum InputFileError {
    /// The operating system's error.
    #[error(transparent)]
    System(#[from] io::Error),
    /// There is something else in place of a regular file.
    #[error("it is {kind}, not a regular file")]
    NotRegular {
        /// What it is, as in `a FIFO`.
        kind: &'static str,
    },
    /// The file is longer than any valid file.
    #[error("it has more than {most_bytes} bytes, the most that are read")]
    TooLong {
        /// The size of the longest file that is read.
        most_bytes: u64,
    },
    /// The file is not text.
    #[error("it is not UTF-8 text ({0})")]
    NotText(#[source] Utf8Error),
}

/// Opens the regular file `path` for reading, without waiting for anyone to write to it.
///
/// # Errors
///
/// [`InputFileError::System`] if it cannot be opened, [`InputFileError::NotRegular`] if it is something else.
pub fn open(path: &Path) -> Result<File, InputFileError> {
    // The type is checked before the file is opened, since merely opening a device can have an effect, and
    // again afterwards, in case that another file has taken the path.
    check_regular(fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    check_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads the regular file `path`, which may have up to `most_bytes` bytes.
///
/// # Errors
///
/// [`InputFileError`], but for [`InputFileError::NotText`].
pub fn read(path: &Path, most_bytes: u64) -> Result<Vec<u8>, InputFileError> {
    let file = open(path)?;
    if file.metadata()?.len() > most_bytes {
        return Err(InputFileError::TooLong { most_bytes });
    }
    read_stream(file, most_bytes)
}

/// Reads all that `stream` has to give, which may be up to `most_bytes` bytes.
///
/// # Errors
///
/// [`InputFileError::System`] if reading fails, [`InputFileError::TooLong`] if there is more.
pub fn read_stream(stream: impl Read, most_bytes: u64) -> Result<Vec<u8>, InputFileError> {
    let mut bytes = Vec::new();
    stream
        .take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes {
        return Err(InputFileError::TooLong { most_bytes });
    }
    Ok(bytes)
}

/// Reads the regular text file `path`, which may have up to `most_bytes` bytes.
///
/// # Errors
///
/// [`InputFileError`].
pub fn read_text(path: &Path, most_bytes: u64) -> Result<String, InputFileError> {
    let bytes = read(path, most_bytes)?;
    String::from_utf8(bytes).map_err(|error| InputFileError::NotText(error.utf8_error()))
}

fn check_regular(found: FileType) -> Result<(), InputFileError> {
    if found.is_file() {
        return Ok(());
    }
    Err(InputFileError::NotRegular {
        kind: kind_of_file(found),
    })
}

fn kind_of_file(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a FIFO";
        } else if found.is_char_device() || found.is_block_device() {
            return "a device";
        } else if found.is_socket() {
            return "a socket";
        }
    }
    if found.is_dir() {
        "a directory"
    } else {
        "something else"
    }
}
