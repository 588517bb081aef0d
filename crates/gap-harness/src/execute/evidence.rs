//! Estimates of `log p(x)` itself: by weights and by annealing from below, and from above where a
//! datapoint was drawn from the model together with its `z`.

use super::annealed::{Annealed, OfFamily};
use super::data::simulated_points;
use super::measure::Answers;
use super::{LibtorchExecutor, Measured, failed};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_data::Batch;
use gap_estimate::{Adaptive, Anchor};
use gap_infer::{Encoder, VariationalFamily, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_schema::record::{Estimator, Side};
use gap_schema::spec::{AdaptiveSpec, AnnealedSpec, AnnealedStart, EncoderSpec, FreeFormSpec};
use gap_torch::{SeedKey, floats};

/// The role, below a seed, of all draws that estimates of `log p(x)` are made from.
const EVIDENCE: &str = "evidence";

impl LibtorchExecutor {
    /// `log p(x)` from below, by weights of draws from `q*`.
    pub(super) fn adaptive(
        &self,
        measured: Measured,
        free_form: &StageId,
        spec: &AdaptiveSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let q_star = self.q_star(free_form, measured.chunk.range(), workspace)?;
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let key = measured.key().role(EVIDENCE);
        let mut done = 0;
        self.in_batches(&points, workspace, |batch, _| {
            let own = rows(&q_star, done, batch.len());
            done += batch.len();
            let of_q = (measurement.family, &own);
            let answers = weighted_adaptively(spec, model.as_ref(), of_q, batch, key)?;
            Ok(measurement.of_model(vec![answers], batch))
        })
    }

    /// `log p(x)` from below, by annealing.
    pub(super) fn annealed(
        &self,
        measured: Measured,
        free_form: Option<&StageId>,
        joint_encoder: Option<&EncoderSpec>,
        spec: &AnnealedSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let q_star = match free_form {
            Some(stage) => Some(self.q_star(stage, measured.chunk.range(), workspace)?),
            None => None,
        };
        let companion = self.anchoring_encoder(measured.model, joint_encoder, spec, workspace)?;
        let annealed = Annealed::of(spec, measured.key().role(EVIDENCE));
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let mut done = 0;
        self.in_batches(&points, workspace, |batch, progress| {
            let own = q_star.as_ref().map(|all| rows(all, done, batch.len()));
            done += batch.len();
            let anchor = self.anchor(&annealed, own.as_ref(), companion.as_ref(), batch);
            let forward = annealed.forward(model.as_ref(), &anchor, batch, progress)?;
            Ok(measurement.of_model(vec![forward], batch))
        })
    }

    /// `log p(x)` from both sides, and `q*`, of points that are drawn from the model.
    pub(super) fn simulated(
        &self,
        measured: Measured,
        joint_encoder: Option<&EncoderSpec>,
        (free_form, annealed): (&FreeFormSpec, &AnnealedSpec),
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let ids = measured.chunk.range();
        let ids = u64::from(ids.start)..u64::from(ids.end);
        let (points, z) = simulated_points(measured.seed, model.as_ref(), ids)?;
        let z = floats(&z);
        let starts = self.starts(measured.model, joint_encoder, workspace)?;
        let search = self.search(free_form, &starts);
        let companion =
            self.anchoring_encoder(measured.model, joint_encoder, annealed, workspace)?;
        let annealed = Annealed::of(annealed, measured.key().role(EVIDENCE));
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let dim = model.latent_dim() as usize;
        let mut done = 0;
        self.in_batches(&points, workspace, |batch, progress| {
            let z = &z[done * dim..(done + batch.len()) * dim];
            done += batch.len();
            let (mut records, q_star) = measurement.free_form(&search, starts.starts, batch)?;
            let anchor = self.anchor(&annealed, Some(&q_star), companion.as_ref(), batch);
            let first = |fraction: f64| progress(0.5 * fraction);
            let second = |fraction: f64| progress(0.5f64.mul_add(fraction, 0.5));
            let forward = annealed.forward(model.as_ref(), &anchor, batch, &first)?;
            let reverse = annealed.reverse(model.as_ref(), &anchor, (batch, z), &second)?;
            records.extend(measurement.of_model(vec![forward, reverse], batch));
            Ok(records)
        })
    }

    /// Where the paths of a batch begin.
    fn anchor(
        &self,
        annealed: &Annealed,
        q_star: Option<&VariationalParams>,
        companion: Option<&Encoder>,
        batch: &Batch,
    ) -> Anchor {
        let encoded = companion.map(|encoder| encoder.encode(batch.x()));
        let of = |family, params| OfFamily { family, params };
        annealed.anchor(
            q_star.map(|params| of(self.family(), params)),
            (encoded.as_ref()).map(|params| of(self.companion_family(), params)),
            batch,
            self.family().latent_dim() as usize,
        )
    }

    /// The encoder that a path begins at, if it does.
    fn anchoring_encoder(
        &self,
        model: &StageId,
        joint_encoder: Option<&EncoderSpec>,
        spec: &AnnealedSpec,
        workspace: &Workspace,
    ) -> Result<Option<Encoder>, RunError> {
        match spec.start.get_ref() {
            AnnealedStart::Encoder => {
                let encoder = self.companion(model, joint_encoder, workspace.store)?;
                Ok(Some(encoder))
            }
            AnnealedStart::FreeForm | AnnealedStart::Prior => Ok(None),
        }
    }
}

/// `log p(x)` from as many draws of the `q` of each datapoint as its error asks for.
pub fn weighted_adaptively(
    spec: &AdaptiveSpec,
    model: &dyn LatentVariableModel,
    (family, params): (&dyn VariationalFamily, &VariationalParams),
    batch: &Batch,
    key: SeedKey,
) -> Result<Answers, RunError> {
    let adaptive = Adaptive {
        target_std_error_nats: spec.target_std_error_nats.get(),
        first_samples: u64::from(spec.first_samples.get_ref().get()),
        most_samples: u64::from(spec.most_samples.get_ref().get()),
        prior_share: *spec.prior_share.get_ref(),
    };
    let estimates = adaptive
        .estimate(model, family, params, batch, key.role("adaptive"))
        .map_err(failed)?;
    Ok(Answers {
        estimator: Estimator::AdaptiveImportanceWeighted,
        side: Side::Lower,
        estimates,
        n_temperatures: None,
    })
}

/// `n` rows from `from`.
fn rows(params: &VariationalParams, from: usize, n: usize) -> VariationalParams {
    VariationalParams(params.0.narrow(0, from as i64, n as i64))
}
