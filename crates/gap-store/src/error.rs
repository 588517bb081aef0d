//! What goes wrong with a folder of results.

use crate::digests::FileFault;
use std::io;
use std::path::PathBuf;

/// The folder of results cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be made, read or written.
    #[error("cannot write to {path}: {source}; choose another folder with --out")]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full, or a quota or a limit on the size of files is reached.
    #[error("cannot write {path}: {source}; {}: make room for it", room(*needed, *free))]
    NoRoom {
        /// The file or folder.
        path: PathBuf,
        /// The size of the file; 0 if it is not known.
        needed: u64,
        /// Bytes that are free on its file system.
        free: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Another run is at work in the folder.
    #[error("{path} is in use by another run; wait for it, or choose another folder with --out")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds the results of another experiment.
    #[error("{path} holds the results of experiment `{other}`; choose another folder with --out")]
    OtherExperiment {
        /// The folder.
        path: PathBuf,
        /// The experiment's name.
        other: String,
    },
    /// The folder holds files that no run made.
    #[error(
        "{path} holds `{file}` and no results of amortgap; choose an empty or a new folder with --out"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the files in it.
        file: String,
    },
    /// The folder holds files, and a manifest that does not tell who made them.
    #[error(
        "{fault}, so that nothing tells whose files {path} holds; move them away, or choose another folder with --out"
    )]
    Unknown {
        /// The folder.
        path: PathBuf,
        /// What is wrong with the manifest.
        fault: FileFault,
    },
    /// A folder of ours is a link to elsewhere.
    #[error(
        "{path} is a link to elsewhere, and nothing is written or deleted through it; remove the link"
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Something else is in place of a file or a folder of ours.
    #[error(
        "{path} is {found} in place of {needed}; move it away, and give the same command again"
    )]
    InTheWay {
        /// The place.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What should be there.
        needed: &'static str,
    },
    /// Another process published results while a report of the results before was made.
    #[error("{path}: other results were published meanwhile; give the same command again")]
    Superseded {
        /// The folder.
        path: PathBuf,
    },
    /// A file has a name under which nothing is published.
    #[error("`{name}` is no name of a file in a folder of results")]
    Name {
        /// The name.
        name: String,
    },
    /// A stored file is not what was written.
    #[error("{path}: {message}; run the same command again, which makes it anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl StoreError {
    /// Whether no other file can be written either.
    pub const fn is_lack_of_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. })
    }

    /// Whether the user has to do something about the folder, or choose another.
    pub const fn is_about_folder(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. }
                | Self::OtherExperiment { .. }
                | Self::Foreign { .. }
                | Self::Unknown { .. }
                | Self::Link { .. }
                | Self::InTheWay { .. }
        )
    }
}

fn room(needed: u64, free: u64) -> String {
    match needed {
        0 => format!("{free} bytes are free"),
        _ => format!("it takes {needed} bytes and {free} are free"),
    }
}
