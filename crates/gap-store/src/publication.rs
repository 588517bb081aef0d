//! Replacing what is published, so that a folder always holds one publication whole.
//!
//! A publication is written to a folder of its own, together with the earlier results that are kept. One rename
//! of that folder decides that it is published; then its files are moved to their places, the manifest last. A
//! process that is killed meanwhile leaves that folder, from which the next process does the rest. What may be
//! replaced is decided while nobody else publishes.

use crate::claim::Claim;
use crate::digests::{FileDigests, is_name_in_folder};
use crate::disk::{
    check_folder_or_nothing, first_free_place, link_or_copy, make_folder, remove_if_there, rename,
    sync_folder, write_new_file,
};
use crate::error::StoreError;
use crate::ownership::check_is_ours;
use crate::published::{self, EARLIER_FOLDER, FILES_KEY, MANIFEST_FILE, Published, place_of};
use crate::sealed_json::{seal, unseal};
use gap_spec::input_file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A publication that is being written. Until it is renamed, nothing has happened.
const DRAFT_FOLDER: &str = ".amortgap-publishing.partial";
/// A publication that is decided on, and whose files are being moved to their places.
pub(crate) const DECIDED_FOLDER: &str = ".amortgap-publishing";
/// The claim on publishing.
const CLAIM_FILE: &str = ".amortgap-publishing.lock";
/// The published files, in the folder of a publication.
const FILES_FOLDER: &str = "files";
/// What else is done, in the folder of a publication.
const STEPS_FILE: &str = "steps.json";
/// The size of the longest list of steps that is read.
const MOST_STEPS_BYTES: u64 = 1 << 24;

/// Files by their paths in the folder of results.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What is to be published in a folder of results.
pub struct Publication<'a> {
    /// The files.
    pub files: Files,
    /// The entries of the manifest, besides the digests of the files.
    pub manifest: Map<String, Value>,
    /// Whether these are the results that are published with this manifest and these digests, so that each
    /// replaces the other without a loss.
    pub is_same: &'a dyn Fn(&Map<String, Value>, &FileDigests) -> bool,
    /// Whether there are other files of the same results.
    pub extent: Extent,
}

/// How much of results a publication consists of.
#[derive(Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of their files.
    Whole,
    /// Some, which join the other files of the same results if the folder holds these.
    Part,
    /// Some, which join the other files of the same results. These have to be in the folder.
    Addition {
        /// Digests of files there, if an older version of the program published them without.
        without_digests: FileDigests,
    },
}

/// Files that a publication replaced and that were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Their folder.
    pub place: PathBuf,
    /// Why they were not simply replaced.
    pub why: WhyKept,
}

/// Why files were kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhyKept {
    /// They are other results.
    OtherResults,
    /// They are not as they were published, or nobody published them.
    Changed,
}

/// What is done besides moving the files to their places.
#[derive(Serialize, Deserialize)]
struct Steps {
    /// The name that earlier files get, and why they are kept.
    kept: Option<(String, WhyKept)>,
    /// Files that are removed.
    removed: Vec<String>,
}

/// Replaces what is published in `folder`, and returns what was kept: other results, files that were changed
/// since they were published, and files that nobody published.
///
/// # Errors
///
/// [`StoreError`] if the folder is not ours, holds other results than the publication needs, or the disk
/// refuses. The folder holds one of the two publications whole, unless the disk refused to rename; the next
/// process makes it whole then.
pub fn publish(folder: &Path, publication: &Publication<'_>) -> Result<Vec<Kept>, StoreError> {
    check_is_ours(folder)?;
    make_folder(folder)?;
    let _claim = Claim::take(&folder.join(CLAIM_FILE))?;
    let mut kept: Vec<Kept> = finish(folder)?.into_iter().flatten().collect();
    let draft = folder.join(DRAFT_FOLDER);
    let written = write_draft(folder, &draft, publication);
    written.inspect_err(|_| {
        // What is not published takes up room that another run may need.
        let _ = remove_if_there(&draft);
    })?;
    rename(&draft, &folder.join(DECIDED_FOLDER))?;
    kept.extend(finish(folder)?.flatten());
    Ok(kept)
}

