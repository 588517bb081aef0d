//! What can be wrong with a data set's name, its files or their contents, and the cure of each.

use std::path::PathBuf;

/// A data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No data set of that name is known.
    #[error("unknown data set `{name}`; use one of {known}")]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// The names that are known, for reading.
        known: String,
    },
    /// More training points were asked for than there are.
    #[error(
        "data.train_points is {asked} but `{name}` has {available} training points; set `data.train_points` to at most {available}"
    )]
    TooManyTrainPoints {
        /// The data set.
        name: &'static str,
        /// How many were asked for.
        asked: u32,
        /// How many there are.
        available: usize,
    },
    /// The data set lies in files, and no folder was named.
    #[error(
        "`{name}` is not built in and no folder was given; pass --data-dir with the folder that holds {file}[.gz]"
    )]
    NoDataDir {
        /// The data set.
        name: &'static str,
        /// The first file that it needs.
        file: &'static str,
    },
    /// A file is in none of the folders that were searched.
    #[error(
        "{file}[.gz] is not in {searched}; pass --data-dir with the folder that holds {file}[.gz]"
    )]
    Missing {
        /// The file's name.
        file: &'static str,
        /// The folders, for reading.
        searched: String,
    },
    /// A file is there but cannot be read.
    #[error("{path} cannot be read; make it readable to you, or pass another --data-dir")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `.gz` file does not decompress.
    #[error("{path} is corrupt or cut short: it does not decompress as gzip; fetch it again")]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// A file does not begin as IDX images do.
    #[error(
        "{path} is not an IDX file of images: it begins with 0x{magic:08x}, not 0x00000803; use {wanted}"
    )]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// Its first four bytes, big-endian.
        magic: u32,
        /// The file to use.
        wanted: String,
    },
    /// A file of labels stands where images belong.
    #[error("{path} holds labels, not images; use {wanted}")]
    Labels {
        /// The file.
        path: PathBuf,
        /// The file to use.
        wanted: String,
    },
    /// A file ends before its header.
    #[error("{path} is cut short: its header needs 16 bytes, it has {found}; fetch it again")]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// The bytes that are there.
        found: u64,
    },
    /// A file has fewer pixels than its header promises.
    #[error(
        "{path} is cut short: its header promises {promised} bytes of pixels, it has {found}; fetch it again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes after the header that the header promises.
        promised: u64,
        /// Bytes after the header.
        found: u64,
    },
    /// A file goes on after its last pixel.
    #[error(
        "{path} has trailing bytes: its header promises {promised} bytes of pixels, it has {found}; fetch it again"
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes after the header that the header promises.
        promised: u64,
        /// Bytes after the header.
        found: u64,
    },
    /// A well-formed file holds other bytes than the published ones.
    #[error(
        "{path} has SHA-256 {found}, expected {expected}: the bytes are not the published MNIST; fetch it again"
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// The digest of the published bytes, uncompressed.
        expected: &'static str,
        /// The digest of the bytes that are there, uncompressed.
        found: String,
    },
}
