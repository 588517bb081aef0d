//! Tests steps with 16-bit factors: their distance from steps in `f64`, and that nothing but the factors'
//! precision differs.

mod plain;

use gap_kernel::{
    Activation, FusedTraining, Instructions, KernelLikelihood, LikelihoodTarget, Precision,
};
use plain::{Plain, differentiate, floats, fused, numbers, paths, plain_layers};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The scale of gradients that are small beside Adam's `ε`, so that its first step is linear in them.
const SMALL: f64 = 1e-15;
/// With this learning rate, Adam's first step equals the gradient before it was multiplied by `SMALL`.
const RATE: f64 = 1e-8 / SMALL;

const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Elu];

/// Each layer's weight and bias in one vector, in the order of [`Plain`].
fn values(fused: &FusedTraining) -> Vec<Vec<f32>> {
    let layers = fused.copy_layers().into_iter();
    layers
        .map(|(weight, bias)| [weight, bias].concat())
        .collect()
}

/// How far each parameter of each layer has moved from `before` to `after`.
fn steps(before: &[Vec<f32>], after: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let step = |(before, after): (&Vec<f32>, &Vec<f32>)| {
        let pairs = before.iter().zip(after);
        pairs.map(|(b, a)| f64::from(*a) - f64::from(*b)).collect()
    };
    before.iter().zip(after).map(step).collect()
}

/// `|found − expected| / |expected|`
fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = square(&mut found.iter().zip(expected).map(|(f, e)| f - e));
    apart / square(&mut expected.iter().copied())
}

/// Pseudorandom numbers between −1 and 1; sums of their products cancel no more than by chance.
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / (u64::MAX / 2) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Layers with pseudorandom weights.
///
/// With rectifiers, each unit stays well on one side of its kink: if rounding moves a sum across the kink, the
/// unit has the other slope, however exact the factors are.
fn random_layers(widths: &[usize], activation: Activation) -> Vec<Plain> {
    let mut layers = plain_layers(widths);
    for (layer, seed) in layers.iter_mut().zip(1..) {
        let (n_weights, is_relu) = (layer.n_in * layer.n_out(), activation == Activation::Relu);
        let scale = if is_relu { 0.3 } else { 1.5 } / (layer.n_in as f64).sqrt();
        let values = noise(layer.values.len(), seed);
        layer.values = values.iter().map(|value| value * scale).collect();
        if is_relu {
            let biases = layer.values[n_weights..].iter_mut().enumerate();
            biases.for_each(|(i, bias)| *bias = if i % 2 == 0 { 1.0 } else { -1.0 });
        }
    }
    layers
}

/// Returns the greatest relative error among the layers' gradients and the gradient with respect to the input.
fn gradient_error(
    path: (Instructions, Precision),
    widths: &[usize],
    activation: Activation,
    n_rows: usize,
) -> f64 {
    let mut plain = random_layers(widths, activation);
    let mut fused = fused(&plain, activation, n_rows, path);
    let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
    let (inputs, pulled) = (noise(n_rows * n_in, 70), noise(n_rows * n_out, 90));
    let rows = inputs.chunks_exact(n_in).zip(pulled.chunks_exact(n_out));
    let rows: Vec<(&[f64], &[f64])> = rows.collect();
    let in_rows = differentiate(&mut plain, activation, &rows, |_, pulled| pulled).concat();

    let before = values(&fused);
    fused.forward(&floats(&inputs));
    let small: Vec<f32> = pulled.iter().map(|p| (p * SMALL) as f32).collect();
    let mut in_input = vec![0.0; inputs.len()];
    fused.ascend_from_output_gradient(&small, RATE, Some(&mut in_input));
    let found: Vec<f64> = in_input.iter().map(|g| f64::from(*g) / SMALL).collect();
    let mut worst = relative_error(&found, &in_rows);
    for (layer, step) in plain.iter().zip(steps(&before, &values(&fused))) {
        worst = worst.max(relative_error(&step, &layer.gradient));
    }
    worst
}

/// Errors measured: at most 6.7e-3 in mixed precision (a batch of one row), and 2.5e-6 in full precision.
#[test]
fn gradients_are_as_exact_as_their_factors() {
    for path in paths() {
        let allowed = match path.1 {
            Precision::Mixed => 1e-2,
            Precision::Full => 5e-6,
        };
        for widths in [&[3, 5][..], &[9, 4, 1], &[21, 33, 17, 6], &[50, 70, 64, 35]] {
            for activation in ACTIVATIONS {
                for n_rows in [1, 2, 7, 16, 33] {
                    let error = gradient_error(path, widths, activation, n_rows);
                    println!("{path:?} {widths:?} {activation:?} {n_rows}: {error:.1e}");
                    assert!(
                        error < allowed,
                        "{path:?} {widths:?} {activation:?} {n_rows}: {error:e}"
                    );
                }
            }
        }
    }
}

