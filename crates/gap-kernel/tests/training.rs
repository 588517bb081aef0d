//! Compares training with plain loops in `f64`, with each instruction set of this machine.

mod plain;

use gap_kernel::{Activation, FusedTraining, Instructions, Layer, Precision, adam};
use plain::{ascend, differentiate, floats, fused, numbers, paths, plain_layers};

#[test]
fn it_learns_as_plain_loops_do() {
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if !path.is_supported() {
            println!("skipped: this processor has no {path}");
            continue;
        }
        for widths in [&[3, 5][..], &[1, 4, 1], &[21, 33, 17, 6]] {
            for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
                learns(path, widths, activation);
            }
        }
    }
}

fn learns(path: Instructions, widths: &[usize], activation: Activation) {
    let mut plain = plain_layers(widths);
    let mut fused = fused(&plain, activation, 11, (path, Precision::Full));
    let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
    let (inputs, targets) = (numbers(11 * n_in, 1.0, 7), numbers(11 * n_out, 2.0, 9));
    let rate = 0.01;
    // Smaller batches follow larger ones, whose values are still in the workspace and must have no effect.
    for (t, n_rows) in [11, 11, 3, 1, 8, 11, 2, 11, 11, 5].into_iter().enumerate() {
        let rows: Vec<(&[f64], &[f64])> = inputs
            .chunks_exact(n_in)
            .zip(targets.chunks_exact(n_out))
            .take(n_rows)
            .collect();
        let expected = differentiate(&mut plain, activation, &rows, |o, t| t - o);
        ascend(&mut plain, rate, t as i32 + 1);
        let output = fused.forward(&floats(&inputs[..n_rows * n_in]));
        let gradient = targets.iter().zip(&output).map(|(t, o)| (*t as f32) - o);
        let gradient: Vec<f32> = gradient.collect();
        let mut in_input = vec![0.0; n_rows * n_in];
        fused.ascend_from_output_gradient(&gradient, rate, (t % 2 == 0).then_some(&mut in_input));
        for (found, expected) in in_input.iter().zip(expected.concat()) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                t % 2 == 1 || error < 2e-5,
                "{path} {widths:?}: {found} for {expected}"
            );
        }
    }
    assert!(fused.is_finite());
    for (layer, (weight, bias)) in plain.iter().zip(fused.copy_layers()) {
        let found = weight.iter().chain(&bias);
        for (found, expected) in found.zip(&layer.values) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 2e-5,
                "{path} {widths:?} {activation:?}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_noticed() {
    let Some(path) = [Instructions::Avx512, Instructions::Avx2]
        .into_iter()
        .find(|path| path.is_supported())
    else {
        println!("skipped: this processor has no path");
        return;
    };
    let layers = [Layer {
        weight: &[1.0, 2.0],
        bias: &[0.0],
    }];
    let mut fused = FusedTraining::new(&layers, Activation::Tanh, 1, path).expect("it is there");
    fused.forward(&[1.0, 1.0]);
    assert!(fused.is_finite());
    fused.ascend_from_output_gradient(&[f32::NAN], 0.1, None);
    assert!(!fused.is_finite());
}

/// With one row and an input of 1, the gradients with respect to weight and bias equal the gradient with
/// respect to the output, so that only Adam is compared. An epilogue takes the weight's step; the bias is a
/// slice.
#[test]
fn weights_and_biases_take_the_steps_of_adam_on_slices() {
    let n = 37;
    let start = floats(&numbers(n, 1.0, 0));
    let layers = [Layer {
        weight: &start,
        bias: &start,
    }];
    for (path, _) in paths() {
        let mut fused =
            FusedTraining::new(&layers, Activation::Tanh, 1, path).expect("it is there");
        let (mut values, mut mean, mut square) = (start.clone(), vec![0.0; n], vec![0.0; n]);
        for t in 1..20 {
            let gradient = floats(&numbers(n, 1.0, 31 * t));
            fused.forward(&[1.0]);
            fused.ascend_from_output_gradient(&gradient, 0.01, None);
            let step = adam::AdamStep::from_step_number(t as i32, 0.01);
            adam::ascend_slices(&mut values, &gradient, &mut mean, &mut square, step);
        }
        assert_ne!(values, start);
        let (weight, bias) = &fused.copy_layers()[0];
        assert_eq!(weight, bias);
        // `ascend_slices` uses the best instructions; with others, estimates of roots differ slightly.
        for (on_path, on_slices) in weight.iter().zip(&values) {
            assert!((on_path - on_slices).abs() < 1e-6, "{on_path} {on_slices}");
        }
        let [best, _] = [Instructions::Avx512, Instructions::Avx2];
        if path == best {
            assert_eq!(*weight, values);
        }
    }
}
