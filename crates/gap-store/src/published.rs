//! What a finished run publishes, described by one manifest: `provenance.json`.
//!
//! The manifest names every other file with its digest, and is replaced last. A folder that was being written
//! when the run was killed is thereby recognised: its files are not those that its manifest names.

use crate::claim::Claim;
use crate::digests::{FileDigests, FileFault, FileFaultKind};
use crate::disk::{refuse_link, remove_if_there, sync_folder, unwritable, write_new_file};
use crate::error::StoreError;
use crate::sealed_json::{SealError, seal, unseal};
use gap_spec::input_file;
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
/// The size of the longest manifest that is read.
const MOST_MANIFEST_BYTES: u64 = 1 << 26;
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

/// What is to be published in a folder of results.
#[derive(Debug, Default)]
pub struct Publication {
    /// Files that are written anew.
    pub files: Files,
    /// Files that are in the folder already, and stay as they are.
    pub unchanged: FileDigests,
    /// The entries of the manifest, besides the digests of the files.
    pub manifest: Map<String, Value>,
    /// Whether earlier results are replaced without being kept, since they have the same plan and spec.
    pub is_same: bool,
}

/// Replaces what is published in `folder`. Returns the folder in which earlier results are kept, if they are:
/// those with another plan or spec, and files that were changed since they were published.
///
/// # Errors
///
/// [`StoreError`] if the disk refuses. Nothing has changed then, unless it refused to rename.
pub fn publish(folder: &Path, publication: &Publication) -> Result<Option<PathBuf>, StoreError> {
    let files = &publication.files;
    fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let _claim = Claim::take(&folder.join(CLAIM_FILE))?;
    let staging = folder.join(STAGING_FOLDER);
    remove_if_there(&staging)?;
    let mut digests = publication.unchanged.clone();
    digests.0.extend(FileDigests::of(files).0);
    let mut sealed = publication.manifest.clone();
    let json = serde_json::to_value(&digests).expect("plain data");
    sealed.insert(FILES_KEY.to_owned(), json);
    let stage = || -> Result<(), StoreError> {
        for (name, content) in files {
            write_in_folder(&staging, name, content)?;
        }
        write_in_folder(&staging, MANIFEST_FILE, seal(&sealed).as_bytes())
    };
    stage().inspect_err(|_| {
        let _ = fs::remove_dir_all(&staging);
    })?;

    let old = read(folder);
    let mut kept = files_to_keep(folder, &old, publication);
    let is_replaced_by_itself =
        |name: &String| name == MANIFEST_FILE || digests.read(folder, name).is_ok();
    if kept.iter().all(is_replaced_by_itself) {
        kept.clear();
    }
    let earlier = keep_earlier(folder, &kept)?;
    if let Published::WithDigests { files: old, .. } = &old {
        for name in old.0.keys().filter(|name| !digests.0.contains_key(*name)) {
            remove_if_there(&folder.join(name))?;
        }
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

/// The files that a publication replaces and that must not be lost.
fn files_to_keep(folder: &Path, old: &Published, publication: &Publication) -> Vec<String> {
    let is_there = |name: &String| folder.join(name).is_file();
    let new = publication.files.keys();
    let manifest = MANIFEST_FILE.to_owned();
    match old {
        Published::Nothing => new.filter(|name| is_there(name)).cloned().collect(),
        Published::WithDigests { files, faults, .. } => {
            let replaced = |name: &String| !publication.unchanged.0.contains_key(name);
            if publication.is_same {
                let changed = faults.iter().filter(|fault| match fault.kind {
                    FileFaultKind::Size { bytes, .. } => bytes > 0,
                    FileFaultKind::Digest => true,
                    _ => false,
                });
                let changed = changed.filter_map(|fault| fault.path.strip_prefix(folder).ok());
                let changed = changed.map(|name| name.to_string_lossy().into_owned());
                let foreign = new.filter(|name| !files.0.contains_key(*name)).cloned();
                changed
                    .filter(replaced)
                    .chain(foreign.filter(is_there))
                    .collect()
            } else {
                let all = files.0.keys().chain([&manifest]);
                let foreign = new.filter(|name| !files.0.contains_key(*name));
                all.chain(foreign)
                    .filter(|name| is_there(name))
                    .cloned()
                    .collect()
            }
        }
        // Nothing says which files of theirs are as they were.
        Published::WithoutDigests(_) if publication.is_same => Vec::new(),
        Published::WithoutDigests(_) | Published::DamagedManifest(_) => {
            let all = new.chain([&manifest]);
            all.filter(|name| is_there(name)).cloned().collect()
        }
    }
}

fn write_in_folder(folder: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(unwritable(parent))?;
    write_new_file(&path, content)
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
