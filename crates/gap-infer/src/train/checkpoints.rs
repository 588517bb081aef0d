//! Checkpoints of a fit, from which it goes on bit for bit.

use crate::inference::InferError;
use gap_model::OptimizerState;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use tch::{Device, Kind, Tensor};

/// What surrounds a fit: who is told how far it is, and where its checkpoints are kept.
///
/// A function of the fraction that is done is a context without checkpoints.
pub trait FitContext {
    /// Takes note of the fraction of steps that are done.
    fn report_progress(&self, fraction: f64);

    /// The latest checkpoint of this fit, if there is one.
    fn load_checkpoint(&self) -> Option<Vec<u8>> {
        None
    }

    /// Whether a checkpoint should be saved now. It is asked after every hundred steps.
    fn is_checkpoint_due(&self) -> bool {
        false
    }

    /// Replaces the latest checkpoint.
    ///
    /// # Errors
    ///
    /// [`InferError::Checkpoint`] if it cannot be kept.
    fn save_checkpoint(&self, _checkpoint: &[u8]) -> Result<(), InferError> {
        Ok(())
    }
}

impl<F: Fn(f64)> FitContext for F {
    fn report_progress(&self, fraction: f64) {
        self(fraction);
    }
}

/// The state of a fit between two steps.
#[derive(Debug)]
pub struct FitState {
    /// The steps that are done.
    pub step: u32,
    /// The wall time that they took, seconds.
    pub seconds: f64,
    /// How far the stream of noise has been read.
    pub noise_position: u128,
    /// The state of the encoder's optimizer.
    pub encoder: OptimizerState,
    /// The states of the optimizers of what is fitted with it.
    pub scores: Vec<OptimizerState>,
}

const STEP_KEY: &str = "step";
const SECONDS_KEY: &str = "seconds";
const NOISE_KEY: &str = "noise-position";
const ENCODER_KEY: &str = "encoder";
const SCORES_KEY: &str = "scores";

impl FitState {
    /// The content of a checkpoint.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut checkpoint = Checkpoint::new();
        let noise = [
            self.noise_position as u64,
            (self.noise_position >> 64) as u64,
        ];
        checkpoint.insert(STEP_KEY, &Tensor::from_slice(&[i64::from(self.step)]));
        checkpoint.insert(SECONDS_KEY, &Tensor::from_slice(&[self.seconds]));
        checkpoint.insert(NOISE_KEY, &Tensor::from_slice(&noise.map(u64::cast_signed)));
        insert_optimizer(&mut checkpoint, ENCODER_KEY, &self.encoder);
        for (i, state) in self.scores.iter().enumerate() {
            insert_optimizer(&mut checkpoint, &format!("{SCORES_KEY}.{i}"), state);
        }
        checkpoint.to_bytes()
    }

    /// Reads what [`FitState::to_bytes`] returned for a fit with `n_scores` optimizers besides the encoder's; `None` if
    /// it is anything else.
    pub fn from_bytes(bytes: &[u8], n_scores: usize) -> Option<Self> {
        let checkpoint = Checkpoint::from_bytes(bytes).ok()?;
        let integers = |key: &str| -> Option<Vec<i64>> {
            let tensor = checkpoint.get(key, Device::Cpu).ok()?;
            let is_right = tensor.kind() == Kind::Int64 && tensor.dim() == 1;
            is_right.then(|| Vec::try_from(&tensor).ok())?
        };
        let [step] = integers(STEP_KEY)?[..] else {
            return None;
        };
        let [low, high] = integers(NOISE_KEY)?[..] else {
            return None;
        };
        let seconds = checkpoint.get(SECONDS_KEY, Device::Cpu).ok()?;
        let scores =
            (0..n_scores).map(|i| get_optimizer(&checkpoint, &format!("{SCORES_KEY}.{i}")));
        Some(Self {
            step: u32::try_from(step).ok()?,
            seconds: f64::try_from(&seconds).ok()?,
            noise_position: u128::from(low.cast_unsigned())
                | u128::from(high.cast_unsigned()) << 64,
            encoder: get_optimizer(&checkpoint, ENCODER_KEY)?,
            scores: scores.collect::<Option<_>>()?,
        })
    }
}

fn insert_optimizer(checkpoint: &mut Checkpoint, key: &str, state: &OptimizerState) {
    let n_steps = Tensor::from_slice(&[i64::from(state.n_steps)]);
    checkpoint.insert(format!("{key}.steps"), &n_steps);
    checkpoint.insert(format!("{key}.numbers"), &state.numbers);
}

fn get_optimizer(checkpoint: &Checkpoint, key: &str) -> Option<OptimizerState> {
    let n_steps = checkpoint.get(&format!("{key}.steps"), Device::Cpu).ok()?;
    Some(OptimizerState {
        n_steps: i32::try_from(i64::try_from(&n_steps).ok()?).ok()?,
        numbers: checkpoint
            .get(&format!("{key}.numbers"), Device::Cpu)
            .ok()?,
    })
}
