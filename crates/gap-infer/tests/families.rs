//! Properties of every family: densities, gradients, independence of the batch, and the families that it
//! contains.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod searches;

use gap_data::LoadOptions;
use gap_infer::elbo_gradient::elbo_gradient;
use gap_infer::family::build_family;
use gap_infer::train::fit_encoder;
use gap_infer::{DiagonalGaussian, Encoder, RowTransform, VariationalFamily, VariationalParams};
use gap_model::{Activation, FloatNumber, LatentVariableModel, Likelihood, Mlp, MlpDecoder};
use gap_spec::{Count, Family, ObjectiveSpec, Positive, Precision, TrainingSpec};
use gap_torch::device::set_one_thread_per_operation;
use gap_torch::{NoiseStream, SeedKey, to_element_values};
use searches::{CPU, losses, of_digits, only, searched};
use tch::{Kind, Tensor};

const DIM: i64 = 3;

/// Returns all families over `dim` dimensions with their names.
fn families(dim: i64) -> impl Iterator<Item = (Family, Box<dyn VariationalFamily>)> {
    let all = Family::ALL.iter();
    all.map(move |&family| (family, build_family(family, dim)))
}

#[test]
fn the_table_of_families_has_the_sizes_that_they_are_built_with() {
    for dim in [1, 2, 3, 10, 33] {
        for (name, family) in families(dim) {
            let sizes = (family.param_dim() as usize, family.noise_dim() as usize);
            let dim = dim as usize;
            assert_eq!((name.param_dim(dim), name.noise_dim(dim)), sizes, "{name}");
            assert_eq!(
                name.has_density(),
                family.evaluable_density().is_some(),
                "{name}"
            );
            assert_eq!(
                name.is_gaussian(),
                family.closed_form_gaussian().is_some(),
                "{name}"
            );
        }
    }
}

/// Random `λ` with standard deviation `size`: `[B, Q]`, `f64`.
fn somewhere(family: &dyn VariationalFamily, batch: usize, size: f64) -> Tensor {
    let ids: Vec<u64> = (0..batch as u64).collect();
    let mut noise = NoiseStream::new(SeedKey::root(3), &ids, CPU);
    let params = noise.normal(1, family.param_dim()).squeeze_dim(0);
    params.to_kind(Kind::Double) * size
}

fn normal(seed: u64, n_samples: i64, batch: usize, width: i64) -> Tensor {
    let ids: Vec<u64> = (0..batch as u64).collect();
    NoiseStream::new(SeedKey::root(seed), &ids, CPU).normal(n_samples, width)
}

fn decoder_in_double() -> MlpDecoder {
    let network = Mlp::random_perceptron(&[DIM, 8, 12], Activation::Tanh, SeedKey::root(1), CPU);
    MlpDecoder::new(network, Likelihood::Bernoulli).to_kind(Kind::Double)
}

fn largest(difference: &Tensor) -> f64 {
    difference.abs().max().double_value(&[])
}

#[test]
fn the_density_at_a_draw_is_that_of_the_draw() {
    for dim in [1, 2, 5] {
        for (name, family) in families(dim) {
            let Some(evaluable) = family.evaluable_density() else {
                continue;
            };
            let params = VariationalParams(somewhere(family.as_ref(), 4, 0.4));
            let noise = normal(4, 50, 4, family.noise_dim()).to_kind(Kind::Double);
            let draws = family.transform(&params, &noise);
            let off = largest(&(evaluable.log_prob(&params, &draws.z) - draws.log_q));
            assert!(off < 1e-9, "{name}, D = {dim}: {off:e}");
        }
    }
}

/// Integrates each density by importance sampling from a wide normal.
#[test]
fn densities_integrate_to_one() {
    for (name, family) in families(2) {
        let Some(evaluable) = family.evaluable_density() else {
            continue;
        };
        let params = VariationalParams(somewhere(family.as_ref(), 3, 0.3));
        let n = 40_000;
        let wide = 2.5;
        let noise = normal(5, n, 3, 2).to_kind(Kind::Double);
        let log_q = evaluable.log_prob(&params, &(&noise * wide));
        let over = |t: Tensor| t.sum_dim_intlist([2_i64].as_slice(), false, Kind::Double);
        let log_proposal =
            over(noise.square() * -0.5) - (wide * std::f64::consts::TAU.sqrt()).ln() * 2.0;
        let ratio = (log_q - log_proposal).exp();
        let mass = ratio.mean_dim([0_i64].as_slice(), false, Kind::Double);
        let error = ratio.std_dim([0_i64].as_slice(), true, false) / (n as f64).sqrt();
        let off = largest(&((mass - 1.0) / error));
        assert!(off < 4.5, "{name}: {off} standard errors");
    }
}

