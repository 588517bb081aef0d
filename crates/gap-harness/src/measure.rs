//! Turns fitted `q`s into records: one row for each datapoint, method and estimator.

use crate::encoders::EncoderFit;
use crate::error::{RunError, stage_error};
use gap_data::Batch;
use gap_estimate::{
    ClosedForms, Estimate, EstimationTask, PosteriorEstimator, estimate_each, posterior_estimator,
};
use gap_infer::free_form::OptimaCensus;
use gap_infer::{
    AmortizedInference, Encode, FitCost, FittedBatch, FreeFormInference, Inference,
    RefinedInference, Remaining, StopReason, VariationalFamily, VariationalParams,
};
use gap_model::LatentVariableModel;
use gap_schema::{Record, start_optima};
use gap_spec::{BoundSpec, EncoderLabel, Estimator, Family, Method, Split, StopKind};
use gap_torch::SeedKey;

/// The role (see [`SeedKey::for_role`]) of the draws for estimates of `log p(x)` itself. Its key is derived
/// from the key of the seed.
pub const EVIDENCE_SEED_ROLE: &str = "evidence";

/// What all records of a stage have in common.
#[derive(Clone, Copy)]
pub struct RecordOrigin<'a> {
    pub dataset: &'a str,
    pub split: Split,
    pub seed: u32,
    /// The name of the model in records.
    pub model: &'a str,
    pub family: Family,
    /// The latent dimension, `D`.
    pub latent_dim: usize,
    /// The encoder that gave the `q`s, if one did, and how it was fitted.
    pub encoder: Option<(&'a EncoderLabel, EncoderFit)>,
}

/// Estimates bounds for `q`s of one family under one model, on one split.
pub struct Measurement<'a> {
    pub model: &'a dyn LatentVariableModel,
    pub family: &'a dyn VariationalFamily,
    pub bounds: BoundSpec,
    /// The key of the seed. All methods are evaluated with the same key below it, hence on the same draws, so
    /// that differences between methods are paired.
    pub key: SeedKey,
    pub origin: RecordOrigin<'a>,
}

/// The `q`s that a method found for a batch; for refinement, those after one of its numbers of steps.
#[derive(Clone, Copy)]
struct Snapshot<'a> {
    method: Method,
    /// See [`Record::method_name`].
    name: Option<&'a str>,
    refinement_steps: Option<u32>,
    fitted: &'a FittedBatch,
    /// How the starts of a free-form search compare; `None` for other methods.
    starts: Option<StartOutcomes<'a>>,
    /// Whether these are the final `q`s of the method.
    is_last: bool,
}

/// Which start of a search won, and how far apart the starts ended, for each datapoint.
#[derive(Clone, Copy)]
struct StartOutcomes<'a> {
    winners: &'a [String],
    apart_nats: &'a [Option<f64>],
    optima: &'a [Option<OptimaCensus>],
}

/// The estimates of one estimator, one for each datapoint of a batch.
pub struct BatchEstimates {
    pub estimator: Estimator,
    pub estimates: Vec<Estimate>,
}

