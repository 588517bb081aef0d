//! The files of a stage, as they are made and as they are read.

use crate::error::StoreError;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The files that a stage leaves: kept in memory until the stage is published with all of them.
#[derive(Debug, Default)]
pub struct StageOutput {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    earlier_seconds: Mutex<f64>,
}

impl StageOutput {
    /// Keeps a file of the name `name`.
    pub fn add(&self, name: &str, content: impl Into<Vec<u8>>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(name.to_owned(), content.into());
    }

    /// Takes note of the wall time of processes that worked on the stage before this one, seconds.
    pub fn set_earlier_seconds(&self, seconds: f64) {
        let earlier = self.earlier_seconds.lock();
        *earlier.unwrap_or_else(PoisonError::into_inner) = seconds;
    }

    /// That wall time, seconds.
    pub fn earlier_seconds(&self) -> f64 {
        let earlier = self.earlier_seconds.lock();
        *earlier.unwrap_or_else(PoisonError::into_inner)
    }

    /// The files, by name.
    pub fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.into_inner();
        files.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a finished stage, for the stages after it.
#[derive(Clone, Copy, Debug)]
pub struct StageInput<'a> {
    store: &'a Store,
    stage: &'a str,
}

impl<'a> StageInput<'a> {
    /// Those of `stage`.
    pub const fn new(store: &'a Store, stage: &'a str) -> Self {
        Self { store, stage }
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if it is not there, or not what the stage left.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        self.store.stages().read_file(self.stage, name)
    }
}