/// The gradient is the slope of `mean[log p(x, T_λ(ε)) − log q(T_λ(ε))]` on the same noise, where the `λ` of
/// `log q` either varies too or is held fixed. The two slopes differ by an estimate of `E[∂ log q / ∂λ] = 0`.
#[test]
fn the_gradient_is_the_slope_of_the_elbo_on_the_same_noise() {
    let model = decoder_in_double();
    let batch = 3;
    let ids: Vec<u64> = (0..batch as u64).collect();
    let (x, _) = model
        .sample_joint(&mut NoiseStream::new(SeedKey::root(2), &ids, CPU))
        .unwrap();
    for (name, family) in families(DIM) {
        let params = somewhere(family.as_ref(), batch, 0.3);
        let noise = normal(4, 6, batch, family.noise_dim()).to_kind(Kind::Double);
        let at = |params: &Tensor| VariationalParams(params.copy());
        let gradient = elbo_gradient(&model, family.as_ref(), &at(&params), &x, &noise).unwrap();
        let elbo = |moved: &Tensor| {
            let draws = family.transform(&at(moved), &noise);
            let log_joint = model.log_joint(&x, &draws.z).unwrap();
            let mean = |t: Tensor| t.mean_dim([0_i64].as_slice(), false, Kind::Double);
            let along = match family.closed_form_gaussian() {
                Some(gaussian) => mean(log_joint.shallow_clone()) + gaussian.entropy(&at(moved)),
                None => mean(&log_joint - &draws.log_q),
            };
            let fast = family.evaluable_density().map_or_else(
                || along.shallow_clone(),
                |evaluable| mean(log_joint - evaluable.log_prob(&at(&params), &draws.z)),
            );
            [along, fast]
        };
        let step = 1e-5;
        let mut worst = [0.0_f64; 2];
        for q in 0..family.param_dim() {
            let shift = Tensor::zeros_like(&params);
            let _ = shift.narrow(1, q, 1).fill_(step);
            let (above, below) = (elbo(&(&params + &shift)), elbo(&(&params - &shift)));
            for (worst, (above, below)) in worst.iter_mut().zip(above.iter().zip(below)) {
                let slope = (above - below) / (2.0 * step);
                *worst = worst.max(largest(&(slope - gradient.select(1, q))));
            }
        }
        let is_slope = worst[0].min(worst[1]) < 1e-6;
        // A family whose density is known only at its own draws is checked in the mean by the next test.
        assert!(
            is_slope || family.evaluable_density().is_none(),
            "{name}: {worst:?}"
        );
    }
}

/// The mean gradient over many draws is the slope of the mean ELBO, along some directions.
#[test]
fn the_gradient_is_without_bias() {
    let model = decoder_in_double();
    let (n_parts, n_samples) = (10, 2000);
    let x = model
        .sample_joint(&mut NoiseStream::new(SeedKey::root(2), &[0], CPU))
        .unwrap()
        .0;
    for (name, family) in families(DIM) {
        let params = somewhere(family.as_ref(), 1, 0.3);
        let direction = normal(15, 1, 4, family.param_dim())
            .squeeze_dim(0)
            .to_kind(Kind::Double);
        let at = |params: &Tensor| VariationalParams(params.copy());
        let elbo = |moved: &Tensor, noise: &Tensor| {
            let draws = family.transform(&at(moved), noise);
            let log_joint = model.log_joint(&x, &draws.z).unwrap();
            (log_joint - draws.log_q)
                .mean(Kind::Double)
                .double_value(&[])
        };
        for d in 0..4 {
            let direction = direction.narrow(0, d, 1);
            let mut noise = NoiseStream::new(SeedKey::root(16), &[0], CPU);
            let off: Vec<f64> = (0..n_parts)
                .map(|_| {
                    let noise = noise
                        .normal(n_samples, family.noise_dim())
                        .to_kind(Kind::Double);
                    let gradient =
                        elbo_gradient(&model, family.as_ref(), &at(&params), &x, &noise).unwrap();
                    let own = (gradient * &direction).sum(Kind::Double).double_value(&[]);
                    let step = 1e-4;
                    let above = elbo(&(&params + &direction * step), &noise);
                    let below = elbo(&(&params - &direction * step), &noise);
                    own - (above - below) / (2.0 * step)
                })
                .collect();
            let mean = off.iter().sum::<f64>() / n_parts as f64;
            let scatter: f64 = off.iter().map(|off| (off - mean).powi(2)).sum();
            let error = (scatter / (n_parts * (n_parts - 1)) as f64).sqrt();
            // Student's t with 9 degrees of freedom is within 6 in all but 1 of 5,000 cases.
            assert!(mean.abs() < 6.0 * error + 1e-6, "{name}: {mean} ± {error}");
        }
    }
}

