//! Fitted `q`s to records: one row for each datapoint, method and estimator.

use super::encoders::Fit;
use super::failed;
use crate::run::RunError;
use gap_data::Batch;
use gap_estimate::{
    ClosedForms, Elbo, Estimate, ImportanceWeighted, ParetoSmoothed, PosteriorEstimator,
    estimate_all,
};
use gap_infer::certificate::Remaining;
use gap_infer::{
    Amortized, FitCost, FittedBatch, FreeForm, Inference, Refined, Stop, VariationalFamily,
    VariationalParams,
};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_schema::record::{
    Diagnostics, EncoderLabel, Estimator, Family, Method, Side, Split, StopKind,
};
use gap_schema::spec::{BoundSpec, Start};
use gap_torch::SeedKey;

/// What all records of a stage have in common.
pub struct Origin {
    pub dataset: String,
    pub split: Split,
    pub seed: u64,
    pub model: String,
    pub family: Family,
    pub encoder: Option<EncoderLabel>,
    pub fit: Fit,
}

/// Measures `q`s of one model on one split.
pub struct Measurement<'a> {
    pub model: &'a dyn LatentVariableModel,
    pub family: &'a dyn VariationalFamily,
    pub estimators: BoundSpec,
    /// The key of the seed. Every method is evaluated under the same branch of it: its draws are
    /// shared, and differences between methods are paired.
    pub key: SeedKey,
    pub origin: Origin,
}

/// How a `q` was found.
#[derive(Clone, Copy)]
struct Found<'a> {
    method: Method,
    refinement_steps: Option<u32>,
    fitted: &'a FittedBatch,
    /// For a search from several starts, or one.
    starts: Option<Starts<'a>>,
    importance_weighted: bool,
}

/// What came of the starts of a search, for each datapoint.
#[derive(Clone, Copy)]
struct Starts<'a> {
    won: &'a [Start],
    apart_nats: &'a [Option<f64>],
}

/// One estimator's answers for a batch.
pub struct Answers {
    pub estimator: Estimator,
    pub side: Side,
    pub estimates: Vec<Estimate>,
    /// Distributions on its path, for an annealed one.
    pub n_temperatures: Option<u32>,
}

