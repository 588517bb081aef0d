//! Free-form inference: an ascent of its own for each datapoint, until the certificate is content.

use crate::ascent::{Ascent, AscentSettings, Average, retain_rows, to_rows};
use crate::certificate::{self, Remaining};
use crate::encoder::Encoder;
use crate::family::{DiagonalGaussian, VariationalFamily, VariationalParams};
use crate::inference::{FitCost, FittedBatch, InferError, Inference, Stop};
use gap_data::Batch;
use gap_model::LatentVariableModel;
use gap_torch::{SeedKey, mean_over_samples, sobol_normal};
use std::time::Instant;
use tch::{Device, Tensor};

/// Steps in the first block; each block is twice as long as the one before.
const FIRST_BLOCK: u32 = 64;

/// From block to block the step size shrinks by this much: less noise in a longer average.
const STEP_FACTOR: f64 = 0.7;

/// Draws on which the ends of several starts are compared, common to both.
const SELECTION_DRAWS: i64 = 512;

/// Where an ascent starts.
#[derive(Clone, Copy)]
pub enum StartingPoint<'a> {
    /// The standard normal.
    Prior,
    /// The output of an encoder.
    Encoder(&'a Encoder),
}

/// Ascent in blocks. Within a block Adam runs at a fixed step size on scrambled Sobol draws that are
/// new at each step; the second half of its iterates is averaged (Polyak and Juditsky 1992), and the
/// certificate judges the average on draws of its own. A datapoint that is not done goes on from
/// the average with a longer block. Each average is polished by one Newton step from the scores that
/// the certificate needs anyway.
pub struct FreeForm<'a> {
    /// The family.
    pub family: DiagonalGaussian,
    /// Where to start; with several, the better end is kept for each datapoint.
    pub starts: Vec<StartingPoint<'a>>,
    /// The ascent's settings; its step size is that of the first block.
    pub ascent: AscentSettings,
    /// A datapoint is done when its remaining distance, two standard errors added, is below, nats.
    pub tolerance_nats: f64,
    /// Steps after which a datapoint is given up.
    pub max_steps: u32,
}

/// The ends of an ascent, and which start led to each.
#[derive(Debug)]
pub struct FreeFormFit {
    /// `q*` of each datapoint; the cost is that of all starts.
    pub fitted: FittedBatch,
    /// The index into [`FreeForm::starts`] of the start that won.
    pub won_by: Vec<usize>,
}