#[test]
fn rows_and_tensors_say_the_same_in_both_types() {
    for (name, family) in families(DIM) {
        check_rows_against_tensors::<f32>(name, family.as_ref(), 1e-5);
        check_rows_against_tensors::<f64>(name, family.as_ref(), 1e-13);
    }
}

fn check_rows_against_tensors<'f, T: FloatNumber>(
    name: Family,
    family: &(dyn VariationalFamily + 'f),
    tolerance: f64,
) where
    dyn VariationalFamily + 'f: RowTransform<T>,
{
    let of_kind = |t: &Tensor| t.to_kind(T::KIND);
    let params = VariationalParams(of_kind(&somewhere(family, 2, 0.3)));
    let noise = of_kind(&normal(6, 7, 2, family.noise_dim()));
    let score = of_kind(&normal(7, 7, 2, DIM));
    let draws = family.transform(&params, &noise);
    let gradient = family.pull_back(&params, &noise, &score);
    for b in 0..2 {
        let row = |t: &Tensor| to_element_values::<T>(&t.select(1, b));
        let own = to_element_values::<T>(&params.0.get(b));
        let (mut z, mut log_q) = (vec![T::default(); 7 * DIM as usize], vec![0.0; 7]);
        RowTransform::<T>::transform_row(family, &own, &row(&noise), &mut z, &mut log_q);
        let mut of_row = vec![T::default(); own.len()];
        RowTransform::<T>::pull_back_row(family, &own, &row(&noise), &row(&score), &mut of_row);
        let off_z = largest(&(Tensor::from_slice(&z) - Tensor::from_slice(&row(&draws.z))));
        let off_q = largest(&(Tensor::from_slice(&log_q) - draws.log_q.select(1, b)));
        let off_g = largest(&(Tensor::from_slice(&of_row) - gradient.get(b)));
        assert!(
            off_z.max(off_q).max(off_g) < tolerance,
            "{name}: {off_z} {off_q} {off_g}"
        );
    }
}

#[test]
fn every_family_contains_the_diagonal_gaussian() {
    let diagonal = DiagonalGaussian::new(DIM);
    let smaller = VariationalParams(somewhere(&diagonal, 4, 0.5).to_kind(Kind::Float));
    let z = normal(8, 20, 4, DIM);
    let expected = gap_infer::EvaluableDensityFamily::log_prob(&diagonal, &smaller, &z);
    for (name, family) in families(DIM) {
        let rows: Vec<Vec<f64>> = smaller
            .to_rows()
            .iter()
            .map(|r| family.embed_smaller_family(r))
            .collect();
        assert!(
            rows.iter()
                .all(|row| row.len() as i64 == family.param_dim()),
            "{name}"
        );
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let params = VariationalParams::from_rows(&rows, CPU);
        if let Some(evaluable) = family.evaluable_density() {
            let off = largest(&(evaluable.log_prob(&params, &z) - &expected));
            assert!(off < 1e-4, "{name}: {off}");
        }
        let noise = normal(9, 20, 4, family.noise_dim());
        let draws = family.transform(&params, &noise);
        let own = gap_infer::EvaluableDensityFamily::log_prob(&diagonal, &smaller, &draws.z);
        // With auxiliary variables, `log_q` must be the log density of `z` alone here too.
        let off = largest(&(own - draws.log_q));
        assert!(off < 1e-4, "{name}: {off}");
    }
}

