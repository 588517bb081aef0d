//! The executor that computes: models, encoders and measurements on libtorch.

mod ascents;
mod build;
mod data;
mod measure;

pub use data::InputError;

use crate::plan::{Stage, StageId};
use crate::run::{Executor, RunError, Workspace};
use crate::store::Store;
use build::{ENCODER, Fit, MODEL, load_encoder, load_fit, load_model, save_fit};
use data::Observations;
use gap_data::Dataset;
use gap_infer::free_form::StartingPoint;
use gap_infer::train::{fit_encoder, fit_jointly};
use gap_infer::{DiagonalGaussian, Encoder, FreeForm, Refined};
use gap_model::LatentVariableModel;
use gap_schema::record::{EncoderLabel, Split};
use gap_schema::spec::{BoundSpec, EncoderSpec, FreeFormSpec, RefinementSpec, Start, TrainingSpec};
use gap_schema::{CheckedSpec, Record};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use gap_torch::device::DeviceName;
use measure::Measurement;
use std::path::Path;
use tch::Device;

/// What a stage measures on: the points of one split, under one seed's model.
#[derive(Clone, Copy)]
struct Measured<'a> {
    seed: u32,
    model: &'a StageId,
    split: Split,
    n: u32,
    estimators: BoundSpec,
}

impl<'a> Measured<'a> {
    const fn new(
        seed: u32,
        model: &'a StageId,
        split: Split,
        n: u32,
        estimators: BoundSpec,
    ) -> Self {
        Self {
            seed,
            model,
            split,
            n,
            estimators,
        }
    }
}

