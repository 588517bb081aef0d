//! Compares a perceptron's output with plain sums in `f64`, with each instruction set of this machine.

use gap_kernel::{Activation, FusedForward, Instructions, Layer, TILE_ROWS};

/// Numbers from −`scale` to `scale` with a period of 2,003.
fn numbers(n: usize, scale: f64) -> Vec<f32> {
    (0..n)
        .map(|i| (scale * ((i * 7919 % 2003) as f64 / 1001.0 - 1.0)) as f32)
        .collect()
}

fn reference(layers: &[Layer<'_>], activation: Activation, row: &[f32]) -> Vec<f64> {
    let mut value: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
    for (i, layer) in layers.iter().enumerate() {
        let rows = layer.weight.chunks_exact(layer.n_inputs()).zip(layer.bias);
        let output = rows.map(|(weight, &bias)| {
            let products = weight.iter().zip(&value).map(|(&w, v)| f64::from(w) * v);
            products.sum::<f64>() + f64::from(bias)
        });
        let output: Vec<f64> = output.collect();
        let activate = |u: f64| match activation {
            Activation::Tanh => u.tanh(),
            Activation::Relu => u.max(0.0),
            Activation::Elu => u.max(u.exp_m1().min(0.0)),
        };
        value = if i + 1 < layers.len() {
            output.into_iter().map(activate).collect()
        } else {
            output
        };
    }
    value
}

/// Weights and biases of layers with these `widths`.
fn arrays(widths: &[usize]) -> Vec<[Vec<f32>; 2]> {
    let of_layer = |pair: &[usize]| {
        let scale = 2.5 / (pair[0] as f64).sqrt();
        [numbers(pair[0] * pair[1], scale), numbers(pair[1], 0.3)]
    };
    widths.windows(2).map(of_layer).collect()
}

fn layers(arrays: &[[Vec<f32>; 2]]) -> Vec<Layer<'_>> {
    arrays
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect()
}

fn paths() -> impl Iterator<Item = Instructions> {
    [Instructions::Avx512, Instructions::Avx2]
        .into_iter()
        .filter(|path| {
            let is_there = path.is_supported();
            if !is_there {
                println!("skipped: this processor has no {path}");
            }
            is_there
        })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Checks that rows of `input` have outputs near plain sums in `f64`, and the same bits when each is
/// evaluated alone.
#[track_caller]
fn check_rows(network: &FusedForward, layers: &[Layer<'_>], activation: Activation, input: &[f32]) {
    let n_in = layers[0].n_inputs();
    let n_out = layers[layers.len() - 1].n_outputs();
    let n_rows = input.len() / n_in;
    let output = network.forward(input);
    assert_eq!(output.len(), n_rows * n_out);
    for row in (0..n_rows.min(4))
        .chain((4..n_rows).step_by(61))
        .chain([n_rows - 1])
    {
        let own_input = &input[row * n_in..(row + 1) * n_in];
        let own = &output[row * n_out..(row + 1) * n_out];
        let alone = network.forward(own_input);
        assert_eq!(bits(&alone), bits(own), "row {row} of {n_rows}");
        for (found, expected) in own.iter().zip(reference(layers, activation, own_input)) {
            let error = (f64::from(*found) - expected).abs();
            assert!(error < 5e-5, "row {row}: {found} for {expected}");
        }
    }
}

#[test]
fn outputs_are_those_of_plain_sums_in_any_batch() {
    for path in paths() {
        for widths in [
            &[1, 1][..],
            &[64, 20],
            &[7, 33, 17, 4],
            &[784, 200, 200, 100],
        ] {
            for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
                println!("{path} {widths:?} {activation:?}");
                let arrays = arrays(widths);
                let layers = layers(&arrays);
                let network = FusedForward::new(&layers, activation, path).expect("it is there");
                assert!(network.forward(&[]).is_empty());
                let input = numbers((2 * TILE_ROWS + 3) * widths[0], 1.5);
                check_rows(&network, &layers, activation, &input);
            }
        }
    }
}

/// Rows of zeros and ones; some are all zero or all one, and some contain `−0`.
fn black_and_white(n_rows: usize, width: usize) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..n_rows * width)
        .map(|i| {
            let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            f32::from(u8::from((mixed ^ mixed >> 29) % 1000 < 300))
        })
        .collect();
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        match i % 5 {
            1 => row.fill(0.0),
            2 => row.fill(1.0),
            3 => row[width / 2] = -0.0,
            _ => (),
        }
    }
    rows
}