/// Takes `n_steps` steps towards fixed targets.
fn learn(fused: &mut FusedTraining, widths: &[usize], n_rows: usize, n_steps: usize) {
    let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
    let input = floats(&numbers(n_rows * n_in, 1.0, 3));
    let target = floats(&numbers(n_rows * n_out, 1.0, 5));
    for _ in 0..n_steps {
        let output = fused.forward(&input);
        let gradient: Vec<f32> = target.iter().zip(&output).map(|(t, o)| t - o).collect();
        fused.ascend_from_output_gradient(&gradient, 0.01, None);
    }
}

#[test]
fn rows_that_fill_up_a_block_count_for_nothing() {
    let widths = [5, 19, 3];
    for path in paths() {
        let plain = plain_layers(&widths);
        let [mut fresh, mut used] = [(); 2].map(|()| fused(&plain, Activation::Elu, 16, path));
        used.forward(&[f32::NAN; 16 * 5]);
        learn(&mut fresh, &widths, 3, 4);
        learn(&mut used, &widths, 3, 4);
        assert!(fresh.is_finite());
        assert_eq!(fresh.copy_layers(), used.copy_layers(), "{path:?}");
    }
}

#[test]
fn precision_changes_between_steps_and_leaves_what_was_learned() {
    let widths = [7, 18, 5];
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if !path.is_supported() {
            println!("skipped: this processor has no {path}");
            continue;
        }
        let plain = plain_layers(&widths);
        let [mut steady, mut changed] =
            [(); 2].map(|()| fused(&plain, Activation::Tanh, 9, (path, Precision::Full)));
        learn(&mut steady, &widths, 9, 3);
        learn(&mut changed, &widths, 9, 3);
        changed.set_precision(Precision::Mixed);
        assert_eq!(changed.precision() == Precision::Mixed, path.has_bf16());
        assert_eq!(steady.copy_layers(), changed.copy_layers());
        changed.set_precision(Precision::Full);
        assert_eq!(changed.precision(), Precision::Full);
        // The change has kept the moments and the step count too, so the next steps have the same bits.
        learn(&mut steady, &widths, 9, 3);
        learn(&mut changed, &widths, 9, 3);
        assert_eq!(steady.copy_layers(), changed.copy_layers());

        // After steps in mixed precision, the forward pass in full precision uses the latest weights.
        changed.set_precision(Precision::Mixed);
        learn(&mut changed, &widths, 9, 3);
        changed.set_precision(Precision::Full);
        let layers = changed.copy_layers();
        let layers: Vec<gap_kernel::Layer<'_>> = layers
            .iter()
            .map(|(weight, bias)| gap_kernel::Layer { weight, bias })
            .collect();
        let mut fresh = FusedTraining::new(&layers, Activation::Tanh, 9, path).expect("is there");
        let input = floats(&numbers(9 * 7, 1.0, 3));
        assert_eq!(fresh.forward(&input), changed.forward(&input));
        assert_eq!(layers.len(), 2);
    }
}

#[test]
fn the_same_steps_have_the_same_bits() {
    let widths = [21, 33, 6];
    for path in paths() {
        let plain = plain_layers(&widths);
        let [mut one, mut other] = [(); 2].map(|()| fused(&plain, Activation::Tanh, 13, path));
        learn(&mut one, &widths, 13, 5);
        learn(&mut other, &widths, 13, 5);
        assert_eq!(one.copy_layers(), other.copy_layers(), "{path:?}");
    }
}

/// The gradient with respect to the output: `(x − mean) / dispersion · scale`.
fn residual(likelihood: KernelLikelihood, x: f32, output: f32, scale: f32) -> f32 {
    match likelihood {
        KernelLikelihood::Bernoulli => (x - 1.0 / (1.0 + (-output).exp())) * scale,
        KernelLikelihood::Gaussian { std } => (x - output) * scale / (std * std) as f32,
    }
}

/// In mixed precision, residuals that differ in their last bit may be rounded to different 16-bit factors.
/// The tolerance allows for that; it is below the rounding error of one such factor.
#[test]
fn learning_in_one_call_is_forward_residual_and_ascend() {
    for path in paths() {
        let allowed = match path.1 {
            Precision::Mixed => 1e-3,
            Precision::Full => 1e-5,
        };
        for likelihood in [
            KernelLikelihood::Bernoulli,
            KernelLikelihood::Gaussian { std: 0.5 },
        ] {
            for widths in [&[3, 5][..], &[4, 33, 32], &[9, 12, 21, 49]] {
                for observations in [&[2][..], &[0, 1, 2, 0, 1, 2, 3], &[1; 16]] {
                    let apart = apart(path, likelihood, widths, observations);
                    assert!(
                        apart < allowed,
                        "{path:?} {likelihood:?} {widths:?}: {apart:e}"
                    );
                }
            }
        }
    }
}

