//! The networks and observations that the workloads share.

use gap_data::{Batch, Dataset};
use gap_infer::train::fit_encoder;
use gap_infer::{DiagonalGaussian, Encoder};
use gap_model::{Activation, LatentVariableModel, Likelihood, LinearGaussian, Mlp, MlpDecoder};
use gap_spec::{Count, ObjectiveSpec, Positive, Precision, TrainingSpec};
use gap_torch::{NoiseStream, SeedKey};
use std::ops::Range;
use tch::Device;

/// The latent dimension, `D`.
pub const LATENT_DIM: i64 = 50;
const HIDDEN_UNITS: i64 = 200;
/// The number of values in an observation, `X`.
const OBSERVED_DIM: i64 = 784;
/// The number of observations that networks are fitted to; their ids count from 0.
pub const N_TRAINING_POINTS: u64 = 1000;

/// The mean-field family.
pub const FAMILY: DiagonalGaussian = DiagonalGaussian::new(LATENT_DIM);

/// A 50-200-200-784 tanh decoder of Bernoulli pixels, with random weights.
pub fn decoder() -> MlpDecoder {
    let widths = [LATENT_DIM, HIDDEN_UNITS, HIDDEN_UNITS, OBSERVED_DIM];
    let key = SeedKey::root(1).for_role("decoder");
    let network = Mlp::random_perceptron(&widths, Activation::Tanh, key, Device::Cpu);
    MlpDecoder::new(network, Likelihood::Bernoulli)
}

/// A 784-200-200-100 tanh encoder, with random weights in every layer, the last one included.
pub fn encoder() -> Encoder {
    let widths = [OBSERVED_DIM, HIDDEN_UNITS, HIDDEN_UNITS, 2 * LATENT_DIM];
    let key = SeedKey::root(1).for_role("encoder");
    Encoder::new(Mlp::random_perceptron(
        &widths,
        Activation::Tanh,
        key,
        Device::Cpu,
    ))
}

/// An encoder of the same widths as the suite begins a fit with.
pub fn new_encoder() -> Encoder {
    let key = SeedKey::root(1).for_role("encoder");
    let hidden = [HIDDEN_UNITS; 2];
    Encoder::with_random_layers(
        OBSERVED_DIM,
        &hidden,
        &FAMILY,
        Activation::Tanh,
        key,
        Device::Cpu,
    )
}

/// The encoder of [`encoder`] after 300 steps of fitting to `model`.
pub fn fitted_encoder(model: &dyn LatentVariableModel) -> Encoder {
    fitted(model, encoder(), N_TRAINING_POINTS, 300)
}

/// `encoder` after `steps` steps of fitting to `model`, on the datapoints `0..n_points`.
pub fn fitted(
    model: &dyn LatentVariableModel,
    mut encoder: Encoder,
    n_points: u64,
    steps: u32,
) -> Encoder {
    let training = TrainingSpec {
        steps: Count::new(steps),
        batch_size: Count::new(100),
        learning_rate: Positive::new(1e-3),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    let data = training_set(model, n_points);
    let key = SeedKey::root(1).for_role("encoder fit");
    fit_encoder(
        model,
        &FAMILY,
        &mut encoder,
        &data,
        (&training, &ObjectiveSpec::ELBO),
        key,
        &|_| (),
    )
    .expect("the fit stays finite");
    encoder
}

/// The datapoints `ids`, with observations drawn from `model`.
pub fn observations(model: &dyn LatentVariableModel, ids: Range<u64>) -> Batch {
    let ids: Vec<u64> = ids.collect();
    let mut noise = NoiseStream::new(SeedKey::root(1).for_role("data"), &ids, Device::Cpu);
    let (x, _) = model
        .sample_joint(&mut noise)
        .expect("a model's own sizes fit");
    Batch::new(ids, x)
}

/// A training set of the datapoints `0..n`, with observations drawn from `model`.
pub fn training_set(model: &dyn LatentVariableModel, n: u64) -> Dataset {
    let batch = observations(model, 0..n);
    let x = batch.x().shallow_clone();
    Dataset::new("drawn from the model", batch.ids().to_vec(), x, None)
}

/// The model of [`crate::Work::SmallFits`], with 2 latent and 10 observed dimensions.
pub fn linear_gaussian() -> LinearGaussian {
    let key = SeedKey::root(1).for_role("linear-gaussian");
    LinearGaussian::random(2, 10, 0.3, key, Device::Cpu)
}
