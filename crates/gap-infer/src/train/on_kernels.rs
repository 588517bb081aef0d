//! Steps on the kernels: a diagonal Gaussian, networks of `f32` on the processor, and no tensor.

use super::upward::Upward;
use super::{Pupil, Step, Training};
use crate::ascent::Precision;
use crate::encoder::Encoder;
use crate::family::{DiagonalGaussian, VariationalFamily};
use crate::inference::InferError;
use gap_data::Dataset;
use gap_kernel::{ConditionedDecoder, FusedDecoder, Observed, Wanted};
use gap_model::{FusedLearner, LatentVariableModel, MlpDecoder, fused};
use tch::{Device, Kind};

/// The draws of one step, and the gradients through them.
struct Draws {
    family: DiagonalGaussian,
    std: Vec<f32>,      // [B, D]
    z: Vec<f32>,        // [S, B, D]
    score: Vec<f32>,    // [S, B, D]
    gradient: Vec<f32>, // of the mean ELBO in λ: [B, 2D]
}

impl Draws {
    const fn of(family: DiagonalGaussian) -> Self {
        Self {
            family,
            std: Vec::new(),
            z: Vec::new(),
            score: Vec::new(),
            gradient: Vec::new(),
        }
    }

    fn draw(&mut self, params: &[f32], noise: &[f32]) {
        self.family
            .transform_rows(params, noise, &mut self.std, &mut self.z);
        self.score.resize(self.z.len(), 0.0);
        self.gradient.resize(params.len(), 0.0);
    }

    /// From the score at these draws.
    fn pull_back(&mut self, noise: &[f32], scale: f32) {
        let (family, gradient) = (self.family, &mut self.gradient);
        family.pull_back_rows(&self.std, noise, &self.score, scale, gradient);
    }
}

/// An encoder's network, learning, and the observations that it learns from.
struct Seeing {
    learner: FusedLearner,
    data: Vec<f32>,   // [N, X]
    params: Vec<f32>, // of the step: [B, 2D]
}

impl Seeing {
    fn new(learner: FusedLearner, data: &Dataset) -> Self {
        let rows = data.x().contiguous().view([-1]);
        Self {
            learner,
            data: Vec::<f32>::try_from(rows).expect("observations are floats"),
            params: Vec::new(),
        }
    }

    /// `λ` of the datapoints at `positions`.
    fn look(&mut self, positions: &[usize], precision: Precision, param_dim: usize) {
        self.params.resize(positions.len() * param_dim, 0.0);
        self.learner.set_precision(precision);
        let learner = self.learner.in_memory();
        learner.forward_rows(&self.data, positions, &mut self.params);
    }
}

/// For each draw, sample after sample, the position in the data of the datapoint that it is for.
fn owners(into: &mut Vec<usize>, step: &Step) {
    into.clear();
    for _ in 0..step.n_samples {
        into.extend_from_slice(step.positions);
    }
}

/// Whether libtorch holds the data where the kernels can read them.
fn is_readable(data: &Dataset) -> bool {
    data.x().device() == Device::Cpu && data.x().kind() == Kind::Float
}

/// An encoder of a frozen decoder.
pub struct EncoderOnKernels<'a> {
    encoder: &'a mut Encoder,
    seeing: Seeing,
    decoder: ConditionedDecoder,
    draws: Draws,
    owners: Vec<usize>, // [S·B]
}

impl<'a> EncoderOnKernels<'a> {
    /// `None`, and the encoder back, where it has to be done on tensors.
    pub fn new(
        model: &dyn LatentVariableModel,
        family: &dyn VariationalFamily,
        encoder: &'a mut Encoder,
        data: &Dataset,
        training: Training,
    ) -> Result<Self, &'a mut Encoder> {
        let most_rows = training.points_in_a_step(data);
        let parts = || -> Option<(DiagonalGaussian, &FusedDecoder, FusedLearner)> {
            let learner = FusedLearner::of(encoder.network(), most_rows)?;
            let family = family.as_diagonal_gaussian()?;
            encoder.sees_all(data.observed_dim()).then_some(())?;
            is_readable(data).then_some((family, model.on_kernels()?, learner))
        };
        let Some((family, decoder, learner)) = parts() else {
            return Err(encoder);
        };
        let seeing = Seeing::new(learner, data);
        Ok(Self {
            decoder: decoder.condition(&seeing.data),
            seeing,
            encoder,
            draws: Draws::of(family),
            owners: Vec::new(),
        })
    }
}

