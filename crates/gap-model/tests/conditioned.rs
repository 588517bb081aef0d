//! Models at fixed observations give the same results as the models themselves.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::model::score_by_autograd;
use gap_model::{
    Activation, ConditionedModel, JointAndScore, LatentVariableModel, Likelihood, LinearGaussian,
    Mlp, MlpDecoder, ModelError,
};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use models::{draws, f32_models, largest, models, owners};
use tch::{Device, Kind, Tensor};

#[test]
fn a_conditioned_model_says_what_the_model_says() {
    for (name, model) in models() {
        // 1,100 rows are more than one block, and more than one chunk of a `GenericConditionedModel`.
        let (x, z) = draws(model.as_ref(), &[0, 1, 2, 3], 275);
        let mut conditioned = model.condition(&x).unwrap();
        let rows = z.view([-1, model.latent_dim()]);
        let JointAndScore { log_joint, score } =
            conditioned.log_joint_and_score(&owners(&z), &rows).unwrap();
        assert_eq!(log_joint.kind(), Kind::Double);
        let by_model = model.log_joint(&x, &z).unwrap().view([-1]);
        let error = largest(&(log_joint - &by_model)) / largest(&by_model);
        assert!(error < 1e-12, "{name}: log joint, {error}");
        let by_autograd = score_by_autograd(model.as_ref(), &x, &z)
            .unwrap()
            .view_as(&rows);
        let error = largest(&(&score - &by_autograd)) / largest(&by_autograd);
        assert!(error < 1e-12, "{name}: score, {error}");
        let alone = conditioned.score(&owners(&z), &rows).unwrap();
        assert!(alone.equal(&score), "{name}: asked for without the joint");
    }
}

#[test]
fn a_conditioned_score_is_the_slope_of_the_conditioned_log_joint() {
    let step = 1e-5;
    for (name, model) in models() {
        let (x, z) = draws(model.as_ref(), &[0, 1], 3);
        let (observations, z) = (owners(&z), z.view([-1, model.latent_dim()]));
        let mut conditioned = model.condition(&x).unwrap();
        let score = conditioned.score(&observations, &z).unwrap();
        let mut log_joint = |z: &Tensor| {
            let asked = conditioned.log_joint_and_score(&observations, z);
            asked.unwrap().log_joint
        };
        for d in 0..model.latent_dim() {
            let shift = Tensor::zeros_like(&z);
            let _ = shift.narrow(1, d, 1).fill_(step);
            let slope = (log_joint(&(&z + &shift)) - log_joint(&(&z - &shift))) / (2.0 * step);
            let error = largest(&(slope - score.select(1, d))) / largest(&score);
            // The errors of rounding (1e-16 / step) and of truncation (step²) both stay below this.
            assert!(error < 1e-7, "{name}, axis {d}: {error}");
        }
    }
}

/// The decoder's weights and biases are the oracle's loadings and offsets.
#[test]
fn a_decoder_of_one_layer_and_gaussian_noise_is_the_linear_gaussian_model() {
    let std = 0.4;
    let oracle = LinearGaussian::random(3, 12, std, SeedKey::root(2), Device::Cpu);
    let (mut stored, mut renamed) = (Checkpoint::new(), Checkpoint::new());
    oracle.store(&mut stored);
    for name in ["weight", "bias"] {
        let tensor = stored.get(&format!("linear_gaussian.{name}"), Device::Cpu);
        renamed.insert(format!("decoder.0.{name}"), &tensor.unwrap());
    }
    let network = Mlp::random_perceptron(&[3, 12], Activation::Tanh, SeedKey::root(0), Device::Cpu);
    let network = network.restored(&renamed, "decoder", Device::Cpu).unwrap();
    let decoder = MlpDecoder::new(network, Likelihood::Gaussian { std }).to_kind(Kind::Double);
    let oracle = oracle.to_kind(Kind::Double);
    let (x, z) = draws(&oracle, &[0, 1, 2], 5);
    let asked = |model: &dyn LatentVariableModel| {
        let mut conditioned = model.condition(&x).unwrap();
        conditioned
            .log_joint_and_score(&owners(&z), &z.view([-1, 3]))
            .unwrap()
    };
    let (ours, theirs) = (asked(&decoder), asked(&oracle));
    assert!(largest(&(ours.log_joint - theirs.log_joint)) < 1e-10);
    assert!(largest(&(ours.score - theirs.score)) < 1e-10);
    let drawn = |model: &dyn LatentVariableModel| draws(model, &[7, 8], 1).0;
    assert!(largest(&(drawn(&decoder) - drawn(&oracle))) < 1e-5); // drawn in f32
}

