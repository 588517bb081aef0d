//! Data sets: arrays of observations in which every datapoint keeps its id.
//!
//! [`catalog()`] lists the data sets that [`load`] can load by name. A [`Dataset`] is an array with an id for
//! each row, and has a name of its own after every transformation; a [`Batch`] is a few rows of a data set.
//! Nothing is downloaded, and labels are ignored, since amortization gaps do not depend on them.

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
