//! The executor that computes: models, encoders and measurements on libtorch.

mod amortized;
mod annealed;
mod ascents;
mod calibration;
mod data;
mod encoders;
mod evidence;
mod fit;
mod free_form;
mod measure;
mod models;
mod pictures;
mod settings;

pub use data::InputError;

use crate::plan::{Chunk, Stage, StageId};
use crate::run::{Executor, RunError, Workspace};
use crate::store::Store;
use data::Observations;
use encoders::Fit;
use gap_data::{Batch, Dataset};
use gap_infer::{DiagonalGaussian, Encoder, VariationalFamily, family};
use gap_model::LatentVariableModel;
use gap_schema::record::{EncoderLabel, Split};
use gap_schema::spec::{BoundSpec, DecoderSharing, EncoderSpec};
use gap_schema::{CheckedSpec, Record};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use gap_torch::device::DeviceName;
use std::path::Path;
use tch::Device;

/// What a stage measures on: points under one seed's model.
#[derive(Clone, Copy)]
struct Measured<'a> {
    seed: u32,
    model: &'a StageId,
    chunk: Chunk,
    estimators: BoundSpec,
}

impl<'a> Measured<'a> {
    const fn new(seed: u32, model: &'a StageId, chunk: Chunk, estimators: BoundSpec) -> Self {
        Self {
            seed,
            model,
            chunk,
            estimators,
        }
    }

    const fn key(&self) -> SeedKey {
        SeedKey::root(self.seed as u64)
    }
}

fn family_of(spec: &CheckedSpec) -> Box<dyn VariationalFamily> {
    let family = family::named(spec.family.kind.as_str(), models::latent_dim(spec));
    family.expect("every family of a spec has been written")
}

/// Carries out stages on one device. Holds settings and observations; each stage loads its own
/// copy of the model, so that no tensor is shared between workers.
pub struct LibtorchExecutor {
    spec: CheckedSpec,
    device: Device,
    observations: Observations,
    family: Box<dyn VariationalFamily>,
    /// Of the encoder that a shared decoder is fitted with: the same whichever family is measured.
    smallest_family: DiagonalGaussian,
}

impl LibtorchExecutor {
    /// Opens the device, reads the data, and refuses what could not run.
    ///
    /// # Errors
    ///
    /// [`InputError`], which names the key, file or flag at fault.
    pub fn prepare(
        spec: &CheckedSpec,
        device: DeviceName,
        data_dir: Option<&Path>,
    ) -> Result<Self, InputError> {
        let device = device.open()?;
        let observations = Observations::read(spec, data_dir)?;
        Ok(Self {
            spec: spec.clone(),
            device,
            observations,
            family: family_of(spec),
            smallest_family: DiagonalGaussian::new(models::latent_dim(spec)),
        })
    }

    /// A digest of the observations, for the provenance; none for synthetic ones, which the model
    /// determines.
    pub fn data_digest(&self) -> Option<String> {
        self.observations.digest()
    }

    fn family(&self) -> &dyn VariationalFamily {
        self.family.as_ref()
    }

    /// Of the encoder that a decoder is fitted with.
    fn companion_family(&self) -> &dyn VariationalFamily {
        match self.spec.decoder_sharing() {
            DecoderSharing::Shared => &self.smallest_family,
            DecoderSharing::Joint => self.family(),
        }
    }

    /// What an encoder for `family` is built from.
    fn encoder_plan<'a>(
        &self,
        spec: &'a EncoderSpec,
        family: &'a dyn VariationalFamily,
    ) -> encoders::Plan<'a> {
        encoders::Plan {
            spec,
            observed: self.observations.observed(),
            family,
        }
    }

    /// `measure` over the points, a batch at a time; no result depends on the batch size. It may tell
    /// the fraction of a batch that is done.
    fn in_batches(
        &self,
        points: &Dataset,
        workspace: &Workspace,
        mut measure: impl FnMut(&Batch, &dyn Fn(f64)) -> Result<Vec<Record>, RunError>,
    ) -> Result<Vec<Record>, RunError> {
        let batch_size = self.spec.evaluation.batch_size.get() as usize;
        let mut records = Vec::new();
        let mut done = 0;
        for batch in points.batches(batch_size, self.device) {
            let progress = |fraction: f64| {
                let done = fraction.mul_add(batch.len() as f64, done as f64);
                (workspace.progress)(done / points.len() as f64);
            };
            records.extend(measure(&batch, &progress)?);
            progress(1.0);
            done += batch.len();
        }
        Ok(records)
    }

    fn points(
        &self,
        measured: Measured,
        model: &dyn LatentVariableModel,
    ) -> Result<Dataset, RunError> {
        self.observations
            .measured_points(measured.seed, model, measured.chunk)
    }

    fn origin(
        &self,
        measured: Measured,
        encoder: Option<EncoderLabel>,
        fit: Fit,
    ) -> measure::Origin {
        measure::Origin {
            dataset: self.spec.data.name.get_ref().clone(),
            split: measured.chunk.split,
            seed: u64::from(measured.seed),
            model: measured.model.to_string(),
            family: self.spec.family.kind,
            encoder,
            fit,
        }
    }

    fn model(&self, id: &StageId, store: &Store) -> Result<Box<dyn LatentVariableModel>, RunError> {
        let observed = self.observations.observed();
        models::load(&store.stage_folder(id), &self.spec, observed, self.device)
    }

    /// The encoder that the decoder was fitted with: an encoder of the experiment for a joint
    /// decoder, the one of `[model.training]` for a shared one.
    fn companion(
        &self,
        model: &StageId,
        joint_encoder: Option<&EncoderSpec>,
        store: &Store,
    ) -> Result<Encoder, RunError> {
        let training = self.spec.model.training.as_ref();
        let training =
            training.expect("a checked spec starts from an encoder only where one was fitted");
        let spec = encoders::companion(joint_encoder, training.get_ref());
        let plan = self.encoder_plan(&spec, self.companion_family());
        plan.load(&store.stage_folder(model), self.device)
    }
}

