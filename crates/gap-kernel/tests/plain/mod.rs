//! A perceptron that is trained by plain loops in `f64`.

#![allow(dead_code, reason = "no test takes all of it")]

use gap_kernel::{Activation, FusedTraining, Instructions, Layer, Precision};

/// Numbers from −`scale` to `scale` with a period of 2,003; `seed` shifts where they begin.
pub fn numbers(n: usize, scale: f64, seed: usize) -> Vec<f64> {
    (0..n)
        .map(|i| scale * (((i + seed) * 7919 % 2003) as f64 / 1001.0 - 1.0))
        .collect()
}

pub fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// A layer with its gradient and Adam's moments. `values` are the weight, `[out, in]`, and then the bias.
pub struct Plain {
    pub n_in: usize,
    pub values: Vec<f64>,
    pub gradient: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Plain {
    pub fn n_out(&self) -> usize {
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

/// Computes the layers' gradients of `Σ −½ (output − target)²`, or of another objective whose gradient with
/// respect to the output is `pulled(output, target)`. Returns the gradient with respect to each input row.
pub fn differentiate(
    layers: &mut [Plain],
    activation: Activation,
    rows: &[(&[f64], &[f64])],
    pulled: impl Fn(f64, f64) -> f64,
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
        let output = values[layers.len()].iter().zip(*target);
        let mut pulled: Vec<f64> = output.map(|(&o, &t)| pulled(o, t)).collect();
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
    in_rows
}

/// Takes step `t` of Adam up the gradients.
pub fn ascend(layers: &mut [Plain], rate: f64, t: i32) {
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
}

/// Layers with these `widths`.
pub fn plain_layers(widths: &[usize]) -> Vec<Plain> {
    let layer = |(i, pair): (usize, &[usize])| {
        let len = (pair[0] + 1) * pair[1];
        Plain {
            n_in: pair[0],
            values: numbers(len, 1.5 / (pair[0] as f64).sqrt(), 100 * i),
            gradient: vec![0.0; len],
            mean: vec![0.0; len],
            square: vec![0.0; len],
        }
    };
    widths.windows(2).enumerate().map(layer).collect()
}

/// A learner with the same weights, in `precision`.
pub fn fused(
    layers: &[Plain],
    activation: Activation,
    most_rows: usize,
    (instructions, precision): (Instructions, Precision),
) -> FusedTraining {
    let copies: Vec<[Vec<f32>; 2]> = layers
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
    let fused = FusedTraining::new(&layers, activation, most_rows, instructions);
    let mut fused = fused.expect("it is there");
    fused.set_precision(precision);
    fused
}

/// Each instruction set and precision of this machine.
pub fn paths() -> Vec<(Instructions, Precision)> {
    let mut paths = Vec::new();
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if path.is_supported() {
            paths.push((path, Precision::Full));
        } else {
            println!("skipped: this processor has no {path}");
        }
        if path.has_bf16() {
            paths.push((path, Precision::Mixed));
        }
    }
    paths
}
