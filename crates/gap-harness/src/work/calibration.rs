//! Checks whether an estimator's standard errors are right, by many estimates of one `log p(x)` that is known
//! exactly, each from its own draws.
//!
//! Estimators need no code for this. Each gets a batch whose rows are copies of one datapoint with different
//! ids, and treats them as different datapoints.

mod coverage;

use super::Work;
use crate::annealing::{AnnealedPaths, initial};
use crate::context::{Context, seed_key};
use crate::error::{RunError, stage_error};
use crate::measure::BatchEstimates;
use crate::observations::simulated_points;
use crate::stage_id::StageId;
use crate::starts::Starts;
use coverage::Coverage;
use gap_data::Batch;
use gap_estimate::{ClosedForms, estimate_adaptively, estimate_all, posterior_estimator};
use gap_infer::{VariationalFamily, VariationalParams, family};
use gap_model::{ExactPosterior, LatentVariableModel};
use gap_schema::{CalibrationRow, Record, RowFile};
use gap_spec::{AdaptiveSpec, AnnealedSpec, Count, Estimator, Family, FreeFormSpec};
use gap_torch::{NoiseStream, SeedKey, to_f64_values};
use serde::Serialize;
use tch::Kind;

/// The number of replicates that are estimated together. No result depends on it.
pub const REPLICATES_PER_BATCH: u64 = 100;

/// What every replicate estimates: the evidence of one datapoint, with the same `q*`.
struct CalibrationProblem<'a> {
    seed: u32,
    model: &'a dyn LatentVariableModel,
    exact: &'a dyn ExactPosterior,
    family: &'a dyn VariationalFamily,
    /// The datapoint, as a batch of one.
    datapoint: Batch,
    /// The parameters of its `q*`, `[1, Q]`.
    params: VariationalParams,
    key: SeedKey,
}

/// An estimator, with all settings that its estimates depend on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibratedEstimator {
    /// An estimator that uses a fixed number of draws of `q*`.
    FromDraws {
        /// The estimator.
        estimator: Estimator,
        /// The number of draws of one estimate.
        n_samples: Count,
    },
    /// [`Estimator::AdaptiveImportanceWeighted`].
    Adaptive(AdaptiveSpec),
    /// [`Estimator::Annealed`].
    Annealed(AnnealedSpec),
    /// [`Estimator::AnnealedReverse`].
    AnnealedReverse(AnnealedSpec),
}

impl CalibratedEstimator {
    /// Which estimator this is, without its settings.
    pub const fn estimator(&self) -> Estimator {
        match self {
            Self::FromDraws { estimator, .. } => *estimator,
            Self::Adaptive(_) => Estimator::AdaptiveImportanceWeighted,
            Self::Annealed(_) => Estimator::Annealed,
            Self::AnnealedReverse(_) => Estimator::AnnealedReverse,
        }
    }
}

/// Compares the standard errors that one estimator reports with the spread of its estimates, on one datapoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationWork {
    /// The seed of this repetition.
    pub seed: u32,
    /// The frozen model, which has closed forms.
    pub model: StageId,
    /// The variational family.
    pub family: Family,
    /// The position of the datapoint among those that are drawn from the model.
    pub point: u32,
    /// The number of estimates.
    pub replicates: Count,
    /// How `q*` is found.
    pub search: FreeFormSpec,
    /// The estimator.
    pub estimator: CalibratedEstimator,
}

impl Work for CalibrationWork {
    fn seed(&self) -> u32 {
        self.seed
    }

    fn input_stages(&self) -> Vec<&StageId> {
        vec![&self.model]
    }

    fn row_file_name(&self) -> Option<&'static str> {
        Some(CalibrationRow::FILE_NAME)
    }

    fn task_description(&self) -> String {
        format!("calibrate {}", self.estimator.estimator())
    }

    fn task_description_with_points(&self) -> String {
        format!("{} on point {}", self.task_description(), self.point)
    }

    /// Writes one row, for one estimator on one datapoint.
    fn run(&self, context: &Context) -> Result<Vec<Record>, RunError> {
        let model = context.load_model(&self.model)?;
        let family = family::build_family(self.family, model.latent_dim());
        let exact = model.exact_posterior();
        let exact = exact.expect("a checked spec calibrates on a model with closed forms only");
        let point = u64::from(self.point);
        let (points, _) = simulated_points(self.seed, model.as_ref(), point..point + 1)?;
        let datapoint = points.batch_at(&[0], context.device);
        let key = seed_key(self.seed).for_role("calibration");
        let starts = Starts::load(self.search.starts(), &self.model, context)?;
        let fit = starts
            .search(&self.search, family.as_ref(), key)
            .search(model.as_ref(), &datapoint, key.for_role("free-form"))
            .map_err(stage_error)?;
        let subject = CalibrationProblem {
            seed: self.seed,
            model: model.as_ref(),
            exact,
            family: family.as_ref(),
            datapoint,
            params: fit.fitted.params,
            key: key.for_index(point),
        };
        let replicates = u64::from(self.replicates.get());
        let answers = subject.estimate_replicates(replicates, &self.estimator, context.progress)?;
        let row = subject.row(&answers)?;
        context.save_rows(&[row])?;
        Ok(Vec::new())
    }
}