impl Executor for LibtorchExecutor {
    fn execute(
        &self,
        _id: &StageId,
        stage: &Stage,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        match stage {
            Stage::Model { seed, encoder, .. } => self
                .make_model(*seed, encoder.as_ref(), workspace)
                .map(|()| Vec::new()),
            Stage::Encoder {
                seed,
                model,
                encoder,
                training,
                ..
            } => self
                .make_encoder(*seed, model, encoder, training, workspace)
                .map(|()| Vec::new()),
            Stage::FreeForm {
                seed,
                model,
                joint_encoder,
                split,
                n,
                free_form,
                estimators,
                ..
            } => {
                let chunk = Chunk::first(*split, *n);
                let measured = Measured::new(*seed, model, chunk, *estimators);
                self.free_form(measured, joint_encoder.as_ref(), free_form, workspace)
            }
            Stage::Adaptive {
                seed,
                model,
                free_form,
                split,
                n,
                adaptive,
            } => {
                let chunk = Chunk::first(*split, *n);
                let measured = Measured::new(*seed, model, chunk, self.spec.estimators.bounds());
                self.adaptive(measured, free_form, adaptive, workspace)
            }
            Stage::Annealed {
                seed,
                model,
                free_form,
                joint_encoder,
                chunk,
                annealed,
            } => {
                let measured = Measured::new(*seed, model, *chunk, self.spec.estimators.bounds());
                let q_star = free_form.as_ref();
                self.annealed(
                    measured,
                    q_star,
                    joint_encoder.as_ref(),
                    annealed,
                    workspace,
                )
            }
            Stage::Simulated {
                seed,
                model,
                joint_encoder,
                chunk,
                free_form,
                estimators,
                annealed,
                ..
            } => {
                let measured = Measured::new(*seed, model, *chunk, *estimators);
                let ways = (free_form, annealed);
                self.simulated(measured, joint_encoder.as_ref(), ways, workspace)
            }
            Stage::Calibration {
                seed,
                model,
                point,
                replicates,
                free_form,
                estimator,
                ..
            } => {
                let chunk = Chunk {
                    split: Split::Simulated,
                    from: *point,
                    n: 1,
                };
                let measured = Measured::new(*seed, model, chunk, self.spec.estimators.bounds());
                self.calibration(measured, *replicates, free_form, estimator, workspace)
                    .map(|()| Vec::new())
            }
            Stage::Pictures {
                seed,
                model,
                free_form,
                encoder_stage,
                encoder,
                pictures,
                ..
            } => {
                let chunk = Chunk::first(Split::Test, pictures.points.get_ref().get());
                let measured = Measured::new(*seed, model, chunk, self.spec.estimators.bounds());
                let shown = (free_form, encoder_stage, encoder);
                self.pictures(measured, shown, pictures.cells.get_ref().get(), workspace)
                    .map(|()| Vec::new())
            }
            Stage::Optima {
                seed,
                model,
                split,
                n,
                starts,
            } => {
                let chunk = Chunk::first(*split, *n);
                let measured = Measured::new(*seed, model, chunk, self.spec.estimators.bounds());
                self.optima(measured, starts, workspace)
                    .map(|()| Vec::new())
            }
            Stage::Ascent {
                seed,
                model,
                optima,
                split,
                n,
                name,
                ascent,
                estimators,
                ..
            } => {
                let chunk = Chunk::first(*split, *n);
                let measured = Measured::new(*seed, model, chunk, *estimators);
                self.ascent(measured, optima, name, ascent, workspace)
                    .map(|()| Vec::new())
            }
            Stage::Amortized {
                seed,
                model,
                encoder_stage,
                encoder,
                split,
                n,
                refinement,
                estimators,
                ..
            } => {
                let chunk = Chunk::first(*split, *n);
                let measured = Measured::new(*seed, model, chunk, *estimators);
                self.amortized(measured, encoder_stage, encoder, refinement, workspace)
            }
        }
    }
}

fn save(checkpoint: &Checkpoint, path: &Path) -> Result<(), RunError> {
    checkpoint.save(path).map_err(failed)
}

/// Anything that stops a stage, as its message.
fn failed(error: impl std::fmt::Display) -> RunError {
    RunError::Stage(error.to_string())
}
