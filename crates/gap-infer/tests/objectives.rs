//! Gradients of the objectives that encoders are fitted by, against slopes by finite differences and closed
//! forms of a linear-Gaussian model; and what fits by them lead to.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::Dataset;
use gap_infer::train::fit_encoder;
use gap_infer::train::objective::{
    Elbo, EncoderDraws, ImportanceWeighted, ReweightedWake, TrainingObjective,
};
use gap_infer::{
    AffineFlow, DiagonalGaussian, Encoder, FullGaussian, GaussianMixture, ModelDuringFit,
    VariationalFamily, VariationalParams,
};
use gap_model::{Activation, ExactPosterior, LatentVariableModel, LinearGaussian, Network};
use gap_spec::{Count, ObjectiveKind, ObjectiveSpec, Positive, Precision, TrainingSpec};
use gap_torch::{NoiseStream, SeedKey};
use tch::{Device, Kind, Tensor};

const LATENT_DIM: i64 = 2;
const BATCH: i64 = 2;
/// The number of independent estimates that a test compares, each the mean of [`SETS`] sets of draws.
const BLOCKS: i64 = 30;
const SETS: i64 = 100;

/// A difference of more than so many standard errors, from [`BLOCKS`] estimates, is none by chance: Student's
/// distribution gives it 3e-5 for one coordinate, and there are a few hundred.
const MOST_STD_ERRORS: f64 = 5.0;

fn normal(seed: u64, n_samples: i64, dim: i64) -> Tensor {
    let ids: Vec<u64> = (0..BATCH as u64).collect();
    let mut noise = NoiseStream::new(SeedKey::root(seed), &ids, Device::Cpu);
    noise.normal(n_samples, dim).to_kind(Kind::Double)
}

/// A model whose posterior is correlated.
fn correlated_model() -> LinearGaussian {
    let weight = Tensor::from_slice(&[1.0_f32, 0.9, 0.8, 1.0, 0.5, -0.1]).view([3, LATENT_DIM]);
    let bias = Tensor::from_slice(&[0.1_f32, -0.3, 0.2]);
    LinearGaussian::new(weight, bias, 0.7)
}

/// The model in `f64`, and two observations drawn from it.
fn model_and_x() -> (LinearGaussian, Tensor) {
    let model = correlated_model().to_kind(Kind::Double);
    let mut noise = NoiseStream::new(SeedKey::root(2), &[0, 1], Device::Cpu);
    let x = model.sample_joint(&mut noise).unwrap().0;
    (model, x.to_kind(Kind::Double))
}

/// Every family with a density, with some parameters near the standard normal's.
fn families() -> Vec<(Box<dyn VariationalFamily>, VariationalParams)> {
    let families: [Box<dyn VariationalFamily>; 4] = [
        Box::new(DiagonalGaussian::new(LATENT_DIM)),
        Box::new(FullGaussian::new(LATENT_DIM)),
        Box::new(AffineFlow::with_layers_and_hidden_units(LATENT_DIM, 2, 3)),
        Box::new(GaussianMixture::with_n_components(LATENT_DIM, 2)),
    ];
    let with_params = families.into_iter().map(|family| {
        let params = normal(3, 1, family.param_dim()).squeeze_dim(0) * 0.3;
        (family, VariationalParams(params))
    });
    with_params.collect()
}

/// The noise of one block of sets of `n_importance` draws.
fn noise_of_block(family: &dyn VariationalFamily, block: i64, n_importance: i64) -> Tensor {
    let seed = 100 + block as u64;
    normal(seed, SETS * n_importance, family.noise_dim())
}

/// The slope of `value` in each parameter by central differences: `[B, Q] -> [B]` gives `[B, Q]`.
fn slopes(params: &Tensor, value: impl Fn(&VariationalParams) -> Tensor) -> Tensor {
    let step = 1e-5;
    let columns: Vec<Tensor> = (0..params.size()[1])
        .map(|q| {
            let at = |shift: f64| {
                let moved = params.copy();
                let _ = moved.narrow(1, q, 1).g_add_scalar_(shift);
                value(&VariationalParams(moved))
            };
            (at(step) - at(-step)) / (2.0 * step)
        })
        .collect();
    Tensor::stack(&columns, 1)
}

