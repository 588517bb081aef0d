//! Results on disk: files that are whole or not there, and digests that they are checked by.
//!
//! A [`Store`] is the folder of one experiment's results. Each finished stage has a folder in it whose
//! manifest names the stage and the digest of every file; a stage is worked on under a [`Claim`], so that
//! several runs can share one folder. What a finished run publishes is described by one manifest,
//! `provenance.json`, which is replaced last: [`published`] reads and writes that. Nothing here knows what the
//! files contain, nothing is deleted that is not ours, and no link in the folder is followed.

mod claim;
mod digests;
mod disk;
mod error;
mod ownership;
mod publication;
pub mod published;
mod scratch;
mod sealed_json;
mod stage_files;
mod stages_folder;
mod store;

pub use claim::Claim;
pub use digests::{FileDigest, FileDigests, FileFault, FileFaultKind};
pub use error::StoreError;
pub use scratch::Scratch;
pub use sealed_json::{SealError, seal, unseal};
pub use stage_files::{StageInput, StageOutput};
pub use stages_folder::{StageState, StagesFolder};
pub use store::{Status, Store, owner_fault, status};