/// Returns the greatest relative difference between the results of `ascend_log_likelihood` and those of the
/// separate calls.
fn apart(
    path: (Instructions, Precision),
    likelihood: KernelLikelihood,
    widths: &[usize],
    observations: &[usize],
) -> f64 {
    let plain = plain_layers(widths);
    let [mut one, mut other] = [(); 2].map(|()| fused(&plain, Activation::Tanh, 16, path));
    let (dim, n_out) = (widths[0], widths[widths.len() - 1]);
    let x: Vec<f32> = numbers(4 * n_out, 1.0, 11)
        .iter()
        .map(|x| f32::from(u8::from(*x > 0.0)))
        .collect();
    let z = floats(&numbers(observations.len() * dim, 1.0, 13));
    let scale = SMALL as f32;
    let before = values(&one);
    let [mut in_one, mut in_other] = [vec![0.0; z.len()], vec![0.0; z.len()]];
    let observed = LikelihoodTarget {
        x: &x,
        rows: observations,
        likelihood,
        scale,
    };
    one.ascend_log_likelihood(&z, &observed, RATE, Some(&mut in_one));
    let mut output = vec![0.0; observations.len() * n_out];
    other.forward_into(&z, &mut output);
    for (row, &observation) in output.chunks_exact_mut(n_out).zip(observations) {
        for (output, &x) in row.iter_mut().zip(&x[observation * n_out..]) {
            *output = residual(likelihood, x, *output, scale);
        }
    }
    other.ascend_from_output_gradient(&output, RATE, Some(&mut in_other));
    let doubles = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let mut worst = relative_error(&doubles(&in_one), &doubles(&in_other));
    let ways = [&one, &other].map(|fused| steps(&before, &values(fused)));
    for (one, other) in ways[0].iter().zip(&ways[1]) {
        worst = worst.max(relative_error(one, other));
    }
    worst
}

/// Returns the mean squared error of a fit of `n_steps` steps, the first `n_half` of them in mixed precision
/// and the rest in full precision.
fn loss_of_a_fit(path: Instructions, n_half: usize, n_steps: usize) -> f64 {
    let widths = [6, 40, 40, 10];
    let n_rows = 63;
    // The targets are the outputs of a smaller network plus noise, so that no fit reaches all of them.
    let teacher = plain_layers(&[6, 15, 10]);
    let mut teacher = fused(&teacher, Activation::Elu, n_rows, (path, Precision::Full));
    let input = floats(&numbers(n_rows * 6, 2.0, 17));
    let noise = numbers(n_rows * 10, 0.3, 23);
    let target = teacher.forward(&input);
    let target = target.iter().zip(noise).map(|(t, n)| t + n as f32);
    let target: Vec<f32> = target.collect();

    let half = (path, Precision::Mixed);
    let mut student = fused(&plain_layers(&widths), Activation::Tanh, n_rows, half);
    let mut output = vec![0.0; target.len()];
    for t in 0..n_steps {
        if t == n_half {
            student.set_precision(Precision::Full);
        }
        student.forward_into(&input, &mut output);
        for (output, target) in output.iter_mut().zip(&target) {
            *output = target - *output;
        }
        student.ascend_from_output_gradient(&output, 0.002, None);
    }
    student.forward_into(&input, &mut output);
    let squares = output
        .iter()
        .zip(&target)
        .map(|(o, t)| f64::from(o - t).powi(2));
    squares.sum::<f64>() / target.len() as f64
}

/// Losses measured: 0.991 at the start, 0.02740 after a fit in full precision, and 0.02739 after a fit with
/// its first three quarters in mixed precision.
#[test]
fn a_fit_that_ends_in_full_precision_is_as_good_as_one_that_began_there() {
    let path = Instructions::Avx512;
    if !path.has_bf16() {
        println!("skipped: this processor has no 16-bit factors");
        return;
    }
    let start = loss_of_a_fit(path, 0, 0);
    let [full, half] = [0, 450].map(|n_half| loss_of_a_fit(path, n_half, 600));
    println!("{start:.5} -> {full:.5}, {half:.5}");
    assert!(full < 0.1 * start, "{start} -> {full}");
    assert!((half / full - 1.0).abs() < 0.05, "{half} for {full}");
}

#[test]
fn an_observation_that_is_not_there_is_refused() {
    for path in paths() {
        let mut fused = fused(&plain_layers(&[1, 2]), Activation::Tanh, 1, path);
        let observed = LikelihoodTarget {
            x: &[0.0, 1.0],
            rows: &[1],
            likelihood: KernelLikelihood::Bernoulli,
            scale: 1.0,
        };
        let learn = AssertUnwindSafe(|| fused.ascend_log_likelihood(&[0.0], &observed, 0.1, None));
        assert!(catch_unwind(learn).is_err());
    }
}