/// Asserts that estimates, one for each block, have the same mean as others on the same draws, coordinate by
/// coordinate; and that this mean is far from zero, so that the comparison means something.
fn assert_same_mean(estimates: &[Tensor], others: &[Tensor], what: &str) {
    let in_std_errors = |values: &Tensor| {
        let mean = values.mean_dim([0_i64].as_slice(), false, Kind::Double);
        let std = values.std_dim([0_i64].as_slice(), true, false);
        // Differences that are zero but for rounding have no error to compare with.
        let std_error = (std / (values.size()[0] as f64).sqrt()).clamp_min(1e-8);
        (mean / std_error).abs().max().double_value(&[])
    };
    let (ours, theirs) = (Tensor::stack(estimates, 0), Tensor::stack(others, 0));
    let difference = in_std_errors(&(&ours - &theirs));
    assert!(difference < MOST_STD_ERRORS, "{what}: {difference}");
    let signal = in_std_errors(&ours);
    assert!(signal > 4.0 * MOST_STD_ERRORS, "{what}: {signal}");
}

/// Each block's gradient by `objective`, and `other` of the block's noise.
fn compare(
    objective: &dyn TrainingObjective,
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    other: impl Fn(&LinearGaussian, &Tensor, &Tensor) -> Tensor,
    what: &str,
) {
    let (model, x) = model_and_x();
    let k = i64::from(objective.draws_per_estimate());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        let noise = noise_of_block(family, block, k);
        let draws = EncoderDraws {
            family,
            x: &x,
            params,
            noise: &noise,
        };
        ours.push(objective.gradient(&model, &draws).unwrap());
        theirs.push(other(&model, &x, &noise));
    }
    assert_same_mean(&ours, &theirs, what);
}

/// `log p(x, z) − log q(z)` of each draw, by sets of `k`: `[S / K, K, B]`.
fn log_weights(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    (x, noise): (&Tensor, &Tensor),
    k: i64,
) -> Tensor {
    let draws = family.transform(params, noise);
    let log_w = model.log_joint(x, &draws.z).unwrap() - draws.log_q;
    log_w.view([-1, k, BATCH])
}

fn mean_of_sets(of_sets: &Tensor) -> Tensor {
    of_sets.mean_dim([0_i64].as_slice(), false, Kind::Double)
}

#[test]
fn the_importance_weighted_gradient_is_the_slope_of_the_bound() {
    let objective = ImportanceWeighted { n_importance: 5 };
    for (i, (family, params)) in families().iter().enumerate() {
        let family = family.as_ref();
        let slope = |model: &LinearGaussian, x: &Tensor, noise: &Tensor| {
            slopes(&params.0, |params| {
                let log_w = log_weights(model, family, params, (x, noise), 5);
                mean_of_sets(&(log_w.logsumexp([1_i64].as_slice(), false) - 5.0_f64.ln()))
            })
        };
        compare(&objective, family, params, slope, &format!("family {i}"));
    }
}

#[test]
fn the_reweighted_wake_gradient_is_the_weighted_slope_of_the_log_density() {
    let objective = ReweightedWake { n_importance: 4 };
    for (i, (family, params)) in families().iter().enumerate() {
        let family = family.as_ref();
        let density = family.evaluable_density().unwrap();
        let slope = |model: &LinearGaussian, x: &Tensor, noise: &Tensor| {
            let weights =
                log_weights(model, family, params, (x, noise), 4).softmax(1, Kind::Double);
            // The draws stay where they are.
            let z = family.transform(params, noise).z;
            slopes(&params.0, |params| {
                let log_q = density.log_prob(params, &z).view([-1, 4, BATCH]);
                let sum =
                    (log_q * &weights).sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
                mean_of_sets(&sum)
            })
        };
        compare(&objective, family, params, slope, &format!("family {i}"));
    }
}

#[test]
fn with_one_draw_the_importance_weighted_bound_is_the_elbo() {
    let objective = ImportanceWeighted { n_importance: 1 };
    for (i, (family, params)) in families().iter().enumerate() {
        let family = family.as_ref();
        let elbo = |model: &LinearGaussian, x: &Tensor, noise: &Tensor| {
            let draws = EncoderDraws {
                family,
                x,
                params,
                noise,
            };
            Elbo.gradient(model, &draws).unwrap()
        };
        compare(&objective, family, params, elbo, &format!("family {i}"));
        // For Gaussians it is that of `log p(x) − KL(q ‖ p(z | x))`, which is exact.
        let Some(gaussian) = family.closed_form_gaussian() else {
            continue;
        };
        let exact = |model: &LinearGaussian, x: &Tensor, _: &Tensor| {
            let (mean, covariance) = model.posterior_moments(x).unwrap();
            slopes(&params.0, |params| {
                -gaussian.kl_to_gaussian(params, &mean, &covariance)
            })
        };
        compare(
            &objective,
            family,
            params,
            exact,
            &format!("family {i}, exact"),
        );
    }
}

