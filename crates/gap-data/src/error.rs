//! Errors in a data set's name, its files or their contents; each message says how to fix the problem.

use gap_spec::input_file::InputFileError;
use std::path::PathBuf;

/// The reason why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is no data set of this name.
    #[error("unknown data set `{name}`; use one of {known}")]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// The names that exist, as text for the message.
        known: String,
    },
    /// More training points were requested than the data set has.
    #[error(
        "data.train_points is {asked} but `{name}` has {available} training points; set `data.train_points` to at most {available}"
    )]
    TooManyTrainPoints {
        /// The data set's name.
        name: &'static str,
        /// The number that was requested.
        asked: u32,
        /// The number of training points of the data set.
        available: usize,
    },
    /// The data set is not built in, and no folder with its files was given.
    #[error(
        "`{name}` is not built in and no folder was given; pass --data-dir with the folder that holds {file}[.gz]"
    )]
    NoDataDir {
        /// The data set's name.
        name: &'static str,
        /// The first file that the data set needs.
        file: &'static str,
    },
    /// A file is in none of the folders that were searched.
    #[error(
        "{file}[.gz] is not in {searched}; pass --data-dir with the folder that holds {file}[.gz]"
    )]
    Missing {
        /// The file's name.
        file: &'static str,
        /// The folders, as text for the message.
        searched: String,
    },
    /// A file exists but cannot be read.
    #[error(
        "{path} cannot be read: {source}; make it a regular file that you may read, or pass another --data-dir"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: InputFileError,
    },
    /// A file is longer than the published one.
    #[error(
        "{path} is longer than the published file, which has {published} bytes uncompressed; fetch it again"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The size of the published file's uncompressed bytes.
        published: u64,
    },
    /// A `.gz` file does not decompress.
    #[error("{path} is corrupt or cut short: it does not decompress as gzip; fetch it again")]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decompressor's error.
        source: InputFileError,
    },
    /// A file does not begin with the magic number of IDX images.
    #[error(
        "{path} is not an IDX file of images: it begins with 0x{magic:08x}, not 0x00000803; use {wanted}"
    )]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// The file's first four bytes, as a big-endian number.
        magic: u32,
        /// The name of the file to use instead.
        wanted: String,
    },
    /// A file holds labels where images are expected.
    #[error("{path} holds labels, not images; use {wanted}")]
    Labels {
        /// The file.
        path: PathBuf,
        /// The name of the file to use instead.
        wanted: String,
    },
    /// A file ends within its header.
    #[error("{path} is cut short: its header needs 16 bytes, it has {found}; fetch it again")]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// The number of bytes in the file.
        found: u64,
    },
    /// A file has fewer pixels than its header says.
    #[error(
        "{path} is cut short: its header promises {promised} bytes of pixels, it has {found}; fetch it again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The number of bytes that should follow the header, according to the header.
        promised: u64,
        /// The number of bytes that follow the header.
        found: u64,
    },
    /// A file has further bytes after its last pixel.
    #[error(
        "{path} has trailing bytes: its header promises {promised} bytes of pixels, it has {found}; fetch it again"
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// The number of bytes that should follow the header, according to the header.
        promised: u64,
        /// The number of bytes that follow the header.
        found: u64,
    },
    /// A file is well-formed, but its contents differ from the published file.
    #[error(
        "{path} has SHA-256 {found}, expected {expected}: the bytes are not the published MNIST; fetch it again"
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// SHA-256 of the published file's uncompressed bytes.
        expected: &'static str,
        /// SHA-256 of the uncompressed bytes that were read.
        found: String,
    },
}
