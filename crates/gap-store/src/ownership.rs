//! Which folders are ours: those that a run, a report or a table of benches was written to.

use crate::disk::entries;
use crate::error::StoreError;
use crate::publication::DECIDED_FOLDER;
use crate::published::{self, Published};
use crate::stages_folder::{CLAIMS_FOLDER, OWNER_FILE, PRESENCE_FILE, STAGES_FOLDER};
use std::fs;
use std::path::Path;

/// Whether `folder` is ours. A folder that is not there, or that has hidden files alone, is nobody's.
///
/// # Errors
///
/// [`StoreError::Foreign`] or [`StoreError::Unknown`] if it has files, and no sign that we have written any.
pub fn check_is_ours(folder: &Path) -> Result<bool, StoreError> {
    let stages = folder.join(STAGES_FOLDER);
    let of_stages = [CLAIMS_FOLDER, PRESENCE_FILE, OWNER_FILE].map(|name| stages.join(name));
    let signs = of_stages.into_iter().chain([folder.join(DECIDED_FOLDER)]);
    let has_sign = signs
        .into_iter()
        .any(|path| fs::symlink_metadata(path).is_ok());
    if has_sign || published::is_results_folder(folder) {
        return Ok(true);
    }
    if let Published::DamagedManifest(fault) = published::read_manifest(folder) {
        return Err(StoreError::Unknown {
            path: folder.to_owned(),
            fault,
        });
    }
    let names = entries(folder)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        (!name.starts_with('.')).then_some(name)
    });
    match names.min() {
        None => Ok(false),
        Some(file) => Err(StoreError::Foreign {
            path: folder.to_owned(),
            file,
        }),
    }
}
