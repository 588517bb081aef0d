//! What a stage keeps while it is at work, so that a process that is killed loses little.

use crate::disk::{check_folder_or_nothing, make_folder, replace_file};
use crate::error::StoreError;
use gap_spec::input_file;
use std::path::PathBuf;

/// The folder of the files that one stage keeps until it is published. The stage has to be claimed.
#[derive(Clone, Debug)]
pub struct Scratch {
    folder: PathBuf,
}

/// The size of the longest file that is read.
const MOST_BYTES: u64 = 1 << 36;
const DIGEST_BYTES: usize = blake3::OUT_LEN;

impl Scratch {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The content that the file was given last; `None` if there is none, or if it is not what was written: what a
    /// disk has damaged is made again.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut content = input_file::read(&self.folder.join(name), MOST_BYTES).ok()?;
        let own = content.split_off(content.len().min(DIGEST_BYTES));
        (content == blake3::hash(&own).as_bytes()).then_some(own)
    }

    /// Gives the file another content, by one rename.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the disk refuses.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        check_folder_or_nothing(&self.folder)?;
        make_folder(&self.folder)?;
        let sealed = [blake3::hash(content).as_bytes(), content].concat();
        replace_file(&self.folder.join(name), &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::death;
    use std::fs;

    #[test]
    fn a_file_that_is_not_what_was_written_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path().join("stage"));
        assert_eq!(scratch.read("fit"), None);
        scratch.replace("fit", b"first").unwrap();
        scratch.replace("fit", b"second").unwrap();
        assert_eq!(scratch.read("fit").unwrap(), b"second");
        let path = folder.path().join("stage/fit");
        let whole = fs::read(&path).unwrap();
        for damaged in [
            &[],
            &whole[..10],
            &whole[..whole.len() - 1],
            &[&whole[..], b"x"].concat(),
        ] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(scratch.read("fit"), None);
        }
    }

    #[test]
    fn a_process_that_is_killed_while_it_writes_leaves_the_content_before_or_after() {
        for changes in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let scratch = Scratch::new(folder.path().join("stage"));
            scratch.replace("fit", b"before").unwrap();
            let written = death::after(changes, || scratch.replace("fit", b"after"));
            let found = scratch.read("fit").unwrap();
            if written.is_ok() {
                assert_eq!(found, b"after");
                break;
            }
            assert_eq!(found, b"before");
            scratch.replace("fit", b"after").unwrap();
            assert_eq!(scratch.read("fit").unwrap(), b"after");
        }
    }
}
