//! A perceptron's output against plain sums in `f64`, on every path that this machine has.

use gap_kernel::{Activation, FusedForward, Instructions, Layer, TILE_ROWS};

/// Numbers between −1 and 1 that repeat late.
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

#[test]
fn outputs_are_those_of_plain_sums_in_any_company() {
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if !path.is_there() {
            println!("skipped: this processor has no {path}");
            continue;
        }
        for widths in [
            &[1, 1][..],
            &[64, 20],
            &[7, 33, 17, 4],
            &[784, 200, 200, 100],
        ] {
            for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
                let arrays: Vec<[Vec<f32>; 2]> = widths
                    .windows(2)
                    .map(|pair| {
                        let scale = 2.5 / (pair[0] as f64).sqrt();
                        [numbers(pair[0] * pair[1], scale), numbers(pair[1], 0.3)]
                    })
                    .collect();
                let layers: Vec<Layer<'_>> = arrays
                    .iter()
                    .map(|[weight, bias]| Layer { weight, bias })
                    .collect();
                let network = FusedForward::new(&layers, activation, path).expect("it is there");
                assert!(network.forward(&[]).is_empty());
                let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
                let n_rows = 2 * TILE_ROWS + 3;
                let input = numbers(n_rows * n_in, 1.5);
                let output = network.forward(&input);
                for row in [0, 5, TILE_ROWS - 1, TILE_ROWS, n_rows - 1] {
                    let own_input = &input[row * n_in..(row + 1) * n_in];
                    let own = &output[row * n_out..(row + 1) * n_out];
                    assert_eq!(
                        network.forward(own_input),
                        own,
                        "{path} {widths:?} row {row}"
                    );
                    for (found, expected) in
                        own.iter().zip(reference(&layers, activation, own_input))
                    {
                        let error = (f64::from(*found) - expected).abs();
                        assert!(error < 5e-5, "{path} {widths:?}: {found} for {expected}");
                    }
                }
            }
        }
    }
}
