//! Whether an estimator's standard errors are what they say: many estimates of one `log p(x)` that is
//! known exactly, each from draws of its own.
//!
//! An estimator knows nothing of this. It is given a batch whose rows are all the one datapoint, under ids
//! of their own: to it they are so many datapoints.

mod coverage;

use super::annealed::{Annealed, OfFamily};
use super::data::simulated_points;
use super::evidence::weighted_adaptively;
use super::measure::{Answers, side};
use super::{LibtorchExecutor, Measured, failed};
use crate::plan::Calibrated;
use crate::rows::StageRow;
use crate::run::{RunError, Workspace};
use coverage::Judged;
use gap_data::Batch;
use gap_estimate::{
    ClosedForms, Elbo, ImportanceWeighted, ParetoSmoothed, PosteriorEstimator, estimate_all,
};
use gap_infer::{VariationalFamily, VariationalParams};
use gap_model::{ExactPosterior, LatentVariableModel};
use gap_schema::record::Estimator;
use gap_schema::spec::{AnnealedSpec, Count, FreeFormSpec};
use gap_schema::{CalibrationRow, rows_file};
use gap_torch::{NoiseStream, SeedKey, floats};
use tch::Kind;

/// Replicates that are estimated together: no number depends on it.
const REPLICATES_AT_A_TIME: u64 = 100;

/// What is estimated again and again: the evidence of one datapoint, by way of one `q`.
struct Subject<'a> {
    seed: u32,
    model: &'a dyn LatentVariableModel,
    exact: &'a dyn ExactPosterior,
    family: &'a dyn VariationalFamily,
    /// The datapoint, a batch of one.
    datapoint: Batch,
    /// Its `q*`, `[1, Q]`.
    params: VariationalParams,
    key: SeedKey,
}

impl LibtorchExecutor {
    /// One row: an estimator on one datapoint.
    pub(super) fn calibration(
        &self,
        measured: Measured,
        replicates: u32,
        free_form: &FreeFormSpec,
        estimator: &Calibrated,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let exact = model.exact();
        let exact = exact.expect("a checked spec calibrates on a model with closed forms only");
        let point = u64::from(measured.chunk.from);
        let (points, _) = simulated_points(measured.seed, model.as_ref(), point..point + 1)?;
        let datapoint = points.batch_at(&[0], self.device);
        let key = measured.key().role("calibration");
        let starts = self.starts(measured.model, None, workspace)?;
        let found = self
            .search(free_form, &starts)
            .search(model.as_ref(), &datapoint, key.role("free-form"))
            .map_err(failed)?;
        let subject = Subject {
            seed: measured.seed,
            model: model.as_ref(),
            exact,
            family: self.family(),
            datapoint,
            params: found.fitted.params,
            key: key.index(point),
        };
        let answers = subject.replicates(u64::from(replicates), estimator, workspace.progress)?;
        let row = subject.row(&answers)?;
        rows_file::write(&workspace.output.join(CalibrationRow::FILE), &[row]).map_err(failed)
    }
}