/// Carries out stages on one device. Holds settings and observations; each stage loads its own
/// copy of the model, so that no tensor is shared between workers.
pub struct LibtorchExecutor {
    spec: CheckedSpec,
    device: Device,
    observations: Observations,
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
        })
    }

    /// A digest of the observations, for the provenance; none for synthetic ones, which the model
    /// determines.
    pub fn data_digest(&self) -> Option<String> {
        self.observations.digest()
    }

    fn family(&self) -> DiagonalGaussian {
        DiagonalGaussian::new(i64::from(self.spec.model.latent_dim.get_ref().get()))
    }

    fn make_model(
        &self,
        seed: u32,
        joint_encoder: Option<&EncoderSpec>,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let key = SeedKey::root(u64::from(seed));
        let observed_dim = self.observations.observed_dim();
        let mut checkpoint = Checkpoint::new();
        let Some(training) = &self.spec.model.training else {
            build::random_model(&self.spec, observed_dim, key, self.device).store(&mut checkpoint);
            return save(&checkpoint, &workspace.output.join(MODEL));
        };
        let training = training.get_ref();
        let encoder_spec = build::companion(joint_encoder, training);
        let mut decoder = build::random_decoder(&self.spec, observed_dim, key, self.device);
        let family = self.family();
        let mut encoder = build::random_encoder(
            &encoder_spec,
            observed_dim,
            &family,
            key.role("companion"),
            self.device,
        );
        let data = self.observations.training_points(seed, None)?;
        let cost = fit_jointly(
            &mut decoder,
            &family,
            &mut encoder,
            &data,
            build::training(&training.optimizer(), workspace.threads),
            key.role("fit-jointly").role(&encoder_spec.name()),
            workspace.progress,
        )
        .map_err(failed)?;
        decoder.network().store(&mut checkpoint, "decoder");
        save(&checkpoint, &workspace.output.join(MODEL))?;
        let mut checkpoint = Checkpoint::new();
        encoder.network().store(&mut checkpoint, "encoder");
        save(&checkpoint, &workspace.output.join(ENCODER))?;
        save_fit(workspace.output, cost.into())
    }

    fn make_encoder(
        &self,
        seed: u32,
        model: &StageId,
        spec: &EncoderSpec,
        training: &TrainingSpec,
        workspace: &Workspace,
    ) -> Result<(), RunError> {
        let key = SeedKey::root(u64::from(seed));
        let model = self.model(model, workspace.store)?;
        let family = self.family();
        let data = self
            .observations
            .training_points(seed, Some(model.as_ref()))?;
        let init = key.role("encoder").role(&spec.name());
        let mut encoder =
            build::random_encoder(spec, data.observed_dim(), &family, init, self.device);
        // All encoders of a seed see the same minibatches and noise: their differences are paired.
        let cost = fit_encoder(
            model.as_ref(),
            &family,
            &mut encoder,
            &data,
            build::training(training, workspace.threads),
            key.role("fit-encoder"),
            workspace.progress,
        )
        .map_err(failed)?;
        let mut checkpoint = Checkpoint::new();
        encoder.network().store(&mut checkpoint, "encoder");
        save(&checkpoint, &workspace.output.join(ENCODER))?;
        save_fit(workspace.output, cost.into())
    }

    fn free_form(
        &self,
        measured: Measured,
        joint_encoder: Option<&EncoderSpec>,
        spec: &FreeFormSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let starts = self.spec.free_form_starts();
        let companion = if starts.contains(&Start::Encoder) {
            Some(self.companion(measured.model, joint_encoder, workspace.store)?)
        } else {
            None
        };
        let search = FreeForm {
            family: self.family(),
            starts: starts
                .iter()
                .map(|start| match (start, &companion) {
                    (Start::Encoder, Some(encoder)) => StartingPoint::Encoder(encoder),
                    _ => StartingPoint::Prior,
                })
                .collect(),
            search: build::search(spec),
            tolerance_nats: spec.tolerance_nats.get_ref().get(),
            max_steps: spec.max_steps.get(),
            precision: build::precision(spec.precision),
        };
        let measurement = Measurement {
            model: model.as_ref(),
            family: self.family(),
            estimators: measured.estimators,
            key: SeedKey::root(u64::from(measured.seed)),
            origin: self.origin(measured, None, Fit::default()),
        };
        self.in_batches(&points, workspace, |batch| {
            measurement.free_form(&search, starts, batch)
        })
    }

    fn amortized(
        &self,
        measured: Measured,
        encoder_stage: &StageId,
        spec: &EncoderSpec,
        refinement: &RefinementSpec,
        workspace: &Workspace,
    ) -> Result<Vec<Record>, RunError> {
        let model = self.model(measured.model, workspace.store)?;
        let points = self.points(measured, model.as_ref())?;
        let folder = workspace.store.stage_folder(encoder_stage);
        let encoder = load_encoder(&folder, spec, self.device)?;
        let label = EncoderLabel {
            kind: spec.kind,
            hidden: spec.widths(),
            weights: encoder.network().n_weights(),
            context: 1,
        };
        let family = self.family();
        let refined = Refined {
            family: &family,
            encoder: &encoder,
            phase: build::refinement(refinement),
            steps: refinement.numbers_of_steps(),
        };
        let measurement = Measurement {
            model: model.as_ref(),
            family,
            estimators: measured.estimators,
            key: SeedKey::root(u64::from(measured.seed)),
            origin: self.origin(measured, Some(label), load_fit(&folder)?),
        };
        self.in_batches(&points, workspace, |batch| {
            measurement.amortized(&refined, batch)
        })
    }

    /// `measure` over the points, a batch at a time; no result depends on the batch size.
    fn in_batches(
        &self,
        points: &Dataset,
        workspace: &Workspace,
        measure: impl Fn(&gap_data::Batch) -> Result<Vec<Record>, RunError>,
    ) -> Result<Vec<Record>, RunError> {
        let batch_size = self.spec.evaluation.batch_size.get() as usize;
        let mut records = Vec::new();
        let mut done = 0;
        for batch in points.batches(batch_size, self.device) {
            records.extend(measure(&batch)?);
            done += batch.len();
            (workspace.progress)(done as f64 / points.len() as f64);
        }
        Ok(records)
    }

    fn points(
        &self,
        measured: Measured,
        model: &dyn LatentVariableModel,
    ) -> Result<Dataset, RunError> {
        self.observations
            .measured_points(measured.seed, model, measured.split, measured.n)
    }

    fn origin(
        &self,
        measured: Measured,
        encoder: Option<EncoderLabel>,
        fit: Fit,
    ) -> measure::Origin {
        measure::Origin {
            dataset: self.spec.data.name.get_ref().clone(),
            split: measured.split,
            seed: u64::from(measured.seed),
            model: measured.model.to_string(),
            family: self.spec.family.kind,
            encoder,
            fit,
        }
    }

    fn model(&self, id: &StageId, store: &Store) -> Result<Box<dyn LatentVariableModel>, RunError> {
        load_model(&store.stage_folder(id), &self.spec, self.device)
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
        let spec = build::companion(joint_encoder, training.get_ref());
        load_encoder(&store.stage_folder(model), &spec, self.device)
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
            } => {
                let measured = Measured::new(*seed, model, *split, *n, *estimators);
                self.free_form(measured, joint_encoder.as_ref(), free_form, workspace)
            }
            Stage::Optima {
                seed,
                model,
                split,
                n,
                starts,
            } => {
                let measured =
                    Measured::new(*seed, model, *split, *n, self.spec.estimators.bounds());
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
                let measured = Measured::new(*seed, model, *split, *n, *estimators);
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
            } => {
                let measured = Measured::new(*seed, model, *split, *n, *estimators);
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
