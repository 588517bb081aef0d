//! Writing to disk, with errors that say what to do.
//!
//! Every change of a folder of results is made by a function of this file, and none of them follows a link in
//! that folder.

use crate::error::StoreError;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The error of a file or folder that cannot be used.
pub fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| write_error(path, 0, source)
}

/// Writes a new file, and waits until it is on the disk. A file that could not be written whole is removed.
pub fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    step(path)?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        if step(path).is_err() {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("killed while it wrote"));
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| {
        let _ = remove_if_there(path);
        write_error(path, bytes.len(), source)
    })
}

/// Replaces the file `path` by one rename. Only one process may do so at a time.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY_SUFFIX);
    let temporary = path.with_file_name(name);
    remove_if_there(&temporary)?;
    write_new_file(&temporary, bytes)?;
    rename(&temporary, path)
}

/// How the names of files end that are about to be renamed.
pub const TEMPORARY_SUFFIX: &str = ".new";

fn write_error(path: &Path, needed: usize, source: io::Error) -> StoreError {
    let no_room = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::FileTooLarge,
    ];
    let path = path.to_owned();
    if !no_room.contains(&source.kind()) {
        return StoreError::Unwritable { path, source };
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let free = rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    StoreError::NoRoom {
        path,
        needed: needed as u64,
        free,
        source,
    }
}

/// Moves a file or a folder; a file that was at `to` is replaced.
pub fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    step(to)?;
    fs::rename(from, to).map_err(unwritable(to))
}

/// Makes a folder, and those that it lies in.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    step(path)?;
    fs::create_dir_all(path).map_err(unwritable(path))
}

/// Gives the content of the file `from` the second name `to`, which costs no room. On a file system without
/// second names, it is copied.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    step(to)?;
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(|_| ()))
        .map_err(unwritable(to))
}

/// Removes a file or a folder with all that is in it; a link itself, not what it leads to.
pub fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(unwritable(path))?,
    };
    step(path)?;
    let removed = if found.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(unwritable(path)),
    }
}

/// Opens the file `path` to lock it, and makes it if need be. Its content is left as it is.
pub fn open_lock_file(path: &Path) -> Result<File, StoreError> {
    check_file_or_nothing(path)?;
    // Should a link or a FIFO take the path meanwhile, the first is not followed and the second not waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(unwritable(path))?;
    let found = file.metadata().map_err(unwritable(path))?;
    check_kind(path, found.file_type(), "a file", FileType::is_file)?;
    Ok(file)
}

/// Refuses a link, and whatever else is at `path` but a folder.
pub fn check_folder_or_nothing(path: &Path) -> Result<(), StoreError> {
    check_kind_at(path, "a folder", FileType::is_dir)
}

/// Refuses a link, and whatever else is at `path` but a file.
pub fn check_file_or_nothing(path: &Path) -> Result<(), StoreError> {
    check_kind_at(path, "a file", FileType::is_file)
}

fn check_kind_at(
    path: &Path,
    needed: &'static str,
    is_needed: fn(&FileType) -> bool,
) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) => check_kind(path, found.file_type(), needed, is_needed),
        Err(_) => Ok(()),
    }
}

fn check_kind(
    path: &Path,
    found: FileType,
    needed: &'static str,
    is_needed: fn(&FileType) -> bool,
) -> Result<(), StoreError> {
    let path = path.to_owned();
    if is_needed(&found) {
        Ok(())
    } else if found.is_symlink() {
        Err(StoreError::Link { path })
    } else {
        let found = match found {
            _ if found.is_dir() => "a folder",
            _ if found.is_file() => "a file",
            _ => "a FIFO, a socket or a device",
        };
        Err(StoreError::InTheWay {
            path,
            found,
            needed,
        })
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

/// The first of `places` in `folder` where nothing is: `name`, `name-2`, `name-3` and so on.
pub fn first_free_place(folder: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|n| folder.join(format!("{name}-{n}")));
    std::iter::once(folder.join(name))
        .chain(numbered)
        .find(|place| fs::symlink_metadata(place).is_err())
        .expect("there are more numbers than folders")
}

/// One change of the disk. In tests the process can be dead from some change on.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it fails")]
const fn step(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
fn step(path: &Path) -> Result<(), StoreError> {
    death::step().map_err(|source| StoreError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

/// Lets a test kill its thread's writing at a moment: from then on, no change of the disk is made.
#[cfg(test)]
pub mod death {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static CHANGES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// What `work` gives if only its first `changes` changes of the disk are made.
    pub fn after<T>(changes: u32, work: impl FnOnce() -> T) -> T {
        CHANGES_LEFT.set(Some(changes));
        let result = work();
        CHANGES_LEFT.set(None);
        result
    }

    pub(super) fn step() -> io::Result<()> {
        match CHANGES_LEFT.get() {
            Some(0) => Err(io::Error::other("killed")),
            Some(n) => {
                CHANGES_LEFT.set(Some(n - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