/// Rows of zeros and ones, except that every third row has other numbers: in one place, or everywhere.
fn mixed_rows(n_rows: usize, width: usize) -> Vec<f32> {
    let mut rows = black_and_white(n_rows, width);
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        match i % 6 {
            2 => row[width - 1] = 0.5,
            5 => row.copy_from_slice(&numbers(width, 1.0 + i as f64 / 1000.0)),
            _ => (),
        }
    }
    rows
}

#[test]
fn black_and_white_rows_are_plain_sums_in_any_batch() {
    for path in paths() {
        for widths in [
            &[784, 200, 30][..],
            &[64, 32],
            &[65, 49, 5],
            &[127, 40],
            &[68, 33, 17, 4],
            &[63, 40, 3],
        ] {
            let arrays = arrays(widths);
            let layers = layers(&arrays);
            let activation = Activation::Tanh;
            let network = FusedForward::new(&layers, activation, path).expect("it is there");
            for n_rows in [1, 2, 11, 12, 20, 47, 48, 63, 65, 1000, 1100] {
                println!("{path} {widths:?} {n_rows}");
                let input = black_and_white(n_rows, widths[0]);
                check_rows(&network, &layers, activation, &input);
                let input = mixed_rows(n_rows, widths[0]);
                check_rows(&network, &layers, activation, &input);
            }
        }
    }
}

/// Two blocks of rows for the first layer: the first block has two gray (not binary) rows, and every other
/// row of the second is gray.
#[test]
fn few_gray_rows_may_come_before_many() {
    for path in paths() {
        let arrays = arrays(&[64, 40, 10]);
        let layers = layers(&arrays);
        let network = FusedForward::new(&layers, Activation::Tanh, path).expect("it is there");
        let mut input = black_and_white(2048, 64);
        input[3 * 64] = 0.5;
        input[5 * 64] = 0.5;
        for row in input[1024 * 64..].chunks_exact_mut(2 * 64) {
            row[7] = 0.25;
        }
        check_rows(&network, &layers, Activation::Tanh, &input);
    }
}

#[test]
fn a_row_that_is_not_a_number_spoils_no_other() {
    for path in paths() {
        let arrays = arrays(&[784, 200, 10]);
        let network = FusedForward::new(&layers(&arrays), Activation::Tanh, path);
        let network = network.expect("it is there");
        let input = mixed_rows(70, 784);
        let mut spoiled = input.clone();
        spoiled[33 * 784 + 700] = f32::NAN;
        let (clean, output) = (network.forward(&input), network.forward(&spoiled));
        for (row, (clean, output)) in clean.chunks(10).zip(output.chunks(10)).enumerate() {
            if row == 33 {
                assert!(output.iter().all(|value| value.is_nan()));
            } else {
                assert_eq!(bits(clean), bits(output), "row {row}");
            }
        }
    }
}

#[test]
fn an_infinite_weight_spoils_rows_that_have_a_zero_there() {
    for path in paths() {
        let mut arrays = arrays(&[64, 40]);
        arrays[0][0][3 * 64 + 21] = f32::INFINITY;
        let network = FusedForward::new(&layers(&arrays), Activation::Tanh, path);
        let network = network.expect("it is there");
        for n_rows in [1, 100] {
            let mut input = black_and_white(n_rows, 64);
            input[21] = 0.0;
            assert!(network.forward(&input)[3].is_nan());
            input[21] = 1.0;
            assert_eq!(network.forward(&input)[3], f32::INFINITY);
        }
    }
}
