//! What a finished run publishes, described by one manifest: `provenance.json`.
//!
//! The manifest names every other file with its digest, and is replaced last. The `publication` module
//! replaces what is published; this one reads it.

use crate::digests::{FileDigests, FileFault, FileFaultKind, is_name_in_folder};
use crate::disk::{check_file_or_nothing, check_folder_or_nothing, entries};
use crate::error::StoreError;
pub use crate::publication::{
    Extent, Files, Kept, Publication, WhyKept, finish_interrupted, notice_of_finished, publish,
};
use crate::sealed_json::{SealError, unseal};
use gap_spec::input_file;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// The manifest.
pub const MANIFEST_FILE: &str = "provenance.json";
/// Where results are kept that later ones replaced.
pub const EARLIER_FOLDER: &str = "earlier";
/// The size of the longest manifest that is read.
const MOST_MANIFEST_BYTES: u64 = 1 << 26;
/// The key of the program's version, which every manifest of a run has.
const PROGRAM_KEY: &str = "amortgap";
/// The key of the digests in the manifest.
pub(crate) const FILES_KEY: &str = "files";

/// What is published in a folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// Nothing.
    Nothing,
    /// Results without digests, which an older version of the program wrote.
    WithoutDigests(Map<String, Value>),
    /// Results with a manifest, and the files that are not as it says.
    WithDigests {
        /// The manifest, without the digests.
        manifest: Map<String, Value>,
        /// The digest of every other file.
        files: FileDigests,
        /// Files that are not what was published.
        faults: Vec<FileFault>,
    },
    /// Results whose manifest is damaged.
    DamagedManifest(FileFault),
}

/// Whether this program, or an older one, wrote the manifest in `folder`, damaged or not.
pub fn is_results_folder(folder: &Path) -> bool {
    match read_manifest(folder) {
        Published::Nothing => false,
        Published::WithoutDigests(manifest) => manifest.contains_key(PROGRAM_KEY),
        Published::WithDigests { .. } => true,
        Published::DamagedManifest(_) => {
            let text = input_file::read(&folder.join(MANIFEST_FILE), MOST_MANIFEST_BYTES);
            let key = format!("\"{PROGRAM_KEY}\"");
            text.is_ok_and(|text| text.windows(key.len()).any(|part| part == key.as_bytes()))
        }
    }
}

/// What is published in `folder`: every file is read and held against its digest.
pub fn read(folder: &Path) -> Published {
    match read_manifest(folder) {
        Published::WithDigests {
            manifest, files, ..
        } => Published::WithDigests {
            faults: files.faults(folder),
            manifest,
            files,
        },
        other => other,
    }
}

/// The manifest, without a look at the files that it names.
pub(crate) fn read_manifest(folder: &Path) -> Published {
    let path = folder.join(MANIFEST_FILE);
    let damaged = |kind| {
        Published::DamagedManifest(FileFault {
            path: path.clone(),
            kind,
        })
    };
    if fs::symlink_metadata(&path).is_err() {
        return Published::Nothing;
    }
    let text = match input_file::read_text(&path, MOST_MANIFEST_BYTES) {
        Ok(text) => text,
        Err(error) => return damaged(FileFaultKind::Unreadable(error.to_string())),
    };
    match unseal::<Map<String, Value>>(&text) {
        Ok(mut manifest) => {
            let files = manifest.shift_remove(FILES_KEY).unwrap_or_default();
            let files = serde_json::from_value(files).map_err(|error| error.to_string());
            // The manifest of a stage, for example, is sealed and names files too.
            let files = match manifest.contains_key(PROGRAM_KEY) {
                true => files,
                false => Err("it is the manifest of something else".to_owned()),
            };
            match files.and_then(with_names_of_published_files) {
                Ok(files) => Published::WithDigests {
                    manifest,
                    files,
                    faults: Vec::new(),
                },
                Err(message) => damaged(FileFaultKind::Unreadable(message)),
            }
        }
        Err(SealError::Unsealed) => match serde_json::from_str::<Map<String, Value>>(&text) {
            // A manifest that lost its digest still has those of the files.
            Ok(manifest) if !manifest.contains_key(FILES_KEY) => {
                Published::WithoutDigests(manifest)
            }
            _ => damaged(FileFaultKind::Digest),
        },
        Err(error) => damaged(FileFaultKind::Unreadable(error.to_string())),
    }
}

fn with_names_of_published_files(digests: FileDigests) -> Result<FileDigests, String> {
    match digests.0.keys().find(|name| !is_name_of_published(name)) {
        None => Ok(digests),
        Some(name) => Err(format!("`{name}` is no name of a published file")),
    }
}

/// Whether a file besides the manifest can be published as `name`.
pub(crate) fn is_name_of_published(name: &str) -> bool {
    let first = name.split('/').next();
    is_name_in_folder(name) && name != MANIFEST_FILE && first != Some(EARLIER_FOLDER)
}

/// The path of the published file `name`, at which there is a file or nothing.
///
/// # Errors
///
/// [`StoreError::Name`], or [`StoreError::Link`] or [`StoreError::InTheWay`] for what is in place of the file
/// or of a folder that it lies in.
pub(crate) fn place_of(folder: &Path, name: &str) -> Result<PathBuf, StoreError> {
    if name != MANIFEST_FILE && !is_name_of_published(name) {
        return Err(StoreError::Name {
            name: name.to_owned(),
        });
    }
    let path = folder.join(name);
    let parents = path.ancestors().skip(1);
    for parent in parents.take_while(|parent| *parent != folder) {
        check_folder_or_nothing(parent)?;
    }
    check_file_or_nothing(&path)?;
    Ok(path)
}

/// Refuses links and other things in place of the published files, which would make publishing fail later.
pub(crate) fn check_places(folder: &Path) -> Result<(), StoreError> {
    check_folder_or_nothing(&folder.join(EARLIER_FOLDER))?;
    check_folder_or_nothing(&folder.join("figures"))?;
    place_of(folder, MANIFEST_FILE)?;
    if let Published::WithDigests { files, .. } = read_manifest(folder) {
        for name in files.0.keys() {
            place_of(folder, name)?;
        }
    }
    Ok(())
}

/// The paths in `folder` that `files` does not have, in order, besides the manifest, earlier results and hidden
/// files.
///
/// # Errors
///
/// [`StoreError`] if a folder cannot be listed.
pub fn unlisted(folder: &Path, files: &FileDigests) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for path in entries(&inside)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
            let is_ours = name == MANIFEST_FILE || files.0.contains_key(&*name);
            if name.starts_with('.') || name == EARLIER_FOLDER || is_ours {
                continue;
            }
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
            let prefix = format!("{name}/");
            if is_folder && files.0.keys().any(|listed| listed.starts_with(&prefix)) {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
