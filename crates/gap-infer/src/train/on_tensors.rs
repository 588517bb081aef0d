//! Steps by libtorch: any model, any family, any device.

use super::adam::FlatAdam;
use super::learner::Learner;
use super::{Pupil, Step, Training};
use crate::elbo_gradient::elbo_gradient;
use crate::encoder::{Encoder, seen};
use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_data::{Batch, Dataset};
use gap_model::{LatentVariableModel, Likelihood, MlpDecoder};
use tch::{Device, Tensor};

/// What a step is about.
struct Subject<'a> {
    family: &'a dyn VariationalFamily,
    data: &'a Dataset,
    device: Device,
}

impl Subject<'_> {
    fn batch(&self, step: &Step) -> Batch {
        self.data.batch_at(step.positions, self.device)
    }

    /// `[S, B, N]`
    fn noise(&self, step: &Step) -> Tensor {
        let batch = step.positions.len() as i64;
        Tensor::from_slice(step.noise)
            .view([-1, batch, self.family.noise_dim()])
            .to_device(self.device)
    }
}

/// An encoder of a frozen model.
pub struct EncoderOnTensors<'a> {
    model: &'a dyn LatentVariableModel,
    subject: Subject<'a>,
    learner: Learner<'a>,
}

impl<'a> EncoderOnTensors<'a> {
    pub fn new(
        model: &'a dyn LatentVariableModel,
        family: &'a dyn VariationalFamily,
        encoder: &'a mut Encoder,
        data: &'a Dataset,
        training: Training,
    ) -> Self {
        Self {
            model,
            subject: Subject {
                family,
                data,
                device: model.device(),
            },
            learner: Learner::of(encoder.network_mut(), training.points_in_a_step(data)),
        }
    }
}

impl Pupil for EncoderOnTensors<'_> {
    fn step(&mut self, step: &Step) -> Result<(), InferError> {
        let _no_grad = tch::no_grad_guard();
        let (batch, noise) = (self.subject.batch(step), self.subject.noise(step));
        self.learner.set_precision(step.precision);
        let visible = seen(self.learner.network(), batch.x());
        let params = VariationalParams(self.learner.forward(&visible));
        let gradient = elbo_gradient(self.model, self.subject.family, &params, batch.x(), &noise)?;
        let gradient = gradient / batch.len() as f64;
        self.learner.ascend(gradient, step.learning_rate);
        Ok(())
    }

    fn is_finite(&mut self) -> bool {
        self.learner.is_finite()
    }

    fn finish(self: Box<Self>) {
        self.learner.finish();
    }
}

/// A decoder and its encoder.
pub struct VaeOnTensors<'a> {
    subject: Subject<'a>,
    likelihood: Likelihood,
    /// Of what the likelihood learns, if anything.
    of_likelihood: Option<FlatAdam>,
    of_encoder: Learner<'a>,
    of_decoder: Learner<'a>,
}

impl<'a> VaeOnTensors<'a> {
    pub fn new(
        decoder: &'a mut MlpDecoder,
        family: &'a dyn VariationalFamily,
        encoder: &'a mut Encoder,
        data: &'a Dataset,
        training: Training,
    ) -> Self {
        let most_rows = training.points_in_a_step(data);
        let (kind, device) = (decoder.kind(), decoder.device());
        let likelihood = decoder.likelihood_mut();
        let of_likelihood = (likelihood.n_parameters() > 0).then(|| {
            let adam = FlatAdam::new(likelihood.n_parameters(), kind, device);
            likelihood.move_to(adam.parameters());
            adam
        });
        Self {
            subject: Subject {
                family,
                data,
                device,
            },
            likelihood: decoder.likelihood(),
            of_likelihood,
            of_encoder: Learner::of(encoder.network_mut(), most_rows),
            of_decoder: Learner::of(
                decoder.network_mut(),
                most_rows * training.n_samples as usize,
            ),
        }
    }
}

impl Pupil for VaeOnTensors<'_> {
    fn step(&mut self, step: &Step) -> Result<(), InferError> {
        let _no_grad = tch::no_grad_guard();
        let (batch, noise) = (self.subject.batch(step), self.subject.noise(step));
        self.of_encoder.set_precision(step.precision);
        self.of_decoder.set_precision(step.precision);
        let params = VariationalParams(self.of_encoder.forward(batch.x()));
        let z = self.subject.family.transform(&params, &noise).z; // [S, B, D]
        let n_rows = z.size()[0] * z.size()[1];
        let x = batch.x().repeat([z.size()[0], 1]);
        let rows = z.reshape([n_rows, -1]);
        let output = self.of_decoder.forward(&rows);
        let scale = 1.0 / n_rows as f64;
        let residual = self.likelihood.residual(&x, &output) * scale;
        if let Some(adam) = &mut self.of_likelihood {
            let into = adam.gradient();
            (self.likelihood).pull_back_to_parameters(&x, &output, scale, into);
            adam.step(step.learning_rate);
        }
        let in_z = self
            .of_decoder
            .ascend_and_pull_back(residual, step.learning_rate);
        let score = (in_z / scale - rows).view_as(&z);
        let gradient = self.subject.family.pull_back(&params, &noise, &score);
        let gradient = gradient / batch.len() as f64;
        self.of_encoder.ascend(gradient, step.learning_rate);
        Ok(())
    }

    fn is_finite(&mut self) -> bool {
        let is_finite = |adam: &FlatAdam| adam.parameters().isfinite().all().int64_value(&[]) == 1;
        self.of_encoder.is_finite()
            && self.of_decoder.is_finite()
            && self.of_likelihood.as_ref().is_none_or(is_finite)
    }

    fn finish(self: Box<Self>) {
        self.of_encoder.finish();
        self.of_decoder.finish();
    }
}
