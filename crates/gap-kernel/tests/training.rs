//! A perceptron that learns, against plain loops in `f64`, on every path that this machine has.

use gap_kernel::{Activation, FusedTraining, Instructions, Layer};

/// Numbers between −1 and 1 that repeat late.
fn numbers(n: usize, scale: f64, seed: usize) -> Vec<f64> {
    (0..n)
        .map(|i| scale * (((i + seed) * 7919 % 2003) as f64 / 1001.0 - 1.0))
        .collect()
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// A layer with its gradient and Adam's moments, `weight` as `[out, in]` with the bias at its end.
struct Plain {
    n_in: usize,
    values: Vec<f64>,
    gradient: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Plain {
    fn n_out(&self) -> usize {
        self.values.len() / (self.n_in + 1)
    }

    fn output(&self, input: &[f64]) -> Vec<f64> {
        let (weight, bias) = self.values.split_at(self.n_in * self.n_out());
        let rows = weight.chunks_exact(self.n_in).zip(bias);
        let dot = |row: &[f64]| row.iter().zip(input).map(|(w, v)| w * v).sum::<f64>();
        rows.map(|(row, bias)| dot(row) + bias).collect()
    }
}

fn activate(activation: Activation, u: f64) -> f64 {
    match activation {
        Activation::Tanh => u.tanh(),
        Activation::Relu => u.max(0.0),
        Activation::Elu if u > 0.0 => u,
        Activation::Elu => u.exp_m1(),
    }
}

fn slope(activation: Activation, a: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 - a * a,
        Activation::Relu => f64::from(u8::from(a > 0.0)),
        Activation::Elu => a.min(0.0) + 1.0,
    }
}

/// One step up `Σ −½ (output − target)²`; the gradient in each row.
fn plain_step(
    layers: &mut [Plain],
    activation: Activation,
    rows: &[(&[f64], &[f64])],
    rate: f64,
    t: i32,
) -> Vec<Vec<f64>> {
    let mut in_rows = Vec::new();
    for layer in layers.iter_mut() {
        layer.gradient.fill(0.0);
    }
    for (input, target) in rows {
        let mut values = vec![input.to_vec()];
        for (i, layer) in layers.iter().enumerate() {
            let output = layer.output(&values[i]);
            let is_last = i + 1 == layers.len();
            let value = |u: f64| if is_last { u } else { activate(activation, u) };
            values.push(output.into_iter().map(value).collect());
        }
        let output = &values[layers.len()];
        let mut pulled: Vec<f64> = target.iter().zip(output).map(|(t, o)| t - o).collect();
        for (i, layer) in layers.iter_mut().enumerate().rev() {
            let (n_in, n_out) = (layer.n_in, layer.n_out());
            let mut before = vec![0.0; n_in];
            for (o, g) in pulled.iter().enumerate() {
                for j in 0..n_in {
                    layer.gradient[o * n_in + j] += g * values[i][j];
                    before[j] += g * layer.values[o * n_in + j];
                }
                layer.gradient[n_out * n_in + o] += g;
            }
            if i == 0 {
                in_rows.push(before);
                break;
            }
            let back = before.iter().zip(&values[i]);
            pulled = back.map(|(g, &a)| g * slope(activation, a)).collect();
        }
    }
    let (unbias_mean, unbias_square) = (1.0 - 0.9_f64.powi(t), 1.0 - 0.999_f64.powi(t));
    for layer in layers {
        for i in 0..layer.values.len() {
            let g = layer.gradient[i];
            layer.mean[i] = 0.9 * layer.mean[i] + 0.1 * g;
            layer.square[i] = 0.999 * layer.square[i] + 0.001 * g * g;
            let step = layer.mean[i] / unbias_mean;
            layer.values[i] += rate * step / ((layer.square[i] / unbias_square).sqrt() + 1e-8);
        }
    }
    in_rows
}

#[test]
fn it_learns_as_plain_loops_do() {
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if !path.is_there() {
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
    let mut plain: Vec<Plain> = widths
        .windows(2)
        .enumerate()
        .map(|(i, pair)| {
            let len = (pair[0] + 1) * pair[1];
            Plain {
                n_in: pair[0],
                values: numbers(len, 1.5 / (pair[0] as f64).sqrt(), 100 * i),
                gradient: vec![0.0; len],
                mean: vec![0.0; len],
                square: vec![0.0; len],
            }
        })
        .collect();
    let copies: Vec<[Vec<f32>; 2]> = plain
        .iter()
        .map(|layer| {
            let (weight, bias) = layer.values.split_at(layer.n_in * layer.n_out());
            [weight, bias].map(floats)
        })
        .collect();
    let layers: Vec<Layer<'_>> = copies
        .iter()
        .map(|[weight, bias]| Layer { weight, bias })
        .collect();
    let mut fused = FusedTraining::new(&layers, activation, 11, path).expect("it is there");
    let (n_in, n_out) = (widths[0], widths[widths.len() - 1]);
    let (inputs, targets) = (numbers(11 * n_in, 1.0, 7), numbers(11 * n_out, 2.0, 9));
    let rate = 0.01;
    // Smaller batches after larger ones: what those left in memory counts for nothing.
    for (t, n_rows) in [11, 11, 3, 1, 8, 11, 2, 11, 11, 5].into_iter().enumerate() {
        let rows: Vec<(&[f64], &[f64])> = inputs
            .chunks_exact(n_in)
            .zip(targets.chunks_exact(n_out))
            .take(n_rows)
            .collect();
        let expected = plain_step(&mut plain, activation, &rows, rate, t as i32 + 1);
        let output = fused.forward(&floats(&inputs[..n_rows * n_in]));
        let gradient = targets.iter().zip(&output).map(|(t, o)| (*t as f32) - o);
        let gradient: Vec<f32> = gradient.collect();
        let mut in_input = vec![0.0; n_rows * n_in];
        fused.ascend(&gradient, rate, (t % 2 == 0).then_some(&mut in_input));
        for (found, expected) in in_input.iter().zip(expected.concat()) {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                t % 2 == 1 || error < 2e-5,
                "{path} {widths:?}: {found} for {expected}"
            );
        }
    }
    assert!(fused.is_finite());
    for (layer, (weight, bias)) in plain.iter().zip(fused.layers()) {
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
        .find(|path| path.is_there())
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
    fused.ascend(&[f32::NAN], 0.1, None);
    assert!(!fused.is_finite());
}