/// Finishes a publication in `folder` that was interrupted, unless somebody is publishing. Returns whether
/// there was one, and what it kept.
///
/// # Errors
///
/// [`StoreError`] if the disk refuses.
pub fn finish_interrupted(folder: &Path) -> Result<Option<Option<Kept>>, StoreError> {
    let is_there = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
    if ![DRAFT_FOLDER, DECIDED_FOLDER, CLAIM_FILE]
        .iter()
        .any(is_there)
    {
        return Ok(None);
    }
    match Claim::try_take(&folder.join(CLAIM_FILE))? {
        Some(_claim) => finish(folder),
        None => Ok(None),
    }
}

/// The line that says that a publication in `folder` that was interrupted is finished, and what it kept.
pub fn notice_of_finished(folder: &Path, kept: Option<&Kept>) -> String {
    let earlier = kept.map_or_else(String::new, |kept| {
        format!(
            "; what was there before is kept in {}",
            kept.place.display()
        )
    });
    format!(
        "{}: a run was stopped while it published its results, and now they are published{earlier}",
        folder.display()
    )
}

/// Does the rest of a publication that is decided on, and removes a draft. The claim on publishing has to be
/// held.
fn finish(folder: &Path) -> Result<Option<Option<Kept>>, StoreError> {
    let (draft, decided) = (folder.join(DRAFT_FOLDER), folder.join(DECIDED_FOLDER));
    check_folder_or_nothing(&decided)?;
    remove_if_there(&draft)?;
    if !decided.is_dir() {
        return Ok(None);
    }
    let kept = move_to_places(folder, &decided)?;
    sync_folder(folder)?;
    // A folder that is half removed must not be taken for a publication.
    rename(&decided, &draft)?;
    remove_if_there(&draft)?;
    Ok(Some(kept))
}

fn move_to_places(folder: &Path, decided: &Path) -> Result<Option<Kept>, StoreError> {
    let staged = decided.join(FILES_FOLDER);
    check_folder_or_nothing(&staged)?;
    let steps = input_file::read_text(&decided.join(STEPS_FILE), MOST_STEPS_BYTES);
    let steps = steps.ok().and_then(|text| unseal::<Steps>(&text).ok());
    // Nothing is done from a damaged publication.
    let Some(steps) = steps else {
        return Ok(None);
    };
    let kept = match steps.kept {
        Some((name, why)) if is_name_in_folder(&name) && !name.contains('/') => {
            let place = folder.join(EARLIER_FOLDER).join(name);
            Some(Kept { place, why })
        }
        _ => None,
    };
    let files = match published::read_manifest(&staged) {
        Published::WithDigests { files, .. } => files,
        // All files have their places.
        Published::Nothing => return Ok(kept.filter(|kept| kept.place.is_dir())),
        _ => return Ok(None),
    };
    let names = || files.0.keys().map(String::as_str).chain([MANIFEST_FILE]);
    for name in names().chain(steps.removed.iter().map(String::as_str)) {
        place_of(folder, name)?;
    }
    let (from, all) = (decided.join(EARLIER_FOLDER), folder.join(EARLIER_FOLDER));
    check_folder_or_nothing(&from)?;
    check_folder_or_nothing(&all)?;
    if let Some(kept) = &kept
        && from.is_dir()
    {
        make_folder(&all)?;
        rename(&from, &kept.place)?;
    }
    for name in &steps.removed {
        remove_if_there(&folder.join(name))?;
    }
    // The manifest is the last of the names.
    for name in names() {
        let (from, to) = (place_of(&staged, name)?, folder.join(name));
        if from.is_file() {
            make_folder(to.parent().unwrap_or(folder))?;
            rename(&from, &to)?;
        }
    }
    Ok(kept)
}

/// Writes a publication to the folder `draft`, with the earlier files that it replaces and that must not be
/// lost.
fn write_draft(
    folder: &Path,
    draft: &Path,
    publication: &Publication<'_>,
) -> Result<(), StoreError> {
    let new = FileDigests::of(&publication.files);
    let old = published::read(folder);
    check_folder_or_nothing(&folder.join(EARLIER_FOLDER))?;
    let replacement = Replacement::of(folder, &old, publication, &new)?;
    make_folder(draft)?;
    let staged = draft.join(FILES_FOLDER);
    for (name, content) in &publication.files {
        write_in_folder(&staged, name, content)?;
    }
    let mut digests = replacement.retained;
    digests.0.extend(new.0);
    let mut manifest = publication.manifest.clone();
    let json = serde_json::to_value(&digests).expect("plain data");
    manifest.insert(FILES_KEY.to_owned(), json);
    write_in_folder(&staged, MANIFEST_FILE, seal(&manifest).as_bytes())?;
    for name in &replacement.kept {
        let to = draft.join(EARLIER_FOLDER).join(name);
        make_folder(to.parent().unwrap_or(draft))?;
        link_or_copy(&folder.join(name), &to)?;
    }
    let kept = (!replacement.kept.is_empty()).then(|| {
        let all = folder.join(EARLIER_FOLDER);
        let place = first_free_place(&all, &name_of_earlier(&old, replacement.why));
        let name = place.file_name().unwrap_or_default();
        (name.to_string_lossy().into_owned(), replacement.why)
    });
    let removed = replacement.removed;
    let steps = seal(&Steps { kept, removed });
    write_new_file(&draft.join(STEPS_FILE), steps.as_bytes())?;
    sync_folder(draft)
}

