//! The checkpoint of a search: what is found and measured of the first of its points.

use crate::checkpoints::CheckpointFile;
use crate::error::{RunError, stage_error};
use crate::stage_results::{records_from_bytes, records_to_bytes};
use gap_schema::Record;
use gap_torch::checkpoint::Checkpoint;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The name of the scratch file of a search.
pub const SEARCH_CHECKPOINT: &str = "search";

const PARAMS_KEY: &str = "params";
const RECORDS_KEY: &str = "records";

/// What is found and measured of the first points of a search. It goes on with the next ones, bit for bit, since no
/// point's result depends on the others.
#[derive(Default)]
pub struct SearchProgress {
    /// The records.
    pub records: Vec<Record>,
    /// `λ` of the points, in batches `[B, Q]`.
    pub params: Vec<Tensor>,
}

impl SearchProgress {
    /// What is in `file`, with tensors on `device`; nothing if there is no checkpoint.
    pub fn load(file: &CheckpointFile, device: Device) -> Self {
        file.load()
            .and_then(|bytes| Self::from_bytes(&bytes, device))
            .unwrap_or_default()
    }

    /// The number of points that are done.
    pub fn n_done(&self) -> usize {
        self.params
            .iter()
            .map(|batch| batch.size()[0] as usize)
            .sum()
    }

    /// Writes all that is done to `file`.
    ///
    /// # Errors
    ///
    /// [`RunError`] if it cannot be written.
    pub fn save(&self, file: &CheckpointFile) -> Result<(), RunError> {
        let mut checkpoint = Checkpoint::new();
        let records = records_to_bytes(&self.records)?;
        checkpoint.insert(PARAMS_KEY, &Tensor::cat(&self.params, 0));
        checkpoint.insert(RECORDS_KEY, &Tensor::from_slice(&records));
        let bytes = checkpoint.to_bytes().map_err(stage_error)?;
        Ok(file.save(&bytes)?)
    }

    fn from_bytes(bytes: &[u8], device: Device) -> Option<Self> {
        let checkpoint = Checkpoint::from_bytes(bytes).ok()?;
        let params = checkpoint.get(PARAMS_KEY, device).ok()?;
        let records = checkpoint.get(RECORDS_KEY, Device::Cpu).ok()?;
        if params.dim() != 2 || records.kind() != Kind::Uint8 {
            return None;
        }
        let records: Vec<u8> = Vec::try_from(&records).ok()?;
        Some(Self {
            records: records_from_bytes(&records, Path::new(SEARCH_CHECKPOINT)).ok()?,
            params: vec![params],
        })
    }
}