impl Measurement<'_> {
    /// Finds `q*` for a batch, or the `q` of the `protocol` with this name; `name_of_start` names the start at
    /// a position of the search. Returns the parameters of `q`, and the records; those of `q*` include the
    /// model's closed forms.
    pub fn free_form(
        &self,
        search: &FreeFormInference,
        protocol: Option<&str>,
        name_of_start: &dyn Fn(usize) -> String,
        batch: &Batch,
    ) -> Result<(Vec<Record>, VariationalParams), RunError> {
        let fit = search
            .search(self.model, batch, self.key.for_role("free-form"))
            .map_err(stage_error)?;
        let winners = fit.won_by.iter().map(|&i| name_of_start(i));
        let winners: Vec<String> = winners.collect();
        let snapshot = Snapshot {
            method: Method::FreeForm,
            name: protocol,
            refinement_steps: None,
            fitted: &fit.fitted,
            starts: Some(StartOutcomes {
                winners: &winners,
                apart_nats: &fit.starts_apart_nats,
                optima: &fit.optima,
            }),
            is_last: true,
        };
        let mut records = self.records(&[snapshot], batch)?;
        if protocol.is_none() {
            records.extend(self.exact_records(batch)?);
        }
        Ok((records, fit.fitted.params))
    }

    /// Returns the records of a batch for the encoder's `q`, and for `q` after each number of steps of each
    /// refinement, which has a name unless it is that of `[refinement]`.
    pub fn amortized(
        &self,
        encoder: &dyn Encode,
        refinements: &[(Option<&str>, RefinedInference)],
        batch: &Batch,
    ) -> Result<Vec<Record>, RunError> {
        let amortized = AmortizedInference {
            family: self.family,
            encoder,
        };
        let key = self.key.for_role("refined");
        let fitted = amortized
            .infer(self.model, batch, key)
            .map_err(stage_error)?;
        let forward = Snapshot {
            method: Method::Amortized,
            name: None,
            refinement_steps: None,
            fitted: &fitted,
            starts: None,
            is_last: true,
        };
        let paths = refinements.iter().map(|(_, refined)| {
            let path = refined.fit_after_each_step_count(self.model, batch, key);
            path.map_err(stage_error)
        });
        let paths: Vec<Vec<FittedBatch>> = paths.collect::<Result<_, _>>()?;
        let mut snapshots = vec![forward];
        for ((name, refined), path) in refinements.iter().zip(&paths) {
            let after_steps = refined.steps.iter().zip(path).enumerate();
            snapshots.extend(after_steps.map(|(i, (&steps, fitted))| Snapshot {
                method: Method::Refined,
                name: *name,
                refinement_steps: Some(steps),
                fitted,
                starts: None,
                is_last: i + 1 == path.len(),
            }));
        }
        self.records(&snapshots, batch)
    }

    /// Returns the records of each snapshot, by all estimators that apply to it. Those that use draws share
    /// them.
    fn records(&self, snapshots: &[Snapshot], batch: &Batch) -> Result<Vec<Record>, RunError> {
        let estimators = |snapshot: &Snapshot| -> Vec<Box<dyn PosteriorEstimator>> {
            Estimator::for_fitted_q(snapshot.is_last)
                .map(|estimator| new_draws_based_estimator(estimator, &self.bounds))
                .collect()
        };
        let estimators: Vec<_> = snapshots.iter().map(estimators).collect();
        let borrowed: Vec<Vec<&dyn PosteriorEstimator>> = estimators
            .iter()
            .map(|own| own.iter().map(|e| e.as_ref()).collect())
            .collect();
        let tasks = snapshots.iter().zip(&borrowed);
        let tasks = tasks.map(|(snapshot, estimators)| EstimationTask {
            params: &snapshot.fitted.params,
            estimators,
        });
        let tasks: Vec<EstimationTask<'_>> = tasks.collect();
        let key = self.key.for_role("evaluate");
        let estimates =
            estimate_each(self.model, self.family, &tasks, batch, key).map_err(stage_error)?;
        let closed_forms = match (
            self.model.exact_posterior(),
            self.family.closed_form_gaussian(),
        ) {
            (Some(exact), Some(family)) => {
                let forms = ClosedForms::new(exact, batch.x()).map_err(stage_error)?;
                Some((forms, family))
            }
            _ => None,
        };
        let mut all = Vec::new();
        for ((snapshot, estimators), estimates) in snapshots.iter().zip(&estimators).zip(estimates)
        {
            let mut answers: Vec<BatchEstimates> = estimators
                .iter()
                .zip(estimates)
                .map(|(estimator, estimates)| BatchEstimates {
                    estimator: estimator.estimator(),
                    estimates,
                })
                .collect();
            if let Some((forms, family)) = &closed_forms {
                let elbo = forms.elbo(*family, &snapshot.fitted.params);
                answers.push(exact_batch_estimates(Estimator::ExactElbo, elbo));
            }
            let method = snapshot.method;
            all.extend(records(
                &self.origin,
                method,
                Some(*snapshot),
                answers,
                batch,
            ));
        }
        Ok(all)
    }

    /// Returns the records of the model's closed forms; none if it has no closed forms.
    fn exact_records(&self, batch: &Batch) -> Result<Vec<Record>, RunError> {
        let Some(exact) = self.model.exact_posterior() else {
            return Ok(Vec::new());
        };
        let forms = ClosedForms::new(exact, batch.x()).map_err(stage_error)?;
        let mut answers = vec![exact_batch_estimates(
            Estimator::ClosedForm,
            forms.log_evidence(),
        )];
        if let Some(family) = self.family.closed_form_gaussian() {
            let optimum = forms.optimal_elbo(family);
            answers.push(exact_batch_estimates(Estimator::OptimalElbo, optimum));
        }
        Ok(evidence_records(&self.origin, answers, batch))
    }
}

