//! Estimates of `log p(x)` itself: by annealing from below, and from above where a datapoint was drawn
//! from the model together with its `z`.

use super::build;
use super::data::simulated_points;
use super::measure::Answers;
use super::{LibtorchExecutor, Measured, failed};
use crate::plan::StageId;
use crate::run::{RunError, Workspace};
use gap_data::Batch;
use gap_estimate::{Anchor, Annealing, Estimate, Transitions};
use gap_infer::{Encoder, VariationalParams};
use gap_model::LatentVariableModel;
use gap_schema::Record;
use gap_schema::record::{Estimator, Side};
use gap_schema::spec::{AnnealedSpec, AnnealedStart, EncoderSpec, FreeFormSpec};
use gap_torch::SeedKey;
use tch::{Kind, Tensor};

impl LibtorchExecutor {
    /// `log p(x)` from below.
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
        let annealing = Annealed::of(spec, measured.key());
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let mut done = 0;
        self.in_batches(&points, workspace, |batch, progress| {
            let own = q_star.as_ref().map(|all| rows(all, done, batch.len()));
            done += batch.len();
            let anchor = self.anchor(spec, own.as_ref(), companion.as_ref(), batch);
            let forward = annealing.forward(model.as_ref(), &anchor, batch, progress)?;
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
        let annealing = Annealed::of(annealed, measured.key());
        let measurement = self.measurement_of_model(measured, model.as_ref());
        let dim = model.latent_dim() as usize;
        let mut done = 0;
        self.in_batches(&points, workspace, |batch, progress| {
            let z = &z[done * dim..(done + batch.len()) * dim];
            done += batch.len();
            let (mut records, q_star) = measurement.free_form(&search, starts.starts, batch)?;
            let anchor = self.anchor(annealed, Some(&q_star), companion.as_ref(), batch);
            let (first, second) = (
                |f| progress(0.5 * f),
                |f: f64| progress(0.5f64.mul_add(f, 0.5)),
            );
            let forward = annealing.forward(model.as_ref(), &anchor, batch, &first)?;
            let reverse = annealing.reverse(model.as_ref(), &anchor, (batch, z), &second)?;
            records.extend(measurement.of_model(vec![forward, reverse], batch));
            Ok(records)
        })
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

    /// Where the paths of a batch begin.
    fn anchor(
        &self,
        spec: &AnnealedSpec,
        q_star: Option<&VariationalParams>,
        companion: Option<&Encoder>,
        batch: &Batch,
    ) -> Anchor {
        let family = self.family();
        match (spec.start.get_ref(), q_star, companion) {
            (AnnealedStart::FreeForm, Some(q_star), _) => Anchor::of(family, q_star),
            (AnnealedStart::Encoder, _, Some(encoder)) => {
                Anchor::of(family, &encoder.encode(batch.x()))
            }
            (AnnealedStart::Prior, ..) => {
                let dim = self.spec.model.latent_dim.get_ref().get();
                Anchor::prior(batch.len(), dim as usize)
            }
            (start, ..) => unreachable!("the stage was given no `q` to start from: {start}"),
        }
    }
}

/// The annealing of a spec, whose draws belong to one key.
struct Annealed {
    annealing: Annealing,
    key: SeedKey,
}

impl Annealed {
    fn of(spec: &AnnealedSpec, key: SeedKey) -> Self {
        Self {
            annealing: Annealing {
                inverse_temperatures: spec.inverse_temperatures(),
                n_chains: spec.chains.get_ref().get() as usize,
                transitions: Transitions {
                    leapfrog_steps: spec.leapfrog_steps.get(),
                    precision: build::precision(spec.precision),
                },
                step_size: None,
            },
            key: key.role("evidence").role("annealed"),
        }
    }

    fn forward(
        &self,
        model: &dyn LatentVariableModel,
        anchor: &Anchor,
        batch: &Batch,
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let estimates = self
            .annealing
            .forward(model, anchor, batch, self.key, progress)
            .map_err(failed)?;
        Ok(self.answers(Estimator::Annealed, Side::Lower, estimates))
    }

    fn reverse(
        &self,
        model: &dyn LatentVariableModel,
        anchor: &Anchor,
        batch_and_z: (&Batch, &[f32]),
        progress: &dyn Fn(f64),
    ) -> Result<Answers, RunError> {
        let estimates = self
            .annealing
            .reverse(model, anchor, batch_and_z, self.key, progress)
            .map_err(failed)?;
        Ok(self.answers(Estimator::AnnealedReverse, Side::Upper, estimates))
    }

    fn answers(&self, estimator: Estimator, side: Side, estimates: Vec<Estimate>) -> Answers {
        let n_temperatures = self.annealing.inverse_temperatures.len();
        Answers {
            estimator,
            side,
            estimates,
            n_temperatures: Some(n_temperatures as u32),
        }
    }
}

/// Rows `from..from + n`.
fn rows(params: &VariationalParams, from: usize, n: usize) -> VariationalParams {
    VariationalParams(params.0.narrow(0, from as i64, n as i64))
}

/// The elements of a tensor, row after row.
fn floats(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Float);
    Vec::try_from(flat.contiguous().view([-1])).expect("a float tensor holds floats")
}
