//! Fits of encoders and decoders: they are reproducible, raise the ELBO, and leave frozen decoders unchanged.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::{Batch, Dataset, LoadOptions};
use gap_infer::ascent::averaged_newton_phase;
use gap_infer::train::{fit_decoder_and_encoder, fit_encoder};
use gap_infer::{
    DiagonalGaussian, Encoder, InferError, ModelDuringFit, RefinedInference, VariationalFamily,
    VariationalParams,
};
use gap_model::likelihood::{LearnedGaussian, LearnedScale};
use gap_model::{Activation, LatentVariableModel, Likelihood, Mlp, MlpDecoder};
use gap_spec::{Count, ObjectiveSpec, Phase, Positive, Precision, StoppingRule, TrainingSpec};
use gap_torch::{SeedKey, sobol_normal_points};
use tch::{Device, Kind, Tensor};

const TRAINING: TrainingSpec = TrainingSpec {
    steps: Count::new(300),
    batch_size: Count::new(50),
    learning_rate: Positive::new(5e-3),
    n_samples: Count::new(1),
    precision: Precision::Mixed,
};

fn digits() -> Dataset {
    gap_data::load("digits-binarized", &LoadOptions::default())
        .unwrap()
        .train
}

fn network() -> Mlp {
    let widths = [4, 16, 64];
    Mlp::random_perceptron(&widths, Activation::Tanh, SeedKey::root(1), Device::Cpu)
}

fn decoder() -> MlpDecoder {
    MlpDecoder::new(network(), Likelihood::Bernoulli)
}

fn encoder(hidden: &[i64]) -> Encoder {
    let family = DiagonalGaussian::new(4);
    Encoder::with_random_layers(
        64,
        hidden,
        &family,
        Activation::Tanh,
        SeedKey::root(2),
        Device::Cpu,
    )
}

fn mean_elbo(model: &MlpDecoder, params: &VariationalParams, batch: &Batch) -> f64 {
    let dim = model.latent_dim();
    let noise = sobol_normal_points(SeedKey::root(3), 0..256, dim as usize);
    let noise = Tensor::from_slice(&noise).view([256, 1, dim]);
    let draws = DiagonalGaussian::new(dim).transform(params, &noise);
    let log_weights = model.log_joint(batch.x(), &draws.z).unwrap() - draws.log_q;
    log_weights.mean(Kind::Double).double_value(&[])
}

fn jointly_fitted() -> (MlpDecoder, Encoder) {
    let (mut decoder, mut encoder) = (decoder(), encoder(&[32]));
    let family = DiagonalGaussian::new(4);
    let key = SeedKey::root(4);
    fit_decoder_and_encoder(
        &mut decoder,
        &family,
        &mut encoder,
        &digits(),
        (&TRAINING, 1),
        key,
        &|_| (),
    )
    .unwrap();
    (decoder, encoder)
}

#[test]
fn a_joint_fit_gains_is_frozen_and_repeats_itself_to_the_last_bit() {
    let batch = digits()
        .first(100)
        .batches(100, Device::Cpu)
        .next()
        .unwrap();
    let before = mean_elbo(&decoder(), &encoder(&[32]).encode(batch.x()), &batch);
    let (decoder, encoder) = jointly_fitted();
    let after = mean_elbo(&decoder, &encoder.encode(batch.x()), &batch);
    // Uniform pixels cost 64 log 2 = 44 nats; 300 steps of learning gain more than ten of them.
    assert!(after > before + 10.0, "{before} to {after}");
    let (again, _) = jointly_fitted();
    for (one, two) in decoder
        .network()
        .parameters()
        .iter()
        .zip(again.network().parameters())
    {
        assert!(one.equal(&two));
    }
}

