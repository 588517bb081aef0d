//! Writing to disk, with errors that say what to do.

use crate::error::StoreError;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The error of a file or folder that cannot be used.
pub fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Unwritable {
        path: path.to_owned(),
        source,
    }
}

/// Writes a new file, and waits until it is on the disk. A file that could not be written whole is removed.
pub fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| {
        let _ = fs::remove_file(path);
        write_error(path, bytes.len(), source)
    })
}

/// Replaces the file `path` by one rename. Only one process may do so at a time.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY_SUFFIX);
    let temporary = path.with_file_name(name);
    write_new_file(&temporary, bytes)?;
    fs::rename(&temporary, path).map_err(unwritable(path))
}

/// How the names of files end that are about to be renamed.
pub const TEMPORARY_SUFFIX: &str = ".new";

fn write_error(path: &Path, needed: usize, source: io::Error) -> StoreError {
    let no_room = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::FileTooLarge,
    ];
    if !no_room.contains(&source.kind()) {
        return unwritable(path)(source);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let free = rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    StoreError::NoRoom {
        path: path.to_owned(),
        needed: needed as u64,
        free,
        source,
    }
}

/// Refuses a link; what is not there is no link.
pub fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(StoreError::Link {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Removes a file or a folder with all that is in it; a link itself, not what it leads to.
pub fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path)(error)),
        _ => Ok(()),
    }
}

/// Waits until the names in a folder are on the disk.
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(unwritable(path))
}

/// The paths in a folder, in no order; none if it is not there.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(unwritable(folder)),
    }
}