#[test]
fn single_precision_costs_no_more_than_its_rounding() {
    for (name, model) in f32_models() {
        let (x, z) = draws(model.as_ref(), &[0, 1, 2], 4);
        let (x, z) = (x.to_kind(Kind::Float), z.to_kind(Kind::Float));
        let mut conditioned = model.condition(&x).unwrap();
        let asked = conditioned
            .log_joint_and_score(&owners(&z), &z.view([-1, model.latent_dim()]))
            .unwrap();
        let by_autograd = score_by_autograd(model.as_ref(), &x, &z).unwrap();
        let error = largest(&(asked.score - by_autograd.flatten(0, 1)));
        // The sums have up to 784 terms of order one, each rounded at 1e-7 of the largest.
        assert!(error < 1e-5 * largest(&by_autograd), "{name}: {error}");
    }
}

#[test]
fn no_rows_give_no_rows() {
    for (name, model) in models() {
        for n_observations in [0, 2] {
            let options = (Kind::Double, Device::Cpu);
            let x = Tensor::zeros([n_observations, model.observed_dim()], options);
            let mut conditioned = model.condition(&x).unwrap();
            let none = Tensor::zeros([0, model.latent_dim()], options);
            let asked = conditioned.log_joint_and_score(&[], &none);
            let JointAndScore { log_joint, score } = asked.unwrap();
            let sizes = (log_joint.size(), score.size());
            assert_eq!(sizes, (vec![0], none.size()), "{name}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, Device::Cpu));
    for (name, model) in models() {
        let (x, d) = (model.observed_dim(), model.latent_dim());
        for shape in [&[2, x - 1][..], &[x], &[1, 2, x]] {
            assert!(model.condition(&zeros(shape)).is_err(), "{name}: {shape:?}");
        }
        let mut conditioned = model.condition(&zeros(&[2, x])).unwrap();
        let mut refuse = |observations: &[i64], shape: &[i64]| {
            let refused = conditioned.log_joint_and_score(observations, &zeros(shape));
            assert!(refused.is_err(), "{name}: {observations:?}, {shape:?}");
            conditioned.score(observations, &zeros(shape)).unwrap_err()
        };
        refuse(&[0], &[1, d + 1]);
        refuse(&[0], &[1, 1, d]);
        assert!(matches!(
            refuse(&[0, 1], &[3, d]),
            ModelError::Size { what: "N", .. }
        ));
        for missing in [2, -1] {
            let error = refuse(&[0, missing], &[2, d]);
            assert!(matches!(
                error,
                ModelError::NoSuchObservation { observation, n_observations: 2 }
                    if observation == missing
            ));
        }
        // A refused call leaves the conditioned model usable.
        assert!(conditioned.score(&[1], &zeros(&[1, d])).is_ok(), "{name}");
    }
}

#[test]
fn an_unprepared_model_may_be_behind_a_trait_object() {
    let (_, model) = models().remove(1);
    let (x, z) = draws(model.as_ref(), &[0, 1], 2);
    let behind: &dyn LatentVariableModel = model.as_ref();
    let mut unprepared = gap_model::model::GenericConditionedModel::new(behind, &x).unwrap();
    let score = unprepared.score(&owners(&z), &z.view([-1, 3])).unwrap();
    let expected = model.score(&x, &z).unwrap().view([-1, 3]);
    assert!(largest(&(score - expected)) < 1e-14);
}