/// The mean ELBO of 200 test points after a short joint fit, averaged over two seeds, if `encoder` makes the encoder
/// of a network of random weights with the variance `1 / inputs`.
fn elbo_after_joint_fit(encoder: impl Fn(Mlp, &DiagonalGaussian) -> Encoder) -> f64 {
    let data = gap_data::load("digits-binarized", &LoadOptions::default()).unwrap();
    let family = DiagonalGaussian::new(10);
    let training = TrainingSpec {
        steps: Count::new(600),
        learning_rate: Positive::new(1e-3),
        ..TRAINING
    };
    let test = data.test.first(200);
    let test = test.batches(200, Device::Cpu).next().unwrap();
    let random = |widths: &[i64], seed| {
        Mlp::random_perceptron(widths, Activation::Tanh, SeedKey::root(seed), Device::Cpu)
    };
    let after = [11, 12].map(|seed| {
        let mut decoder = MlpDecoder::new(random(&[10, 64, 64, 64], seed), Likelihood::Bernoulli);
        let mut encoder = encoder(random(&[64, 64, 64, 20], seed + 2), &family);
        let key = SeedKey::root(seed + 4);
        let plan = (&training, 1);
        fit_decoder_and_encoder(
            &mut decoder,
            &family,
            &mut encoder,
            &data.train,
            plan,
            key,
            &|_| (),
        )
        .unwrap();
        mean_elbo(&decoder, &encoder.encode(test.x()), &test)
    });
    after.iter().sum::<f64>() / after.len() as f64
}

#[test]
fn a_short_joint_fit_is_no_worse_than_one_from_plain_random_weights() {
    let ours = elbo_after_joint_fit(|network, family| {
        Encoder::new_for_fitting(network, family, ModelDuringFit::Fitted)
    });
    let plain = elbo_after_joint_fit(|network, _| Encoder::new(network));
    let blind =
        elbo_after_joint_fit(|network, _| Encoder::new(network.with_first_outputs_times(0, 0.0)));
    assert!(ours > plain - 0.5, "{ours} against {plain}");
    // The fault that this guards against shows on this problem too.
    assert!(blind < plain - 0.5, "{blind} against {plain}");
}

#[test]
fn an_encoder_fit_leaves_the_decoder_alone_and_gains() {
    let (decoder, _) = jointly_fitted();
    let before: Vec<_> = decoder
        .network()
        .parameters()
        .iter()
        .map(Tensor::copy)
        .collect();
    let family = DiagonalGaussian::new(4);
    let data = digits();
    let batch = data.first(100).batches(100, Device::Cpu).next().unwrap();
    let mut encoder = encoder(&[]);
    let unfitted = mean_elbo(&decoder, &encoder.encode(batch.x()), &batch);
    let seen = std::cell::Cell::new(0.0);
    fit_encoder(
        &decoder,
        &family,
        &mut encoder,
        &data,
        (&TRAINING, &ObjectiveSpec::ELBO),
        SeedKey::root(5),
        &|done| seen.set(done),
    )
    .unwrap();
    let fitted = mean_elbo(&decoder, &encoder.encode(batch.x()), &batch);
    assert!(fitted > unfitted + 1.0, "{unfitted} to {fitted}");
    assert_eq!(seen.get(), 1.0, "progress ends at 1");
    for (one, two) in before.iter().zip(decoder.network().parameters()) {
        assert!(one.equal(&two));
    }
}

#[test]
fn refining_raises_the_elbo_on_average() {
    let (decoder, encoder) = jointly_fitted();
    let family = DiagonalGaussian::new(4);
    let batch = digits()
        .first(200)
        .batches(200, Device::Cpu)
        .next()
        .unwrap();
    let phase = Phase {
        stopping: StoppingRule::Never,
        ..averaged_newton_phase(32, 0.0, 50)
    };
    let refined = RefinedInference {
        family: &family,
        encoder: &encoder,
        phase,
        steps: vec![1, 2, 5, 10, 50],
    };
    let amortized = mean_elbo(&decoder, &encoder.encode(batch.x()), &batch);
    let path = refined
        .fit_after_each_step_count(&decoder, &batch, SeedKey::root(6))
        .unwrap();
    let elbos: Vec<f64> = path
        .iter()
        .map(|fitted| mean_elbo(&decoder, &fitted.params, &batch))
        .collect();
    // The first step is a whole Newton step on one block of draws. The noise of `S` draws costs half a nat for
    // each of the `2 D` parameters, divided by `S`, which may be more than the step gains.
    let noise = 0.5 * 8.0 / 32.0;
    assert!(elbos[0] > amortized - noise, "{amortized}: {elbos:?}");
    assert!(
        elbos[1..].iter().all(|&elbo| elbo > amortized),
        "{amortized}: {elbos:?}"
    );
    assert!(
        elbos[4] > elbos[0],
        "50 steps gain more than one: {elbos:?}"
    );
    // The first six blocks have 32 draws, and later ones 128.
    let spent: Vec<u64> = path
        .iter()
        .map(|fitted| fitted.costs[0].joint_gradients)
        .collect();
    assert_eq!(spent, [32, 64, 160, 704, 5824]);
}