#[test]
fn with_many_draws_the_reweighted_wake_gradient_is_that_of_the_forward_divergence() {
    let (model, x) = model_and_x();
    let family = DiagonalGaussian::new(LATENT_DIM);
    // Wider than the posterior, so that the weights are bounded.
    let params = VariationalParams(normal(3, 1, 4).squeeze_dim(0) * 0.3);
    let gradient = |k: u32| {
        let objective = ReweightedWake { n_importance: k };
        let blocks = (0..BLOCKS).map(|block| {
            let noise = normal(200 + block as u64, i64::from(k), LATENT_DIM);
            let draws = EncoderDraws {
                family: &family,
                x: &x,
                params: &params,
                noise: &noise,
            };
            objective.gradient(&model, &draws).unwrap()
        });
        let blocks: Vec<Tensor> = blocks.collect();
        let blocks = Tensor::stack(&blocks, 0);
        let std_error = blocks.std_dim([0_i64].as_slice(), true, false) / (BLOCKS as f64).sqrt();
        (mean_of_sets(&blocks), std_error)
    };
    let ((half, _), (mean, std_error)) = (gradient(4000), gradient(8000));
    // `−KL(N(m, V) ‖ q)` has the slopes `(m − μ) / σ²` in `μ`, and `(V_ii + (m − μ)²) / σ² − 1` in `log σ`.
    let (m, covariance) = model.posterior_moments(&x).unwrap();
    let (own_mean, log_std) = family.mean_and_log_std(&params);
    let precision = (log_std * -2.0).exp();
    let off = m - own_mean;
    let in_mean = &off * &precision;
    let in_log_std = (covariance.diagonal(0, 0, 1) + off.square()) * precision - 1.0;
    let exact = Tensor::cat(&[in_mean, in_log_std], 1);
    // The bias falls as 1/K: it is what the mean moves by when K doubles, or less.
    let allowed = std_error * MOST_STD_ERRORS + (half - &mean).abs();
    let error = (mean - &exact).abs() - allowed;
    assert!(error.max().double_value(&[]) < 0.0, "{error:?}");
    assert!(exact.abs().max().double_value(&[]) > 0.3);
}

#[test]
fn at_the_exact_posterior_no_draw_has_a_gradient() {
    let (model, x) = model_and_x();
    let family = FullGaussian::new(LATENT_DIM);
    let (mean, covariance) = model.posterior_moments(&x).unwrap();
    let factor = covariance.linalg_cholesky(false);
    let entry = |i: i64, j: i64| factor.double_value(&[i, j]);
    let scale = [entry(0, 0).ln(), entry(1, 1).ln(), entry(1, 0)];
    let scale = Tensor::from_slice(&scale).repeat([BATCH, 1]);
    let params = VariationalParams(Tensor::cat(&[mean, scale], 1));
    let noise = normal(5, 6, LATENT_DIM);
    let draws = EncoderDraws {
        family: &family,
        x: &x,
        params: &params,
        noise: &noise,
    };
    let objectives: [&dyn TrainingObjective; 2] = [
        &ImportanceWeighted { n_importance: 3 },
        &ReweightedWake { n_importance: 3 },
    ];
    for objective in objectives {
        let gradient = objective.gradient(&model, &draws).unwrap();
        assert!(
            gradient.abs().max().double_value(&[]) < 1e-9,
            "{gradient:?}"
        );
    }
}

#[test]
fn a_datapoint_has_the_gradient_that_it_has_alone() {
    let (model, x) = model_and_x();
    let objectives: [&dyn TrainingObjective; 3] = [
        &Elbo,
        &ImportanceWeighted { n_importance: 3 },
        &ReweightedWake { n_importance: 3 },
    ];
    for (family, params) in &families() {
        let noise = normal(6, 12, family.noise_dim());
        for objective in objectives {
            let gradient = |from: i64, len: i64| {
                let params = VariationalParams(params.0.narrow(0, from, len));
                let draws = EncoderDraws {
                    family: family.as_ref(),
                    x: &x.narrow(0, from, len),
                    params: &params,
                    noise: &noise.narrow(1, from, len),
                };
                objective.gradient(&model, &draws).unwrap()
            };
            let alone = Tensor::cat(&[gradient(0, 1), gradient(1, 1)], 0);
            let error = (alone - gradient(0, 2)).abs().max().double_value(&[]);
            assert!(error < 1e-12, "{error}");
        }
    }
}