fn write_in_folder(folder: &Path, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    make_folder(path.parent().unwrap_or(folder))?;
    write_new_file(&path, content)
}

/// The time, and the plan of the results.
fn name_of_earlier(old: &Published, why: WhyKept) -> String {
    let plan = match (old, why) {
        (
            Published::WithDigests { manifest, .. } | Published::WithoutDigests(manifest),
            WhyKept::OtherResults,
        ) => manifest.get("plan").and_then(Value::as_str),
        _ => None,
    };
    // It becomes a part of a path, and may come from anybody.
    let is_digest = |plan: &&str| {
        (1..=64).contains(&plan.len()) && plan.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let plan = plan.filter(is_digest).unwrap_or("changed");
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    format!("{}-{plan}", now.replace(':', ""))
}

/// What becomes of the files in a folder when a publication replaces them.
struct Replacement {
    /// Files that stay, and remain in the manifest.
    retained: FileDigests,
    /// Files that are kept elsewhere.
    kept: Vec<String>,
    /// Why they are kept.
    why: WhyKept,
    /// Published files that go, for they are not in the new manifest.
    removed: Vec<String>,
}

impl Replacement {
    fn of(
        folder: &Path,
        old: &Published,
        publication: &Publication<'_>,
        new: &FileDigests,
    ) -> Result<Self, StoreError> {
        let none = FileDigests::default();
        let (is_same, old_files, faults) = match old {
            Published::Nothing | Published::DamagedManifest(_) => (false, &none, &[][..]),
            Published::WithoutDigests(manifest) => {
                ((publication.is_same)(manifest, &none), &none, &[][..])
            }
            Published::WithDigests {
                manifest,
                files,
                faults,
            } => ((publication.is_same)(manifest, files), files, &faults[..]),
        };
        let is_faulty = |name: &String| {
            let path = folder.join(name);
            faults.iter().any(|fault| fault.path == path)
        };
        let mut retained = FileDigests::default();
        if is_same {
            retained = old_files.clone();
            match &publication.extent {
                Extent::Whole => retained.0.retain(|name, _| !is_faulty(name)),
                Extent::Part => {}
                // Digests that were published come before those that are taken now.
                Extent::Addition { without_digests } => {
                    let published = std::mem::take(&mut retained.0);
                    retained.0.extend(without_digests.0.clone());
                    retained.0.extend(published);
                }
            }
            retained.0.retain(|name, _| !new.0.contains_key(name));
        } else if matches!(publication.extent, Extent::Addition { .. }) {
            return Err(StoreError::Superseded {
                path: folder.to_owned(),
            });
        }
        let goes = |name: &&String| !new.0.contains_key(*name) && !retained.0.contains_key(*name);
        let removed: Vec<String> = old_files.0.keys().filter(goes).cloned().collect();

        // Links and the like are refused before anything is written.
        let manifest = MANIFEST_FILE.to_owned();
        let replaced: BTreeSet<&String> = new.0.keys().chain(&removed).collect();
        for name in replaced.iter().copied().chain([&manifest]) {
            place_of(folder, name)?;
        }
        let is_there = |name: &&String| folder.join(name).is_file();
        let (kept, why): (Vec<String>, _) = if is_same {
            let is_lost = |name: &&String| {
                let is_as_published = old_files.0.contains_key(*name) && !is_faulty(name);
                let has_content = fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
                !is_as_published && has_content && new.read(folder, name).is_err()
            };
            let lost = replaced.into_iter().filter(is_there).filter(is_lost);
            (lost.cloned().collect(), WhyKept::Changed)
        } else {
            let all = replaced.into_iter().chain([&manifest]).filter(is_there);
            let all: Vec<String> = all.cloned().collect();
            let is_in_new = |name: &String| *name == manifest || new.read(folder, name).is_ok();
            let kept = if all.iter().all(is_in_new) {
                Vec::new()
            } else {
                all
            };
            let why = match old {
                Published::WithDigests { .. } | Published::WithoutDigests(_) => {
                    WhyKept::OtherResults
                }
                Published::Nothing | Published::DamagedManifest(_) => WhyKept::Changed,
            };
            (kept, why)
        };
        Ok(Self {
            retained,
            kept,
            why,
            removed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::death;
    use crate::store::Store;

    fn try_publish(
        folder: &Path,
        plan: &str,
        files: &[(&str, &str)],
    ) -> Result<Vec<Kept>, StoreError> {
        let plan = Value::from(plan);
        let contents = files.iter();
        publish(
            folder,
            &Publication {
                files: contents
                    .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                    .collect(),
                manifest: Map::from_iter([
                    ("amortgap".to_owned(), Value::from("1")),
                    ("plan".to_owned(), plan.clone()),
                ]),
                is_same: &|manifest, _| manifest.get("plan") == Some(&plan),
                extent: Extent::Whole,
            },
        )
    }

    /// The plan whose results `folder` holds whole.
    fn plan_in(folder: &Path) -> String {
        match published::read(folder) {
            Published::WithDigests {
                manifest, faults, ..
            } => {
                assert!(faults.is_empty(), "{faults:?}");
                manifest["plan"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    fn folders_in(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    const OLD: [(&str, &str); 3] = [
        ("summary.json", "1"),
        ("spec.toml", "s"),
        ("figures/a.svg", "a"),
    ];
    const NEW: [(&str, &str); 3] = [
        ("summary.json", "2"),
        ("spec.toml", "t"),
        ("figures/b.svg", "b"),
    ];

    /// Results of changed settings replace others, and the process is killed before each change of the disk in
    /// turn; then also while the next process finishes what it finds.
    #[test]
    fn a_publication_killed_at_any_change_of_the_disk_leaves_one_of_two_results_whole() {
        let mut moments = 0;
        for changes in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            drop(Store::open(folder, "small").unwrap());
            try_publish(folder, "a1", &OLD).unwrap();
            let published = death::after(changes, || try_publish(folder, "b2", &NEW));
            let is_decided = folder.join(DECIDED_FOLDER).exists();
            for again in (0..).step_by(3) {
                let opened = death::after(again, || Store::open(folder, "small").map(drop));
                if opened.is_ok() {
                    break;
                }
            }
            let (_, notices) = Store::open(folder, "small").unwrap();
            assert_eq!(notices, [""; 0], "it was finished before");
            let present = plan_in(folder);
            let earlier = folders_in(&folder.join(EARLIER_FOLDER));
            if present == "b2" {
                let [earlier] = &earlier[..] else {
                    panic!("{changes}: {earlier:?}")
                };
                assert_eq!(plan_in(earlier), "a1", "{changes}");
                assert!(!folder.join("figures/a.svg").exists());
            } else {
                assert!(
                    !is_decided && published.is_err() && earlier.is_empty(),
                    "{changes}"
                );
            }
            let left = folders_in(folder).into_iter().filter(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with(".amortgap-")
            });
            assert_eq!(left.count(), 0, "{changes}");
            // The run goes on, and each of the two results is there once.
            try_publish(folder, "b2", &NEW).unwrap();
            assert_eq!(plan_in(folder), "b2");
            assert_eq!(
                folders_in(&folder.join(EARLIER_FOLDER)).len(),
                1,
                "{changes}"
            );
            if published.is_ok() {
                moments = changes;
                break;
            }
        }
        assert!(moments >= 25, "{moments}");
    }

    /// Whoever opens the folder after a kill is told where the earlier results are.
    #[test]
    fn a_finished_publication_names_what_was_kept() {
        let mut n_told = 0;
        for changes in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            drop(Store::open(folder, "small").unwrap());
            try_publish(folder, "a1", &OLD).unwrap();
            let published = death::after(changes, || try_publish(folder, "b2", &NEW));
            let (_, notices) = Store::open(folder, "small").unwrap();
            let earlier = folders_in(&folder.join(EARLIER_FOLDER));
            if let Some(notice) = notices.first() {
                let place = earlier[0].display().to_string();
                let end = format!("; what was there before is kept in {place}");
                assert!(notice.ends_with(&end), "{notice}");
                n_told += 1;
            }
            if published.is_ok() {
                break;
            }
        }
        assert!(n_told >= 5, "{n_told}");
    }
}