impl Subject<'_> {
    /// `n` estimates.
    fn replicates(
        &self,
        n: u64,
        estimator: &Calibrated,
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let mut all: Option<Answers> = None;
        let mut done = 0;
        while done < n {
            let ids: Vec<u64> = (done..n.min(done + REPLICATES_AT_A_TIME)).collect();
            let (from, share) = (done as f64 / n as f64, ids.len() as f64 / n as f64);
            done += ids.len() as u64;
            let of_batch = |fraction: f64| progress(share.mul_add(fraction, from));
            let answers = self.estimates(ids, estimator, &of_batch)?;
            of_batch(1.0);
            match &mut all {
                None => all = Some(answers),
                Some(all) => all.estimates.extend(answers.estimates),
            }
        }
        Ok(all.expect("a checked spec asks for replicates"))
    }

    /// One estimate for each id.
    fn estimates(
        &self,
        ids: Vec<u64>,
        estimator: &Calibrated,
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let n = ids.len() as i64;
        let batch = Batch::new(ids, self.datapoint.x().repeat([n, 1]));
        let params = VariationalParams(self.params.0.repeat([n, 1]));
        let samples = |n: &Count| u64::from(n.get());
        match estimator {
            Calibrated::Elbo { n_samples } => {
                let elbo = Elbo {
                    n_samples: samples(n_samples),
                };
                self.of_draws(Estimator::Elbo, &elbo, &params, &batch)
            }
            Calibrated::ImportanceWeighted { n_samples } => {
                let weighted = ImportanceWeighted {
                    n_samples: samples(n_samples),
                };
                self.of_draws(Estimator::ImportanceWeighted, &weighted, &params, &batch)
            }
            Calibrated::ParetoSmoothed { n_samples } => {
                let smoothed = ParetoSmoothed {
                    n_samples: samples(n_samples),
                };
                self.of_draws(Estimator::ParetoSmoothed, &smoothed, &params, &batch)
            }
            Calibrated::Adaptive(spec) => {
                weighted_adaptively(spec, self.model, (self.family, &params), &batch, self.key)
            }
            Calibrated::Annealed(spec) => {
                self.annealed(spec, &params, &batch, |annealed, anchor| {
                    annealed.forward(self.model, anchor, &batch, progress)
                })
            }
            Calibrated::AnnealedReverse(spec) => {
                let z = self.posterior_draws(batch.ids())?;
                self.annealed(spec, &params, &batch, |annealed, anchor| {
                    annealed.reverse(self.model, anchor, (&batch, &z), progress)
                })
            }
        }
    }

    fn of_draws(
        &self,
        estimator: Estimator,
        of_q: &dyn PosteriorEstimator,
        params: &VariationalParams,
        batch: &Batch,
    ) -> Result<Answers, RunError> {
        let mut estimates = estimate_all(self.model, self.family, params, batch, &[of_q], self.key)
            .map_err(failed)?;
        Ok(Answers {
            estimator,
            side: side(of_q.side()),
            estimates: estimates.remove(0),
            n_temperatures: None,
        })
    }

    fn annealed(
        &self,
        spec: &AnnealedSpec,
        params: &VariationalParams,
        batch: &Batch,
        walk: impl FnOnce(&Annealed, &gap_estimate::Anchor) -> Result<Answers, RunError>,
    ) -> Result<Answers, RunError> {
        let annealed = Annealed::of(spec, self.key);
        let q_star = OfFamily {
            family: self.family,
            params,
        };
        let dim = self.model.latent_dim() as usize;
        let anchor = annealed.anchor(Some(q_star), None, batch, dim);
        walk(&annealed, &anchor)
    }

    /// A draw of the posterior for each id, `[B, D]`. A bound from above is one on average over the draws
    /// that its chains begin at, so each replicate has its own.
    fn posterior_draws(&self, ids: &[u64]) -> Result<Vec<f32>, RunError> {
        let moments = self.exact.posterior_moments(self.datapoint.x());
        let (mean, covariance) = moments.map_err(failed)?; // [1, D], [D, D]
        let dim = self.model.latent_dim();
        let mut noise = NoiseStream::new(self.key.role("posterior"), ids, mean.device());
        let normals = noise.normal(1, dim).squeeze_dim(0).to_kind(Kind::Double); // [B, D]
        let factor = covariance.linalg_cholesky(false);
        Ok(floats(&(mean + normals.matmul(&factor.tr()))))
    }

    /// What came of the replicates.
    fn row(&self, answers: &Answers) -> Result<CalibrationRow, RunError> {
        let forms = ClosedForms::of(self.exact, self.datapoint.x()).map_err(failed)?;
        let exact_nats = forms.log_evidence()[0];
        let family = self.family.gaussian();
        let family = family.expect("a checked spec calibrates Gaussian families only");
        let elbo = || forms.elbo(family, &self.params)[0];
        let target_nats = (answers.estimator == Estimator::Elbo).then(elbo);
        let judged = Judged::of(&answers.estimates, target_nats);
        Ok(CalibrationRow {
            // A stage may serve several: the plan says which.
            variant: None,
            seed: u64::from(self.seed),
            latent_dim: self.model.latent_dim() as u32,
            datapoint: self.datapoint.ids()[0],
            estimator: answers.estimator,
            side: answers.side,
            n_samples: judged.n_samples,
            n_temperatures: answers.n_temperatures,
            n_replicates: answers.estimates.len() as u64,
            non_finite: judged.non_finite,
            untrusted: judged.untrusted,
            exact_nats,
            target_nats,
            mean_nats: judged.mean_nats,
            bias_nats: judged.mean_nats - exact_nats,
            bias_std_error_nats: judged.mean_std_error_nats,
            spread_nats: judged.spread_nats,
            std_error_nats: judged.std_error_nats,
            coverage: judged.coverage,
            coverage_trusted: judged.coverage_trusted,
            seconds: judged.seconds,
            joint_evaluations: judged.joint_evaluations,
        })
    }
}
