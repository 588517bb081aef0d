//! Amortized inference: one forward pass.

use crate::encoder::{Encode, encoded_params};
use crate::family::VariationalFamily;
use crate::inference::{FitCost, FittedBatch, InferError, Inference, StopReason};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::{SeedKey, device};
use std::time::Instant;

/// Takes `q` directly from the encoder's output.
pub struct AmortizedInference<'a> {
    /// The family.
    pub family: &'a dyn VariationalFamily,
    /// The encoder.
    pub encoder: &'a dyn Encode,
}

impl Inference for AmortizedInference<'_> {
    fn variational_family(&self) -> &dyn VariationalFamily {
        self.family
    }

    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        _key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        let clock = Instant::now();
        let params = encoded_params(self.encoder, &[self.family.param_dim()], batch.x())?;
        device::synchronize(model.device());
        let cost = FitCost {
            seconds: clock.elapsed().as_secs_f64() / batch.len() as f64,
            joint_gradients: 0,
        };
        Ok(FittedBatch {
            params,
            stops: vec![StopReason::Direct { steps: 0 }; batch.len()],
            costs: vec![cost; batch.len()],
        })
    }
}