/// A linear encoder that is fitted by this objective to draws from the model, and these draws.
fn fitted(model: &LinearGaussian, objective: ObjectiveSpec) -> (Encoder, Tensor) {
    let ids: Vec<u64> = (0..2000).collect();
    let mut noise = NoiseStream::new(SeedKey::root(7), &ids, Device::Cpu);
    let x = model.sample_joint(&mut noise).unwrap().0;
    let data = Dataset::new("drawn", ids, x.shallow_clone(), None);
    let family = DiagonalGaussian::new(LATENT_DIM);
    let widths = [3, family.param_dim()];
    let network =
        Network::random_perceptron(&widths, Activation::Tanh, SeedKey::root(8), Device::Cpu);
    let mut encoder = Encoder::new_for_fitting(network, &family, ModelDuringFit::Frozen);
    let training = TrainingSpec {
        steps: Count::new(2000),
        batch_size: Count::new(100),
        learning_rate: Positive::new(0.02),
        n_samples: Count::new(1),
        precision: Precision::Full,
    };
    let cost = fit_encoder(
        model,
        &family,
        &mut encoder,
        &data,
        (&training, &objective),
        SeedKey::root(9),
        &|_| (),
    );
    let draws = u64::from(objective.draws_per_estimate());
    assert_eq!(cost.unwrap().joint_gradients, 2000 * 100 * draws);
    (encoder, x)
}

/// The mean standard deviations of the encoder's `q`s, and their mean importance-weighted bound of 8 draws.
fn stds_and_bound(model: &LinearGaussian, (encoder, x): &(Encoder, Tensor)) -> (Vec<f64>, f64) {
    let family = DiagonalGaussian::new(LATENT_DIM);
    let params = encoder.encode(x);
    let stds = family.mean_and_log_std(&params).1.exp();
    let stds = stds.mean_dim([0_i64].as_slice(), false, Kind::Double);
    let n = x.size()[0];
    let ids: Vec<u64> = (0..n as u64).collect();
    let noise = NoiseStream::new(SeedKey::root(10), &ids, Device::Cpu).normal(800, LATENT_DIM);
    let draws = family.transform(&params, &noise);
    let log_w = model.log_joint(x, &draws.z).unwrap() - draws.log_q;
    let bounds = log_w.view([-1, 8, n]).logsumexp([1_i64].as_slice(), false) - 8.0_f64.ln();
    let stds = (0..LATENT_DIM).map(|i| stds.double_value(&[i])).collect();
    (stds, bounds.mean(Kind::Double).double_value(&[]))
}

#[test]
fn fits_lead_to_the_optimum_of_their_objective() {
    let model = correlated_model();
    let x = Tensor::zeros([1, 3], (Kind::Float, Device::Cpu));
    let (_, covariance) = model.posterior_moments(&x).unwrap();
    let marginal = covariance.diagonal(0, 0, 1).sqrt();
    let conditional = Tensor::linalg_inv(&covariance).diagonal(0, 0, 1).rsqrt();
    let spec = |kind, n| ObjectiveSpec {
        kind,
        n_importance: Some(Count::new(n)),
    };
    let [
        (elbo, bound_of_elbo),
        (wake, bound_of_wake),
        (_, bound_of_weighted),
    ] = [
        ObjectiveSpec::ELBO,
        spec(ObjectiveKind::ReweightedWake, 64),
        spec(ObjectiveKind::ImportanceWeighted, 8),
    ]
    .map(|objective| stds_and_bound(&model, &fitted(&model, objective)));
    for i in 0..LATENT_DIM {
        let [marginal, conditional] = [&marginal, &conditional].map(|std| std.double_value(&[i]));
        assert!(marginal > 1.3 * conditional, "the posterior is correlated");
        let (elbo, wake) = (elbo[i as usize], wake[i as usize]);
        // The ELBO has its optimum at the conditional standard deviations, the forward divergence at the
        // marginal ones, of which normalised weights of 64 draws miss some two percent.
        assert!(
            (elbo / conditional - 1.0).abs() < 0.02,
            "{elbo} {conditional}"
        );
        assert!((wake / marginal - 1.0).abs() < 0.04, "{wake} {marginal}");
    }
    // Each on the same draws.
    assert!(
        bound_of_weighted > bound_of_wake + 1e-4,
        "{bound_of_weighted} {bound_of_wake}"
    );
    assert!(
        bound_of_wake > bound_of_elbo + 0.01,
        "{bound_of_wake} {bound_of_elbo}"
    );
}
