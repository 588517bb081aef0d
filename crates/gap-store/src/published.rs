//! What a finished run publishes, described by one manifest: `provenance.json`.
//!
//! The manifest names every other file with its digest, and is replaced last. A folder that was being written
//! when the run was killed is thereby recognised: its files are not those that its manifest names.

use crate::claim::Claim;
use crate::digests::{FileDigests, FileFault, FileFaultKind};
use crate::disk::{refuse_link, remove_if_there, sync_folder, unwritable, write_new_file};
use crate::error::StoreError;
use crate::sealed_json::{SealError, seal, unseal};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The manifest.
pub const MANIFEST_FILE: &str = "provenance.json";
/// Where results are kept that later ones replaced.
pub const EARLIER_FOLDER: &str = "earlier";
/// Where files are written before they are renamed to their places.
const STAGING_FOLDER: &str = ".publishing";
/// The claim on publishing.
const CLAIM_FILE: &str = ".publishing.lock";
/// The key of the digests in the manifest.
const FILES_KEY: &str = "files";

/// Files by their paths in the folder of results.
pub type Files = BTreeMap<String, Vec<u8>>;

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

/// Whether `folder` has a manifest, damaged or not.
pub fn is_results_folder(folder: &Path) -> bool {
    match read_manifest(folder) {
        Published::Nothing => false,
        Published::WithoutDigests(manifest) => manifest.contains_key("amortgap"),
        Published::WithDigests { .. } | Published::DamagedManifest(_) => true,
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
fn read_manifest(folder: &Path) -> Published {
    let path = folder.join(MANIFEST_FILE);
    let damaged = |kind| {
        Published::DamagedManifest(FileFault {
            path: path.clone(),
            kind,
        })
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Published::Nothing,
        Err(error) => return damaged(FileFaultKind::Unreadable(error.to_string())),
    };
    let text = String::from_utf8_lossy(&bytes);
    match unseal::<Map<String, Value>>(&text) {
        Ok(mut manifest) => {
            let files = manifest.shift_remove(FILES_KEY).unwrap_or_default();
            match serde_json::from_value(files) {
                Ok(files) => Published::WithDigests {
                    manifest,
                    files,
                    faults: Vec::new(),
                },
                Err(error) => damaged(FileFaultKind::Unreadable(error.to_string())),
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

/// Removes what a killed run left when it published.
pub(crate) fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    remove_if_there(&folder.join(STAGING_FOLDER))?;
    remove_if_there(&folder.join(CLAIM_FILE))?;
    remove_if_there(&partial_earlier(folder))
}

fn partial_earlier(folder: &Path) -> PathBuf {
    folder.join(EARLIER_FOLDER).join(".partial")
}

/// Replaces what is published in `folder` by `files` and a manifest of them, which has the entries of
/// `manifest` besides.
///
/// What was published before is kept below [`EARLIER_FOLDER`] where it is another plan's or another spec's
/// (`is_same` says so, given the manifest), or was changed since; the folder in which it is kept is returned.
///
/// # Errors
///
/// [`StoreError`] if the disk refuses. Unless the renaming itself fails, nothing has changed then.
pub fn publish(
    folder: &Path,
    files: &Files,
    manifest: &Map<String, Value>,
    is_same: impl FnOnce(&Map<String, Value>, &FileDigests) -> bool,
) -> Result<Option<PathBuf>, StoreError> {
    let _claim = Claim::take(&folder.join(CLAIM_FILE))?;
    let staging = folder.join(STAGING_FOLDER);
    remove_if_there(&staging)?;
    let digests = FileDigests::of(files);
    let mut sealed = manifest.clone();
    let json = serde_json::to_value(&digests).expect("plain data");
    sealed.insert(FILES_KEY.to_owned(), json);
    let stage = || {
        for (name, content) in files {
            write_in_folder(&staging, name, content)?;
        }
        write_in_folder(&staging, MANIFEST_FILE, seal(&sealed).as_bytes())
    };
    stage().inspect_err(|_| {
        let _ = fs::remove_dir_all(&staging);
    })?;

    let (kept, obsolete) = match read(folder) {
        Published::Nothing => (existing(folder, files.keys()), Vec::new()),
        Published::WithoutDigests(_) | Published::DamagedManifest(_) => {
            let names = [MANIFEST_FILE.to_owned()];
            (existing(folder, files.keys().chain(&names)), Vec::new())
        }
        Published::WithDigests {
            manifest,
            files: old,
            faults,
        } => {
            let names: Vec<String> = old.0.keys().cloned().collect();
            let obsolete = names.iter().filter(|name| !files.contains_key(*name));
            let obsolete: Vec<String> = obsolete.cloned().collect();
            let kept = if is_same(&manifest, &old) {
                let changed = faults.iter().filter(|fault| {
                    matches!(&fault.kind, FileFaultKind::Size { bytes, .. } if *bytes > 0)
                        || fault.kind == FileFaultKind::Digest
                });
                let changed = changed.filter_map(|fault| fault.path.strip_prefix(folder).ok());
                let changed = changed.map(|name| name.to_string_lossy().into_owned());
                changed.collect()
            } else {
                let manifest = [MANIFEST_FILE.to_owned()];
                let new = files.keys().filter(|name| !old.0.contains_key(*name));
                existing(folder, names.iter().chain(&manifest).chain(new))
            };
            (kept, obsolete)
        }
    };
    let earlier = keep_earlier(folder, &kept)?;
    for name in &obsolete {
        remove_if_there(&folder.join(name))?;
    }
    for name in files.keys().map(String::as_str).chain([MANIFEST_FILE]) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            refuse_link(parent).or_else(|error| {
                // The folder of results itself may well be a link.
                if parent == folder { Ok(()) } else { Err(error) }
            })?;
            fs::create_dir_all(parent).map_err(unwritable(parent))?;
        }
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Err(StoreError::Foreign {
                path: folder.to_owned(),
                file: name.to_owned(),
            });
        }
        fs::rename(staging.join(name), &path).map_err(unwritable(&path))?;
    }
    sync_folder(folder)?;
    remove_if_there(&staging)?;
    Ok(earlier)
}

fn write_in_folder(folder: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(unwritable(parent))?;
    write_new_file(&path, content)
}

/// Those of `names` that are files of `folder`.
fn existing<'a>(folder: &Path, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names
        .filter(|name| folder.join(name).is_file())
        .cloned()
        .collect()
}

/// Copies the files `names` of `folder` to a new folder below [`EARLIER_FOLDER`], whole or not at all.
fn keep_earlier(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, StoreError> {
    if names.is_empty() {
        return Ok(None);
    }
    let all = folder.join(EARLIER_FOLDER);
    refuse_link(&all)?;
    let partial = partial_earlier(folder);
    remove_if_there(&partial)?;
    for name in names {
        let (from, to) = (folder.join(name), partial.join(name));
        let parent = to.parent().unwrap_or(&partial);
        fs::create_dir_all(parent).map_err(unwritable(parent))?;
        // A second name costs no room; a file system that has none gets a copy.
        fs::hard_link(&from, &to)
            .or_else(|_| fs::copy(&from, &to).map(|_| ()))
            .map_err(unwritable(&to))?;
    }
    let plan = match read_manifest(&partial) {
        Published::WithDigests { manifest, .. } | Published::WithoutDigests(manifest) => manifest
            .get("plan")
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    };
    let plan = plan.unwrap_or_else(|| "changed".to_owned());
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let name = format!("{}-{plan}", now.replace(':', ""));
    let place = (1..)
        .map(|n| match n {
            1 => all.join(&name),
            n => all.join(format!("{name}-{n}")),
        })
        .find(|place| fs::symlink_metadata(place).is_err())
        .expect("there are more numbers than folders");
    fs::rename(&partial, &place).map_err(unwritable(&place))?;
    Ok(Some(place))
}