impl CalibrationProblem<'_> {
    /// Makes `n` estimates, in batches.
    fn estimate_replicates(
        &self,
        n: u64,
        estimator: &CalibratedEstimator,
        progress: &dyn Fn(f64),
    ) -> Result<BatchEstimates, RunError> {
        let mut all: Option<BatchEstimates> = None;
        let mut done = 0;
        while done < n {
            let ids: Vec<u64> = (done..n.min(done + REPLICATES_PER_BATCH)).collect();
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

    /// Makes one estimate for each id.
    fn estimates(
        &self,
        ids: Vec<u64>,
        estimator: &CalibratedEstimator,
        progress: &dyn Fn(f64),
    ) -> Result<BatchEstimates, RunError> {
        let n = ids.len() as i64;
        let batch = Batch::new(ids, self.datapoint.x().repeat([n, 1]));
        let params = VariationalParams(self.params.0.repeat([n, 1]));
        let q_star = Some((self.family, &params));
        let latent_dim = self.model.latent_dim();
        match estimator {
            CalibratedEstimator::FromDraws {
                estimator,
                n_samples,
            } => {
                let written = posterior_estimator(*estimator, u64::from(n_samples.get()));
                let written = written.expect("every estimator of a `q` has been written");
                let estimates = estimate_all(
                    self.model,
                    self.family,
                    &params,
                    &batch,
                    &[written.as_ref()],
                    self.key,
                );
                Ok(BatchEstimates {
                    estimator: *estimator,
                    estimates: estimates.map_err(stage_error)?.remove(0),
                })
            }
            CalibratedEstimator::Adaptive(settings) => {
                let key = self.key.for_role("adaptive");
                let (model, family) = (self.model, self.family);
                let estimates = estimate_adaptively(settings, model, family, &params, &batch, key);
                Ok(BatchEstimates {
                    estimator: Estimator::AdaptiveImportanceWeighted,
                    estimates: estimates.map_err(stage_error)?,
                })
            }
            CalibratedEstimator::Annealed(spec) => {
                let initial = initial(spec, q_star, None, &batch, latent_dim);
                AnnealedPaths::new(spec, self.key).forward(self.model, &initial, &batch, progress)
            }
            CalibratedEstimator::AnnealedReverse(spec) => {
                let z = self.posterior_draws(batch.ids())?;
                let initial = initial(spec, q_star, None, &batch, latent_dim);
                let batch_and_z = (&batch, z.as_slice());
                let paths = AnnealedPaths::new(spec, self.key);
                paths.reverse(self.model, &initial, batch_and_z, progress)
            }
        }
    }

    /// Draws once from the posterior for each id, `[B, D]`. The estimate of reversed chains is an upper bound
    /// only on average over the draws that chains begin at, so each replicate needs its own draw.
    fn posterior_draws(&self, ids: &[u64]) -> Result<Vec<f64>, RunError> {
        let moments = self.exact.posterior_moments(self.datapoint.x());
        let (mean, covariance) = moments.map_err(stage_error)?; // [1, D], [D, D]
        let dim = self.model.latent_dim();
        let mut noise = NoiseStream::new(self.key.for_role("posterior"), ids, mean.device());
        let normals = noise.normal(1, dim).squeeze_dim(0).to_kind(Kind::Double); // [B, D]
        let factor = covariance.linalg_cholesky(false);
        Ok(to_f64_values(&(mean + normals.matmul(&factor.tr()))))
    }

    /// Summarises the replicates in one row.
    fn row(&self, answers: &BatchEstimates) -> Result<CalibrationRow, RunError> {
        let forms = ClosedForms::new(self.exact, self.datapoint.x()).map_err(stage_error)?;
        let exact_nats = forms.log_evidence()[0];
        let family = self.family.closed_form_gaussian();
        let family = family.expect("a checked spec calibrates Gaussian families only");
        let elbo = || forms.elbo(family, &self.params)[0];
        let target_nats = (answers.estimator == Estimator::Elbo).then(elbo);
        let coverage = Coverage::new(&answers.estimates, target_nats);
        Ok(CalibrationRow {
            // Variants may share a stage, so `collect_rows` fills this in.
            variant: None,
            seed: u64::from(self.seed),
            latent_dim: self.model.latent_dim() as u32,
            datapoint: self.datapoint.ids()[0],
            estimator: answers.estimator,
            side: answers.estimator.side(),
            n_samples: coverage.n_samples,
            n_temperatures: answers.estimates[0].diagnostics.n_temperatures,
            n_replicates: answers.estimates.len() as u64,
            non_finite: coverage.non_finite,
            untrusted: coverage.untrusted,
            exact_nats,
            target_nats,
            mean_nats: coverage.mean_nats,
            bias_nats: coverage.mean_nats - exact_nats,
            bias_std_error_nats: coverage.mean_std_error_nats,
            spread_nats: coverage.spread_nats,
            std_error_nats: coverage.std_error_nats,
            coverage: coverage.coverage,
            coverage_trusted: coverage.coverage_trusted,
            seconds: coverage.seconds,
            joint_evaluations: coverage.joint_evaluations,
        })
    }
}
