//! The importance-weighted bound with as many draws as a target for the standard error requires.

mod proposal;

use crate::estimate::{Accumulator, Estimate, EstimateError};
use crate::importance::ImportanceWeightStats;
use gap_data::Batch;
use gap_infer::{RowTransform, VariationalFamily, VariationalParams};
use gap_model::{FloatNumber, JointRowEvaluator, LatentVariableModel};
use gap_spec::AdaptiveSpec;
use gap_torch::SeedKey;
use proposal::{FittedPosterior, Proposal};
use std::time::Instant;
use tch::Kind;

/// Returns one estimate for each datapoint, from draws that depend only on `key` and the datapoint.
///
/// The number of draws, `K`, is doubled until the standard error is below a target, or a cap is reached.
///
/// `K` is chosen on separate draws, and the estimate is made from as many others: it would be biased if it
/// stopped where its own error happened to look small. So every datapoint takes `2 K` draws.
///
/// With a share of draws from the prior, the proposal is `(1 − share) q + share p(z)`, and no weight exceeds
/// `p(x | z) / share`. A `q` that is narrower than the posterior somewhere then cannot give weights without
/// bound (the defensive mixture of Hesterberg 1995).
///
/// # Errors
///
/// [`EstimateError`] if sizes do not fit, or if a share of the draws is to come from the prior and the family
/// has no density there.
pub fn estimate_adaptively(
    settings: &AdaptiveSpec,
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    batch: &Batch,
    key: SeedKey,
) -> Result<Vec<Estimate>, EstimateError> {
    match model.kind() {
        Kind::Double => typed_estimates::<f64>(settings, model, family, params, batch, key),
        _ => typed_estimates::<f32>(settings, model, family, params, batch, key),
    }
}

/// [`estimate_adaptively`], with draws of type `T`.
fn typed_estimates<'a, T: FloatNumber>(
    settings: &AdaptiveSpec,
    model: &dyn LatentVariableModel,
    family: &'a dyn VariationalFamily,
    params: &'a VariationalParams,
    batch: &Batch,
    key: SeedKey,
) -> Result<Vec<Estimate>, EstimateError>
where
    dyn VariationalFamily + 'a: RowTransform<T>,
{
    let _no_grad = tch::no_grad_guard();
    if settings.prior_share > 0.0 && family.evaluable_density().is_none() {
        return Err(EstimateError::NoDensity);
    }
    let q: FittedPosterior<T> = FittedPosterior::new(family, params);
    let mut joint = JointRowEvaluator::new(model, batch.x())?;
    let mut estimate_point = |(point, &id): (usize, &u64)| {
        let clock = Instant::now();
        let weights =
            |role: &str| Proposal::new(&q, point, id, settings.prior_share, key.for_role(role));
        let n_samples = choose_n_samples(settings, &mut joint, weights("judge"))?;
        let mut reported = ImportanceWeightStats::with_capacity_for_draws(n_samples);
        weights("report").weigh(&mut joint, n_samples, &mut reported)?;
        let mut estimate = reported.finish();
        estimate.diagnostics.seconds = clock.elapsed().as_secs_f64();
        estimate.diagnostics.joint_evaluations = 2 * n_samples;
        Ok(estimate)
    };
    batch
        .ids()
        .iter()
        .enumerate()
        .map(&mut estimate_point)
        .collect()
}

/// Doubles `K` until the standard error is at most the target or `K` is at its limit, and returns `K`.
fn choose_n_samples<'a, T: FloatNumber>(
    settings: &AdaptiveSpec,
    joint: &mut JointRowEvaluator,
    mut from: Proposal<'_, 'a, T>,
) -> Result<u64, EstimateError>
where
    dyn VariationalFamily + 'a: RowTransform<T>,
{
    let most_samples = u64::from(settings.most_samples.get());
    let mut weights = ImportanceWeightStats::with_capacity_for_draws(most_samples);
    let (mut n_samples, mut taken) = (u64::from(settings.first_samples.get()), 0);
    loop {
        from.weigh(joint, n_samples - taken, &mut weights)?;
        taken = n_samples;
        let is_wide = weights.weights.std_error() > settings.target_std_error_nats.get();
        if !is_wide || n_samples >= most_samples {
            return Ok(n_samples);
        }
        n_samples = (2 * n_samples).min(most_samples);
    }
}
