//! Claims: what one process works on, no other does.

use crate::disk::{open_lock_file, unwritable};
use crate::error::StoreError;
use gap_spec::input_file;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
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
    /// [`StoreError`] if there cannot be a file, or is something else.
    pub fn try_take(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::take_by(path, |file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
    }

    /// Takes the claim `path`, and waits for it where another holds it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there cannot be a file, or is something else.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let taken = Self::take_by(path, |file| file.lock().map(|()| true))?;
        Ok(taken.expect("the lock was waited for"))
    }

    /// Takes the claim `path` if `lock` locks its file.
    fn take_by(
        path: &Path,
        lock: impl Fn(&File) -> io::Result<bool>,
    ) -> Result<Option<Self>, StoreError> {
        loop {
            let file = open_lock_file(path)?;
            if !lock(&file).map_err(unwritable(path))? {
                return Ok(None);
            }
            // The holder before may have removed the file between the two lines above.
            if is_file_at(&file, path) {
                return Ok(Some(Self {
                    path: path.to_owned(),
                    _lock: file,
                }));
            }
        }
    }

    /// Whether a process holds the claim `path`.
    pub fn is_held(path: &Path) -> bool {
        let file = input_file::open(path);
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held, so that nobody holds a lock on a file that is about to be removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the file that was opened is the one at `path`.
fn is_file_at(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(opened), Ok(there)) => identity(opened) == identity(there),
        _ => false,
    }
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

    #[test]
    fn a_claim_follows_no_link_and_waits_for_no_fifo() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link, fifo] = ["target", "link", "fifo"].map(|name| folder.path().join(name));
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = Claim::take(&link).unwrap_err();
        assert!(matches!(error, StoreError::Link { .. }), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"mine");
        // A claim that is taken empties no file either.
        drop(Claim::take(&target).unwrap());
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        for error in [Claim::take(&fifo), Claim::take(folder.path())] {
            let error = error.unwrap_err();
            assert!(matches!(error, StoreError::InTheWay { .. }), "{error}");
        }
        assert!(Claim::try_take(&fifo).is_err() && !Claim::is_held(&fifo));
    }
}