#[test]
fn a_larger_family_never_ends_below_the_one_within() {
    let (model, batch) = of_digits(4, 32, 12);
    let mut ends = Vec::new();
    for (name, family) in families(4) {
        let clock = std::time::Instant::now();
        let fit = searched(family.as_ref(), &model, &batch, 0.05);
        let seconds = clock.elapsed().as_secs_f64();
        let of_family = losses(
            family.as_ref(),
            &model,
            &batch,
            &fit.fitted.params.to_rows(),
            4096,
        );
        let mean = of_family.iter().sum::<f64>() / of_family.len() as f64;
        println!(
            "{name}: {mean:.4} nats in {seconds:.2} s; {:?}",
            fit.fitted.stops[0]
        );
        ends.push((name, of_family));
    }
    let (_, diagonal) = &ends[0];
    let (_, full) = &ends[1];
    for (name, of_family) in &ends[1..] {
        let within = if *name == Family::FullGaussian {
            diagonal
        } else {
            full
        };
        for (b, (own, within)) in of_family.iter().zip(within).enumerate() {
            // A result may be worse by the noise of a comparison on 256 draws.
            assert!(
                own - within < 0.02,
                "{name}, point {b}: {own} above {within}"
            );
        }
        let gain: f64 = within.iter().zip(of_family).map(|(w, o)| w - o).sum();
        assert!(gain > 0.0, "{name} gains {gain}");
    }
}

#[test]
fn a_datapoint_is_searched_alone_as_in_a_batch_to_the_last_bit() {
    let (model, batch) = of_digits(3, 16, 9);
    for (name, family) in families(3) {
        let all = searched(family.as_ref(), &model, &batch, 0.5);
        for rows in [vec![4], vec![8, 2, 5]] {
            let some = searched(family.as_ref(), &model, &only(&batch, &rows), 0.5);
            for (b, &row) in rows.iter().enumerate() {
                let (own, of_all) = (&some.fitted, &all.fitted);
                let bits = own.params.0.get(b as i64);
                assert!(
                    bits.equal(&of_all.params.0.get(row as i64)),
                    "{name}, point {row}"
                );
                assert_eq!(own.stops[b], of_all.stops[row], "{name}, point {row}");
                let spent = [&own.costs[b], &of_all.costs[row]].map(|c| c.joint_gradients);
                assert_eq!(spent[0], spent[1], "{name}, point {row}");
            }
        }
    }
}

#[test]
fn an_encoder_learns_to_say_the_parameters_of_any_family() {
    set_one_thread_per_operation(); // Tests already run in parallel.
    let (model, batch) = of_digits(4, 32, 100);
    let data = gap_data::load("digits-binarized", &LoadOptions::default())
        .unwrap()
        .train;
    let training = TrainingSpec {
        steps: Count::new(600),
        batch_size: Count::new(64),
        learning_rate: Positive::new(3e-3),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    let (tanh, key) = (Activation::Tanh, SeedKey::root(12));
    let mut of_diagonal = f64::NAN;
    for (name, family) in families(4) {
        let mut encoder = Encoder::with_random_layers(64, &[64], family.as_ref(), tanh, key, CPU);
        let clock = std::time::Instant::now();
        fit_encoder(
            &model,
            family.as_ref(),
            &mut encoder,
            &data,
            (&training, &ObjectiveSpec::ELBO),
            key,
            &|_| (),
        )
        .unwrap();
        let seconds = clock.elapsed().as_secs_f64();
        let of_family = losses(
            family.as_ref(),
            &model,
            &batch,
            &encoder.encode(batch.x()).to_rows(),
            4096,
        );
        let mean = of_family.iter().sum::<f64>() / of_family.len() as f64;
        println!("{name}: {mean:.3} nats in {seconds:.2} s");
        if of_diagonal.is_nan() {
            of_diagonal = mean;
        }
        // The larger families learn more slowly, but are not far behind after so few steps.
        assert!(
            mean < of_diagonal + 0.5,
            "{name}: {mean} after {of_diagonal}"
        );
    }
}
