//! Claims: what one process works on, no other does.

use crate::disk::unwritable;
use crate::error::StoreError;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The exclusive right to work on something, held by a lock on a file.
///
/// The system gives up the lock when the process ends, however it ends, so that a claim of a dead process is
/// none. The file is removed with the claim.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Takes the claim `path`, unless another holds it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn try_take(path: &Path) -> Result<Option<Self>, StoreError> {
        loop {
            let file = File::create(path).map_err(unwritable(path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(unwritable(path)(source)),
            }
            if is_file_at(&file, path) {
                return Ok(Some(Self {
                    path: path.to_owned(),
                    _lock: file,
                }));
            }
        }
    }

    /// Takes the claim `path`, and waits for it where another holds it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritable`].
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        loop {
            let file = File::create(path).map_err(unwritable(path))?;
            file.lock().map_err(unwritable(path))?;
            if is_file_at(&file, path) {
                return Ok(Self {
                    path: path.to_owned(),
                    _lock: file,
                });
            }
        }
    }

    /// Whether a process holds the claim `path`.
    pub fn is_held(path: &Path) -> bool {
        let file = File::open(path);
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held, so that nobody holds a lock on a file that is about to be removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `path` is still the file that was opened: the holder before may have removed it meanwhile.
#[cfg(unix)]
fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(there)) => identity(opened) == identity(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_file_at(_: &File, path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_at_a_time_holds_a_claim() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claim");
        let claim = Claim::try_take(&path).unwrap().unwrap();
        assert!(Claim::is_held(&path));
        assert!(Claim::try_take(&path).unwrap().is_none());
        drop(claim);
        assert!(!Claim::is_held(&path) && !path.exists());
        assert!(Claim::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn claims_that_are_taken_and_dropped_at_once_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claim");
        let holders = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let claim = Claim::take(&path).unwrap();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}
