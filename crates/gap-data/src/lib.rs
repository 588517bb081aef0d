//! Arrays of observations with identity: every datapoint keeps its id, every transformation its name.
//!
//! [`catalog()`] lists what can be asked for by name and [`load`] reads it; [`Dataset`] is an array
//! with ids, [`Batch`] a few of its rows. Nothing is downloaded, and labels are never read:
//! amortization gaps need none.

mod batch;
mod binarize;
mod catalog;
mod dataset;
mod digits;
mod error;
pub mod idx;

pub use batch::Batch;
pub use binarize::binarize;
pub use catalog::{
    CatalogEntry, ChecksumResult, DataFile, LoadOptions, Splits, catalog, check, entry, load,
};
pub use dataset::Dataset;
pub use error::DataError;