impl Measurement<'_> {
    /// `q*` of a batch: its records, with what the model knows exactly, and its parameters.
    pub fn free_form(
        &self,
        search: &FreeForm,
        starts: &[Start],
        batch: &Batch,
    ) -> Result<(Vec<Record>, VariationalParams), RunError> {
        let fit = search
            .search(self.model, batch, self.key.role("free-form"))
            .map_err(failed)?;
        let won: Vec<Start> = fit.won_by.iter().map(|&i| starts[i]).collect();
        let found = Found {
            method: Method::FreeForm,
            refinement_steps: None,
            fitted: &fit.fitted,
            starts: Some(Starts {
                won: &won,
                apart_nats: &fit.starts_apart_nats,
            }),
            importance_weighted: true,
        };
        let mut records = self.measure(found, batch)?;
        records.extend(self.exact_model(batch)?);
        Ok((records, fit.fitted.params))
    }

    /// Estimates of `log p(x)` itself for a batch: no `q` took part that they could depend on.
    pub fn of_model(&self, answers: Vec<Answers>, batch: &Batch) -> Vec<Record> {
        self.records(Method::Model, None, answers, batch)
    }

    /// `q` of a batch as the encoder gives it, and after each number of refinement steps.
    pub fn amortized(&self, refined: &Refined, batch: &Batch) -> Result<Vec<Record>, RunError> {
        let amortized = Amortized {
            family: refined.family,
            encoder: refined.encoder,
        };
        let key = self.key.role("refined");
        let fitted = amortized.infer(self.model, batch, key).map_err(failed)?;
        let forward = Found {
            method: Method::Amortized,
            refinement_steps: None,
            fitted: &fitted,
            starts: None,
            importance_weighted: true,
        };
        let mut records = self.measure(forward, batch)?;
        let path = refined.path(self.model, batch, key).map_err(failed)?;
        for (i, (&steps, fitted)) in refined.steps.iter().zip(&path).enumerate() {
            let found = Found {
                method: Method::Refined,
                refinement_steps: Some(steps),
                fitted,
                starts: None,
                importance_weighted: i + 1 == path.len(),
            };
            records.extend(self.measure(found, batch)?);
        }
        Ok(records)
    }

    fn measure(&self, found: Found, batch: &Batch) -> Result<Vec<Record>, RunError> {
        let elbo = Elbo {
            n_samples: u64::from(self.estimators.elbo_samples.get()),
        };
        let iw = ImportanceWeighted {
            n_samples: u64::from(self.estimators.iw_samples.get()),
        };
        let smoothed = ParetoSmoothed {
            n_samples: iw.n_samples,
        };
        let mut estimators: Vec<(Estimator, &dyn PosteriorEstimator)> =
            vec![(Estimator::Elbo, &elbo)];
        if found.importance_weighted {
            estimators.push((Estimator::ImportanceWeighted, &iw));
            estimators.push((Estimator::ParetoSmoothed, &smoothed));
        }
        let plain: Vec<&dyn PosteriorEstimator> = estimators.iter().map(|(_, e)| *e).collect();
        let params = &found.fitted.params;
        let key = self.key.role("evaluate");
        let estimates =
            estimate_all(self.model, self.family, params, batch, &plain, key).map_err(failed)?;
        let mut answers: Vec<Answers> = estimators
            .iter()
            .zip(estimates)
            .map(|(&(estimator, e), estimates)| Answers {
                estimator,
                side: side(e.side()),
                estimates,
                n_temperatures: None,
            })
            .collect();
        if let (Some(exact), Some(family)) = (self.model.exact(), self.family.gaussian()) {
            let forms = ClosedForms::of(exact, batch.x()).map_err(failed)?;
            answers.push(exact_answers(
                Estimator::ExactElbo,
                Side::Lower,
                forms.elbo(family, params),
            ));
        }
        Ok(self.records(found.method, Some(found), answers, batch))
    }

    /// What the model knows exactly, if anything.
    fn exact_model(&self, batch: &Batch) -> Result<Vec<Record>, RunError> {
        let Some(exact) = self.model.exact() else {
            return Ok(Vec::new());
        };
        let forms = ClosedForms::of(exact, batch.x()).map_err(failed)?;
        let mut answers = vec![exact_answers(
            Estimator::ClosedForm,
            Side::Exact,
            forms.log_evidence(),
        )];
        if let Some(family) = self.family.gaussian() {
            let optimum = forms.optimal_elbo(family);
            answers.push(exact_answers(Estimator::OptimalElbo, Side::Lower, optimum));
        }
        Ok(self.of_model(answers, batch))
    }

    fn records(
        &self,
        method: Method,
        found: Option<Found>,
        answers: Vec<Answers>,
        batch: &Batch,
    ) -> Vec<Record> {
        let origin = &self.origin;
        let mut records = Vec::with_capacity(answers.len() * batch.len());
        for answer in answers {
            for (b, estimate) in answer.estimates.into_iter().enumerate() {
                let stop = found.map_or(Stop::Direct { steps: 0 }, |found| found.fitted.stops[b]);
                let cost = found.map_or(FitCost::default(), |found| found.fitted.costs[b]);
                let (stop, stop_steps, remaining) = stop_columns(stop);
                let starts = found.and_then(|found| found.starts);
                records.push(Record {
                    // A stage may serve several: the plan says which.
                    variant: None,
                    dataset: origin.dataset.clone(),
                    split: origin.split,
                    datapoint: batch.ids()[b],
                    seed: origin.seed,
                    model: origin.model.clone(),
                    family: origin.family,
                    family_params: self.family.param_dim() as u64,
                    encoder: origin.encoder.clone(),
                    method,
                    refinement_steps: found.and_then(|found| found.refinement_steps),
                    estimator: answer.estimator,
                    n_samples: estimate.n_samples,
                    value_nats: estimate.value_nats,
                    std_error_nats: estimate.std_error_nats,
                    side: answer.side,
                    trust: estimate.trust.to_string(),
                    diagnostics: diagnostics(estimate.diagnostics, answer.n_temperatures),
                    stop,
                    stop_steps,
                    remaining_nats: remaining.map(|r| r.nats),
                    remaining_std_error_nats: remaining.map(|r| r.std_error_nats),
                    remaining_bound_nats: remaining.map(Remaining::bound_nats),
                    starts_apart_nats: starts.and_then(|starts| starts.apart_nats[b]),
                    start: starts.map(|starts| starts.won[b].to_string()),
                    seconds: cost.seconds,
                    joint_gradients: cost.joint_gradients,
                    fit_seconds: origin.fit.seconds,
                    fit_joint_gradients: origin.fit.joint_gradients,
                });
            }
        }
        records
    }
}

fn exact_answers(estimator: Estimator, side: Side, values: Vec<f64>) -> Answers {
    Answers {
        estimator,
        side,
        estimates: values.into_iter().map(Estimate::exact).collect(),
        n_temperatures: None,
    }
}

const fn diagnostics(of: gap_estimate::Diagnostics, n_temperatures: Option<u32>) -> Diagnostics {
    Diagnostics {
        effective_samples: of.effective_samples,
        pareto_k: of.pareto_k,
        acceptance: of.acceptance,
        step_size: of.step_size,
        n_temperatures,
        seconds: of.seconds,
        joint_evaluations: of.joint_evaluations,
    }
}

/// The side as a column.
pub const fn side(side: gap_estimate::Side) -> Side {
    match side {
        gap_estimate::Side::Lower => Side::Lower,
        gap_estimate::Side::Upper => Side::Upper,
        gap_estimate::Side::Exact => Side::Exact,
        gap_estimate::Side::Neither => Side::Neither,
    }
}

const fn stop_columns(stop: Stop) -> (StopKind, u32, Option<Remaining>) {
    match stop {
        Stop::Direct { steps } => (StopKind::Direct, steps, None),
        Stop::Converged { steps, remaining } => (StopKind::Converged, steps, Some(remaining)),
        Stop::BudgetSpent { steps, remaining } => (StopKind::BudgetSpent, steps, Some(remaining)),
        Stop::NonFinite { step } => (StopKind::NonFinite, step, None),
    }
}