/// Creates an estimator that uses draws of a `q`; their number is in `bounds`.
///
/// # Panics
///
/// If `estimator` does not use draws of a `q`, or is not implemented.
fn new_draws_based_estimator(
    estimator: Estimator,
    bounds: &BoundSpec,
) -> Box<dyn PosteriorEstimator> {
    let n_samples = estimator.n_draws(bounds).map(|n| u64::from(n.get()));
    let written = n_samples.and_then(|n| posterior_estimator(estimator, n));
    written.expect("every estimator of a `q` has been written")
}

/// Returns the records of values that belong to the model and not to a measured `q`, such as estimates of the
/// evidence itself.
pub fn evidence_records(
    origin: &RecordOrigin,
    answers: Vec<BatchEstimates>,
    batch: &Batch,
) -> Vec<Record> {
    records(origin, Method::Model, None, answers, batch)
}

fn records(
    origin: &RecordOrigin,
    method: Method,
    snapshot: Option<Snapshot>,
    answers: Vec<BatchEstimates>,
    batch: &Batch,
) -> Vec<Record> {
    let fit = origin.encoder.map(|(_, fit)| fit).unwrap_or_default();
    let mut records = Vec::with_capacity(answers.len() * batch.len());
    for answer in answers {
        for (b, estimate) in answer.estimates.into_iter().enumerate() {
            let stop = snapshot.map_or(StopReason::Direct { steps: 0 }, |s| s.fitted.stops[b]);
            let cost = snapshot.map_or(FitCost::default(), |s| s.fitted.costs[b]);
            let (stop, stop_steps, remaining) = stop_columns(stop);
            let starts = snapshot.and_then(|snapshot| snapshot.starts);
            let optima = starts.and_then(|starts| starts.optima[b].as_ref());
            records.push(Record {
                // Variants may share a stage, so `collect_records` fills this in.
                variant: None,
                dataset: origin.dataset.to_owned(),
                split: origin.split,
                datapoint: batch.ids()[b],
                seed: u64::from(origin.seed),
                model: origin.model.to_string(),
                family: origin.family,
                family_params: origin.family.param_dim(origin.latent_dim) as u64,
                encoder: origin.encoder.map(|(label, _)| label.clone()),
                method,
                method_name: snapshot.and_then(|s| s.name.map(str::to_owned)),
                refinement_steps: snapshot.and_then(|snapshot| snapshot.refinement_steps),
                estimator: answer.estimator,
                n_samples: estimate.n_samples,
                value_nats: estimate.value_nats,
                std_error_nats: estimate.std_error_nats,
                side: answer.estimator.side(),
                trust: estimate.trust,
                diagnostics: estimate.diagnostics,
                stop,
                stop_steps,
                remaining_nats: remaining.map(|r| r.nats),
                remaining_std_error_nats: remaining.map(|r| r.std_error_nats),
                remaining_bound_nats: remaining.map(Remaining::upper_bound_nats),
                starts_apart_nats: starts.and_then(|starts| starts.apart_nats[b]),
                start: starts.map(|starts| starts.winners[b].clone()),
                start_optima: optima.map(start_optima_text),
                optima_apart_stds: optima.map(|optima| optima.apart_stds),
                optima_apart_nats: optima.map(|optima| optima.apart_nats),
                seconds: cost.seconds,
                joint_gradients: cost.joint_gradients,
                fit_seconds: fit.cost.seconds,
                fit_joint_gradients: fit.cost.joint_gradients,
                constant_inputs: fit.constant_inputs,
            });
        }
    }
    records
}

/// The number of the optimum that each start led to, in the order of the starts.
fn start_optima_text(optima: &OptimaCensus) -> String {
    start_optima::to_text(&optima.optimum_of_start)
}

fn exact_batch_estimates(estimator: Estimator, values: Vec<f64>) -> BatchEstimates {
    BatchEstimates {
        estimator,
        estimates: values.into_iter().map(Estimate::exact).collect(),
    }
}

const fn stop_columns(stop: StopReason) -> (StopKind, u32, Option<Remaining>) {
    match stop {
        StopReason::Direct { steps } => (StopKind::Direct, steps, None),
        StopReason::Converged { steps, remaining } => (StopKind::Converged, steps, Some(remaining)),
        StopReason::BudgetSpent { steps, remaining } => {
            (StopKind::BudgetSpent, steps, Some(remaining))
        }
        StopReason::NonFinite { step } => (StopKind::NonFinite, step, None),
    }
}
