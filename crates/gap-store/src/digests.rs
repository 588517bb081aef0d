//! Digests of files, by which they are checked.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its size, bytes.
    pub bytes: u64,
    /// BLAKE3 of its content, as hexadecimal digits.
    pub blake3: String,
}

impl FileDigest {
    /// That of a content.
    pub fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            blake3: blake3::hash(content).to_hex().to_string(),
        }
    }

    /// What is wrong with a content that should have this digest.
    ///
    /// # Errors
    ///
    /// [`FileFaultKind`] if it has another.
    pub fn check(&self, content: &[u8]) -> Result<(), FileFaultKind> {
        let bytes = content.len() as u64;
        if bytes != self.bytes {
            return Err(FileFaultKind::Size {
                bytes,
                expected: self.bytes,
            });
        }
        if Self::of(content) != *self {
            return Err(FileFaultKind::Digest);
        }
        Ok(())
    }
}

/// The digests of the files of a folder, by their paths in it (with `/` between parts).
///
/// Digests that are read have names of files in the folder alone: others are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, FileDigest>")]
pub struct FileDigests(pub BTreeMap<String, FileDigest>);

impl TryFrom<BTreeMap<String, FileDigest>> for FileDigests {
    type Error = String;

    fn try_from(digests: BTreeMap<String, FileDigest>) -> Result<Self, String> {
        match digests.keys().find(|name| !is_name_in_folder(name)) {
            None => Ok(Self(digests)),
            Some(name) => Err(format!("{name:?} is no name of a file in this folder")),
        }
    }
}

/// Whether `name` is the path of a file in a folder, and in no other folder: its parts are names, and hidden
/// ones are not among them.
pub fn is_name_in_folder(name: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    name.split('/').all(is_plain)
        && !name.contains(['\\', '\0'])
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// A file that is not what its digest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: FileFaultKind,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFaultKind {
    /// It is not there.
    Missing,
    /// It is a link, a folder or a device.
    NotAFile,
    /// It cannot be read.
    Unreadable(String),
    /// It is shorter or longer.
    Size {
        /// Its size, bytes.
        bytes: u64,
        /// What its size should be.
        expected: u64,
    },
    /// Its content is another.
    Digest,
}

impl fmt::Display for FileFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Unreadable(message) => write!(f, "it cannot be read: {message}"),
            Self::Size { bytes, expected } => {
                write!(f, "it is damaged: {bytes} bytes instead of {expected}")
            }
            Self::Digest => f.write_str("it is damaged: its digest differs"),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)
    }
}

impl FileDigests {
    /// Those of contents by name.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) -> Self {
        let digests = files.into_iter();
        Self(
            digests
                .map(|(name, content)| (name.clone(), FileDigest::of(content)))
                .collect(),
        )
    }

    /// The content of the file `name` of `folder`.
    ///
    /// # Errors
    ///
    /// [`FileFault`] if it is not the one that was written, or not among these.
    pub fn read(&self, folder: &Path, name: &str) -> Result<Vec<u8>, FileFault> {
        let path = folder.join(name);
        let read = || {
            let digest = self.0.get(name).ok_or(FileFaultKind::Missing)?;
            let content = read_regular_file(&path, digest.bytes)?;
            digest.check(&content)?;
            Ok(content)
        };
        read().map_err(|kind| FileFault { path, kind })
    }

    /// The files of `folder` that are not what was written.
    pub fn faults(&self, folder: &Path) -> Vec<FileFault> {
        let names = self.0.keys();
        names
            .filter_map(|name| self.read(folder, name).err())
            .collect()
    }
}

/// The content of a regular file whose size should be `expected`: a file of another size is not read.
fn read_regular_file(path: &Path, expected: u64) -> Result<Vec<u8>, FileFaultKind> {
    let found = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => FileFaultKind::Missing,
        _ => FileFaultKind::Unreadable(error.to_string()),
    })?;
    if !found.is_file() {
        return Err(FileFaultKind::NotAFile);
    }
    if found.len() != expected {
        return Err(FileFaultKind::Size {
            bytes: found.len(),
            expected,
        });
    }
    fs::read(path).map_err(|error| FileFaultKind::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_files_elsewhere_are_refused() {
        let parsed = |name: &str| {
            let text = serde_json::json!({ name: FileDigest::of(b"") }).to_string();
            serde_json::from_str::<FileDigests>(&text)
        };
        for name in ["a", "figures/a b.svg", "a..b"] {
            assert!(parsed(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../../b",
            "a//b",
            "a/",
            "./a",
            ".stages/x",
            "a/.b",
            "a\\..\\b",
            "a\0",
        ] {
            let error = parsed(name).unwrap_err().to_string();
            assert!(
                error.contains("is no name of a file in this folder"),
                "{name}: {error}"
            );
        }
    }
}