#[test]
fn a_diverging_fit_is_an_error_that_names_the_cure() {
    let (mut decoder, mut encoder) = (decoder(), encoder(&[]));
    let wild = TrainingSpec {
        learning_rate: Positive::new(1e20),
        ..TRAINING
    };
    let family = DiagonalGaussian::new(4);
    let error = fit_decoder_and_encoder(
        &mut decoder,
        &family,
        &mut encoder,
        &digits(),
        (&wild, 1),
        SeedKey::root(7),
        &|_| (),
    )
    .unwrap_err();
    assert!(matches!(error, InferError::Diverged { .. }));
    assert!(
        error
            .to_string()
            .contains("lower the learning rate `model.training.learning_rate`"),
        "{error}"
    );
}

/// With a learned scale for each pixel, a decoder of grey digits has a far higher ELBO than with a fixed one,
/// and each scale matches the residuals at its pixel.
#[test]
fn a_joint_fit_learns_the_scales_of_its_likelihood() {
    const START: f64 = 0.5;
    let data = gap_data::load("digits", &LoadOptions::default()).unwrap();
    let data = data.train;
    let batch = data.first(200).batches(200, Device::Cpu).next().unwrap();
    let fitted = |likelihood: Likelihood| {
        let mut decoder = MlpDecoder::new(network(), likelihood);
        let mut encoder = encoder(&[32]);
        let (family, key) = (DiagonalGaussian::new(4), SeedKey::root(5));
        let steps = TrainingSpec {
            steps: Count::new(1500),
            ..TRAINING
        };
        fit_decoder_and_encoder(
            &mut decoder,
            &family,
            &mut encoder,
            &data,
            (&steps, 1),
            key,
            &|_| (),
        )
        .unwrap();
        let elbo = mean_elbo(&decoder, &encoder.encode(batch.x()), &batch);
        (decoder, encoder, elbo)
    };
    let std = LearnedScale::new(64, START, 0.02, Device::Cpu);
    let (decoder, encoder, learned) = fitted(Likelihood::LearnedGaussian(LearnedGaussian { std }));
    let (.., fixed) = fitted(Likelihood::Gaussian { std: START });
    assert!(learned > fixed + 20.0, "{learned} {fixed}");
    let params = encoder.encode(batch.x());
    let noise = Tensor::zeros([1, 1, 4], (Kind::Float, Device::Cpu));
    let z = DiagonalGaussian::new(4).transform(&params, &noise).z;
    let residuals = batch.x() - decoder.network().forward(&z.squeeze_dim(0));
    let left = residuals
        .square()
        .mean_dim([0_i64].as_slice(), false, Kind::Double)
        .sqrt();
    let likelihood = decoder.likelihood();
    let scale = likelihood.learned_scale().unwrap().log_scale().exp();
    // Where residuals are not small, the scale must be near them; it also covers the spread of z.
    for pixel in 0..64 {
        let (left, scale) = (left.double_value(&[pixel]), scale.double_value(&[pixel]));
        if left > 0.1 {
            assert!(
                (0.7..1.6).contains(&(scale / left)),
                "{pixel}: {scale} {left}"
            );
        }
    }
}