impl Pupil for EncoderOnKernels<'_> {
    fn step(&mut self, step: &Step) -> Result<(), InferError> {
        let Self {
            seeing,
            decoder,
            draws,
            owners: of_draws,
            ..
        } = self;
        let batch = step.positions.len();
        let param_dim = draws.family.param_dim() as usize;
        seeing.look(step.positions, step.precision, param_dim);
        draws.draw(&seeing.params, step.noise);
        owners(of_draws, step);
        let wanted = Wanted {
            score: Some(&mut draws.score),
            precision: step.precision,
            ..Wanted::default()
        };
        decoder.evaluate(of_draws, &draws.z, wanted);
        draws.pull_back(step.noise, 1.0 / batch as f32);
        let learner = seeing.learner.in_memory();
        learner.ascend(&draws.gradient, step.learning_rate, None);
        Ok(())
    }

    fn is_finite(&mut self) -> bool {
        self.seeing.learner.is_finite()
    }

    fn finish(self: Box<Self>) {
        self.seeing.learner.write_to(self.encoder.network_mut());
    }
}

/// A decoder and its encoder.
pub struct VaeOnKernels<'a> {
    decoder: &'a mut MlpDecoder,
    encoder: &'a mut Encoder,
    seeing: Seeing,
    of_decoder: Upward,
    draws: Draws,
    owners: Vec<usize>, // [S·B]
}

impl<'a> VaeOnKernels<'a> {
    /// `None`, and the networks back, where it has to be done on tensors.
    pub fn new(
        decoder: &'a mut MlpDecoder,
        family: &dyn VariationalFamily,
        encoder: &'a mut Encoder,
        data: &Dataset,
        training: Training,
    ) -> Result<Self, (&'a mut MlpDecoder, &'a mut Encoder)> {
        let most_rows = training.points_in_a_step(data);
        let all_draws = most_rows * training.n_samples as usize;
        let parts = || -> Option<(DiagonalGaussian, FusedLearner, FusedLearner)> {
            let of_encoder = FusedLearner::of(encoder.network(), most_rows)?;
            decoder.likelihood().on_kernels()?;
            let of_decoder = FusedLearner::of(decoder.network(), all_draws)?;
            let family = family.as_diagonal_gaussian()?;
            is_readable(data).then_some((family, of_encoder, of_decoder))
        };
        let Some((family, of_encoder, of_decoder)) = parts() else {
            return Err((decoder, encoder));
        };
        Ok(Self {
            seeing: Seeing::new(of_encoder, data),
            decoder,
            encoder,
            of_decoder: Upward::new(of_decoder, training.threads > 1),
            draws: Draws::of(family),
            owners: Vec::new(),
        })
    }
}

impl Pupil for VaeOnKernels<'_> {
    fn step(&mut self, step: &Step) -> Result<(), InferError> {
        let Self {
            seeing,
            draws,
            owners: of_draws,
            ..
        } = self;
        let param_dim = draws.family.param_dim() as usize;
        seeing.look(step.positions, step.precision, param_dim);
        draws.draw(&seeing.params, step.noise);
        owners(of_draws, step);
        let n_rows = of_draws.len() as f32;
        let observed = Observed {
            x: &seeing.data,
            rows: of_draws,
            likelihood: fused::on_kernels(self.decoder.likelihood()),
            scale: 1.0 / n_rows,
        };
        let of_decoder = self.of_decoder.get();
        of_decoder.set_precision(step.precision);
        let in_z = Some(draws.score.as_mut_slice());
        of_decoder.in_memory().go_back(&draws.z, &observed, in_z);
        self.of_decoder.go_up(step.learning_rate);
        for (score, z) in draws.score.iter_mut().zip(&draws.z) {
            *score = *score * n_rows - z; // the likelihood's, and the prior's
        }
        draws.pull_back(step.noise, 1.0 / step.positions.len() as f32);
        let learner = seeing.learner.in_memory();
        learner.ascend(&draws.gradient, step.learning_rate, None);
        Ok(())
    }

    fn is_finite(&mut self) -> bool {
        self.seeing.learner.is_finite() && self.of_decoder.get().is_finite()
    }

    fn finish(mut self: Box<Self>) {
        self.seeing.learner.write_to(self.encoder.network_mut());
        self.of_decoder.get().write_to(self.decoder.network_mut());
    }
}