impl FreeForm<'_> {
    /// `q*` for each datapoint, from the better of the starts.
    ///
    /// # Errors
    ///
    /// [`InferError`] if sizes do not fit.
    pub fn search(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FreeFormFit, InferError> {
        let mut best: Option<(FreeFormFit, Vec<f64>)> = None;
        for (i, start) in self.starts.iter().enumerate() {
            let started_at = match start {
                StartingPoint::Prior => self
                    .family
                    .prior_like_params(batch.len() as i64, model.device()),
                StartingPoint::Encoder(encoder) => encoder.encode(batch.x()),
            };
            let fitted =
                self.ascend(model, batch, started_at, key.role("start").index(i as u64))?;
            let elbo = if self.starts.len() > 1 {
                self.selection_elbo(model, batch, &fitted.params, key)?
            } else {
                Vec::new()
            };
            best = Some(match best {
                None => (
                    FreeFormFit {
                        won_by: vec![i; batch.len()],
                        fitted,
                    },
                    elbo,
                ),
                Some((so_far, so_far_elbo)) => better(so_far, so_far_elbo, fitted, &elbo, i),
            });
        }
        Ok(best.expect("a checked spec has a start").0)
    }

    fn selection_elbo(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        params: &VariationalParams,
        key: SeedKey,
    ) -> Result<Vec<f64>, InferError> {
        let _no_grad = tch::no_grad_guard();
        let noise = sobol_normal(
            key.role("selection"),
            SELECTION_DRAWS,
            self.family.latent_dim(),
            model.device(),
        );
        let draws = self.family.transform(params, &noise);
        let log_weights = model.log_joint(batch.x(), &draws.z)? - draws.log_q;
        let elbo = mean_over_samples(&log_weights).to_device(Device::Cpu);
        Ok(Vec::<f64>::try_from(elbo).expect("an ELBO is a double"))
    }

    fn ascend(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        start: VariationalParams,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        let width = self.family.param_dim() as usize;
        let mut ascent = Ascent::new(model, &self.family, batch.x(), &start, self.ascent, key);
        let mut ends = to_rows(&start.0);
        let mut stops = vec![Stop::NonFinite { step: 0 }; batch.len()];
        let mut costs = vec![FitCost::default(); batch.len()];
        let mut rows: Vec<usize> = (0..batch.len()).collect();
        let mut blocks = 0;
        while !rows.is_empty() {
            let block = (FIRST_BLOCK << blocks)
                .min(self.max_steps - ascent.steps())
                .max(1);
            let average = self.run_block(&mut ascent, block)?;
            let (params, remaining) =
                self.polish(&mut ascent, average, key.role("certificate").index(blocks))?;
            blocks += 1;
            let certificates = 2 * blocks * certificate::joint_gradients(self.family.latent_dim());
            let spent = ascent.steps() >= self.max_steps;
            let mut keep = vec![false; rows.len()];
            for (row, &b) in rows.iter().enumerate() {
                let stop = self.stop(ascent.failed_at[row], remaining[row], ascent.steps(), spent);
                keep[row] = stop.is_none();
                stops[b] = stop.unwrap_or(stops[b]);
                costs[b] = FitCost {
                    seconds: ascent.seconds[row],
                    joint_gradients: u64::from(ascent.steps()) * u64::from(self.ascent.n_samples)
                        + certificates,
                };
                // A failed row keeps its last finite iterate.
                let source = if ascent.failed_at[row].is_some() {
                    &ascent.params
                } else {
                    &params
                };
                ends[b * width..(b + 1) * width]
                    .copy_from_slice(&source[row * width..(row + 1) * width]);
            }
            ascent.continue_from(params, STEP_FACTOR);
            if keep.iter().any(|&kept| !kept) {
                ascent.retain(&keep);
                retain_rows(&mut rows, 1, &keep);
            }
        }
        let params = Tensor::from_slice(&ends)
            .view([batch.len() as i64, width as i64])
            .to_device(model.device());
        Ok(FittedBatch {
            params: VariationalParams(params),
            stops,
            costs,
        })
    }

    /// One Newton step from `average`, kept wherever a certificate on draws of its own does not
    /// speak against it; and the certificate of what was kept.
    ///
    /// The average of an ascent on common draws misses every optimum in the same direction, so its
    /// error does not average out over datapoints: on a linear-Gaussian model 0.002 nats were left
    /// of a tolerance of 0.005, more than a well-fitted encoder's gap.
    fn polish(
        &self,
        ascent: &mut Ascent,
        average: Vec<f32>,
        key: SeedKey,
    ) -> Result<(Vec<f32>, Vec<Remaining>), InferError> {
        let clock = Instant::now();
        let width = self.family.param_dim() as usize;
        let certify = |ascent: &Ascent, params: &[f32], key| {
            certificate::certify(
                ascent.model,
                &self.family,
                &ascent.tensor(params),
                ascent.x(),
                key,
            )
        };
        let before = certify(ascent, &average, key.role("before"))?;
        let mut params = average.clone();
        for (row, certificate) in params.chunks_exact_mut(width).zip(&before) {
            for (value, step) in row.iter_mut().zip(&certificate.newton_step) {
                *value += step;
            }
        }
        let after = certify(ascent, &params, key.role("after"))?;
        let mut remaining = Vec::with_capacity(before.len());
        for (b, (before, after)) in before.iter().zip(&after).enumerate() {
            let (before, after) = (before.remaining, after.remaining);
            let noise = 2.0 * before.std_error_nats.hypot(after.std_error_nats);
            // Written so that a NaN speaks against the step.
            if after.nats <= before.nats + noise {
                remaining.push(after);
            } else {
                let own = b * width..(b + 1) * width;
                params[own.clone()].copy_from_slice(&average[own]);
                remaining.push(before);
            }
        }
        ascent.spend(clock);
        Ok((params, remaining))
    }

    /// A block of steps, and the mean of its second half.
    fn run_block(&self, ascent: &mut Ascent, steps: u32) -> Result<Vec<f32>, InferError> {
        let mut average = Average::new(ascent.params.len());
        for step in 0..steps {
            ascent.advance()?;
            if step >= steps / 2 {
                average.add(&ascent.params);
            }
        }
        Ok(average.mean())
    }

    fn stop(
        &self,
        failed_at: Option<u32>,
        remaining: Remaining,
        steps: u32,
        spent: bool,
    ) -> Option<Stop> {
        if let Some(step) = failed_at {
            return Some(Stop::NonFinite { step });
        }
        if remaining.upper() < self.tolerance_nats {
            Some(Stop::Converged { steps, remaining })
        } else if spent {
            Some(Stop::BudgetSpent { steps, remaining })
        } else {
            None
        }
    }
}

/// For each datapoint the end with the higher ELBO; a finite one wins over one that is not.
fn better(
    mut so_far: FreeFormFit,
    mut so_far_elbo: Vec<f64>,
    challenger: FittedBatch,
    elbo: &[f64],
    index: usize,
) -> (FreeFormFit, Vec<f64>) {
    let fitted = &mut so_far.fitted;
    for b in 0..elbo.len() {
        let spent = fitted.costs[b];
        fitted.costs[b] = FitCost {
            seconds: spent.seconds + challenger.costs[b].seconds,
            joint_gradients: spent.joint_gradients + challenger.costs[b].joint_gradients,
        };
        if elbo[b] > so_far_elbo[b] || (so_far_elbo[b].is_nan() && !elbo[b].is_nan()) {
            so_far_elbo[b] = elbo[b];
            so_far.won_by[b] = index;
            fitted.stops[b] = challenger.stops[b];
            fitted
                .params
                .0
                .get(b as i64)
                .copy_(&challenger.params.0.get(b as i64));
        }
    }
    (so_far, so_far_elbo)
}

impl Inference for FreeForm<'_> {
    fn family(&self) -> &dyn VariationalFamily {
        &self.family
    }

    fn infer(
        &self,
        model: &dyn LatentVariableModel,
        batch: &Batch,
        key: SeedKey,
    ) -> Result<FittedBatch, InferError> {
        Ok(self.search(model, batch, key)?.fitted)
    }
}
