//! Compares the kernels with plain sums in `f64`, with each instruction set and precision of this machine.

use gap_kernel::{
    Activation, DecoderOutputs, FusedDecoder, Instructions, KernelLikelihood, Layer, Network,
    Precision, TILE_ROWS,
};

/// Approximately standard normal numbers, from a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        let sum: f64 = (0..12)
            .map(|_| {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (self.0 >> 33) as f64 / (1u64 << 31) as f64
            })
            .sum();
        sum - 6.0
    }

    fn take(&mut self, n: usize, scale: f64) -> Vec<f32> {
        (0..n).map(|_| (self.next() * scale) as f32).collect()
    }
}

/// A decoder with random weights, random observations and random rows `z`.
struct Case {
    widths: Vec<usize>,
    weights: Vec<Vec<f32>>,
    biases: Vec<Vec<f32>>,
    activation: Activation,
    likelihood: KernelLikelihood,
    x: Vec<f32>,
    observations: Vec<usize>,
    z: Vec<f32>,
}

const N_OBSERVATIONS: usize = 13;

impl Case {
    fn new(
        widths: &[usize],
        activation: Activation,
        likelihood: KernelLikelihood,
        n: usize,
    ) -> Self {
        let mut numbers = Numbers(7);
        let layers = || widths.windows(2).map(|pair| (pair[0], pair[1]));
        let weights = layers()
            .map(|(i, o)| numbers.take(i * o, 1.5 / (i as f64).sqrt()))
            .collect();
        let biases = layers().map(|(_, o)| numbers.take(o, 0.3)).collect();
        let observed = widths[widths.len() - 1];
        let x = numbers.take(N_OBSERVATIONS * observed, 1.0);
        let x = match likelihood {
            KernelLikelihood::Bernoulli => {
                x.iter().map(|x| f32::from(u8::from(*x > 0.0))).collect()
            }
            KernelLikelihood::Gaussian { .. } => x,
        };
        Self {
            widths: widths.to_vec(),
            weights,
            biases,
            activation,
            likelihood,
            x,
            observations: (0..n).map(|row| row * 5 % N_OBSERVATIONS).collect(),
            z: numbers.take(n * widths[0], 1.0),
        }
    }

    fn evaluate(&self, path: Instructions, precision: Precision) -> (Vec<f32>, Vec<f64>) {
        self.evaluate_rows(path, precision, 0..self.observations.len())
    }

    /// Returns the scores and log likelihoods of some rows, evaluated together.
    fn evaluate_rows(
        &self,
        path: Instructions,
        precision: Precision,
        rows: std::ops::Range<usize>,
    ) -> (Vec<f32>, Vec<f64>) {
        let layers: Vec<Layer<'_>> = self
            .weights
            .iter()
            .zip(&self.biases)
            .map(|(weight, bias)| Layer { weight, bias })
            .collect();
        let network = Network {
            layers: &layers,
            activation: self.activation,
            likelihood: self.likelihood,
        };
        let decoder = FusedDecoder::new(&network, path).expect("the path is there");
        let decoder = decoder.condition(&self.x);
        let dim = self.widths[0];
        let observations = &self.observations[rows.clone()];
        let z = &self.z[rows.start * dim..rows.end * dim];
        let (mut score, mut values) = (vec![0.0; z.len()], vec![0.0; rows.len()]);
        let both = DecoderOutputs {
            score: Some(&mut score),
            log_likelihood: Some(&mut values),
            precision,
        };
        decoder.evaluate(observations, z, both);
        // Scores have the same bits when they are asked for alone, and so do log likelihoods.
        let (mut score_alone, mut values_alone) = (vec![0.0; z.len()], vec![0.0; rows.len()]);
        let score_only = DecoderOutputs {
            score: Some(&mut score_alone),
            precision,
            ..DecoderOutputs::default()
        };
        decoder.evaluate(observations, z, score_only);
        let values_only = DecoderOutputs {
            log_likelihood: Some(&mut values_alone),
            precision,
            ..DecoderOutputs::default()
        };
        decoder.evaluate(observations, z, values_only);
        let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&score), bits(&score_alone));
        assert!(values == values_alone || values.iter().any(|v| v.is_nan()));
        (score, values)
    }

    /// Returns the score and log likelihood of one row, computed in `f64` by plain sums.
    fn reference(&self, row: usize) -> (Vec<f64>, f64) {
        let dim = self.widths[0];
        let z: Vec<f64> = self.z[row * dim..(row + 1) * dim]
            .iter()
            .map(|&z| f64::from(z))
            .collect();
        let n_layers = self.weights.len();
        let mut values = vec![z.clone()];
        for layer in 0..n_layers {
            let input = &values[layer];
            let weight = self.weights[layer].chunks_exact(input.len());
            let output = weight.zip(&self.biases[layer]).map(|(weight, &bias)| {
                let products = weight.iter().zip(input).map(|(&w, v)| f64::from(w) * v);
                products.sum::<f64>() + f64::from(bias)
            });
            let output: Vec<f64> = output.collect();
            values.push(if layer + 1 < n_layers {
                output.into_iter().map(|u| self.activate(u)).collect()
            } else {
                output
            });
        }
        let observed = self.widths[n_layers];
        let start = self.observations[row] * observed;
        let x = self.x[start..start + observed]
            .iter()
            .map(|&x| f64::from(x));
        let output = &values[n_layers];
        let (mut value, mut gradient) = (0.0, Vec::new());
        for (x, &l) in x.zip(output) {
            match self.likelihood {
                KernelLikelihood::Bernoulli => {
                    value += x * l - l.max(0.0) - (-l.abs()).exp().ln_1p();
                    gradient.push(x - 1.0 / (1.0 + (-l).exp()));
                }
                KernelLikelihood::Gaussian { std } => {
                    let residual = (x - l) / std;
                    value += -0.5 * residual * residual - (std * std::f64::consts::TAU.sqrt()).ln();
                    gradient.push(residual / std);
                }
            }
        }
        for layer in (0..n_layers).rev() {
            let n_in = self.widths[layer];
            let mut back = vec![0.0; n_in];
            for (weight, g) in self.weights[layer].chunks_exact(n_in).zip(&gradient) {
                for (back, &w) in back.iter_mut().zip(weight) {
                    *back += f64::from(w) * g;
                }
            }
            if layer > 0 {
                for (back, &a) in back.iter_mut().zip(&values[layer]) {
                    *back *= self.slope(a);
                }
            }
            gradient = back;
        }
        for (gradient, z) in gradient.iter_mut().zip(&z) {
            *gradient -= z;
        }
        (gradient, value)
    }

    fn activate(&self, u: f64) -> f64 {
        match self.activation {
            Activation::Tanh => u.tanh(),
            Activation::Relu => u.max(0.0),
            Activation::Elu => {
                if u > 0.0 {
                    u
                } else {
                    u.exp_m1()
                }
            }
        }
    }

    fn slope(&self, a: f64) -> f64 {
        match self.activation {
            Activation::Tanh => 1.0 - a * a,
            Activation::Relu => f64::from(u8::from(a > 0.0)),
            Activation::Elu => a.min(0.0) + 1.0,
        }
    }
}

/// Each instruction set and precision of this machine, with the relative error allowed (in the Euclidean
/// norm).
fn paths() -> Vec<(Instructions, Precision, f64)> {
    let mut paths = Vec::new();
    for path in [Instructions::Avx512, Instructions::Avx2] {
        if path.is_supported() {
            paths.push((path, Precision::Full, 2e-6));
        } else {
            println!("skipped: this processor has no {path}");
        }
        if path.has_bf16() {
            // The error is large because steep weights are rounded to 8 bits, and rectifiers may switch at
            // another input.
            paths.push((path, Precision::Mixed, 3e-2));
        }
    }
    paths
}

/// Widths that leave registers partly filled, and ordinary ones: a single lane, odd depths, and panels of one,
/// two and three registers.
const WIDTHS: [&[usize]; 7] = [
    &[1, 1],
    &[3, 5],
    &[2, 7, 9],
    &[10, 64, 64, 64],
    &[5, 33, 17, 49, 100],
    &[50, 200, 200, 784],
    &[16, 48, 96, 112],
];

#[test]
fn scores_and_values_are_those_of_plain_sums() {
    let activations = [Activation::Tanh, Activation::Relu, Activation::Elu];
    let likelihoods = [
        KernelLikelihood::Bernoulli,
        KernelLikelihood::Gaussian { std: 0.7 },
    ];
    for (path, precision, allowed) in paths() {
        for widths in WIDTHS {
            for activation in activations {
                for likelihood in likelihoods {
                    let case = Case::new(widths, activation, likelihood, 2 * TILE_ROWS + 5);
                    let (score, values) = case.evaluate(path, precision);
                    let (mut squared_error, mut squared) = (0.0, 0.0);
                    for row in [0, 1, 7, 8, 63, 64, 2 * TILE_ROWS + 4] {
                        let (expected, value) = case.reference(row);
                        let own = &score[row * widths[0]..(row + 1) * widths[0]];
                        for (found, expected) in own.iter().zip(expected) {
                            squared_error += (f64::from(*found) - expected).powi(2);
                            squared += expected.powi(2);
                        }
                        let error = (values[row] - value).abs() / value.abs().max(1.0);
                        assert!(error < allowed, "{widths:?}: {} for {value}", values[row]);
                    }
                    let error = (squared_error / squared).sqrt();
                    let what = format!("{path} {precision:?} {widths:?} {activation:?}");
                    assert!(error < allowed, "{what}: relative error {error:.1e}");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch() {
    for (path, precision, _) in paths() {
        for widths in WIDTHS {
            let case = Case::new(widths, Activation::Tanh, KernelLikelihood::Bernoulli, 150);
            let (score, values) = case.evaluate(path, precision);
            for rows in [0..1, 3..150, 70..71, 70..79, 140..150] {
                let (own_score, own_values) = case.evaluate_rows(path, precision, rows.clone());
                let dim = widths[0];
                assert_eq!(
                    own_values,
                    values[rows.clone()],
                    "{path} {widths:?} {rows:?}"
                );
                assert_eq!(own_score, score[rows.start * dim..rows.end * dim]);
            }
        }
    }
}

#[test]
fn a_row_that_is_not_finite_stands_alone() {
    for (path, precision, _) in paths() {
        for activation in [Activation::Tanh, Activation::Relu, Activation::Elu] {
            let mut case = Case::new(&[5, 33, 49], activation, KernelLikelihood::Bernoulli, 20);
            let (score, values) = case.evaluate(path, precision);
            case.z[5 * 6 + 2] = f32::NAN;
            let (with_nan, values_with_nan) = case.evaluate(path, precision);
            for row in 0..20 {
                let own = row * 5..(row + 1) * 5;
                if row == 6 {
                    assert!(
                        values_with_nan[row].is_nan(),
                        "{path} {precision:?} {activation:?}"
                    );
                    assert!(with_nan[own].iter().all(|s| s.is_nan()));
                } else {
                    assert_eq!(values_with_nan[row], values[row]);
                    assert_eq!(with_nan[own.clone()], score[own]);
                }
            }
        }
    }
}

#[test]
fn extreme_logits_have_their_limits() {
    for (path, precision, _) in paths() {
        let case = Case {
            widths: vec![1, 2],
            weights: vec![vec![1.0, -1.0]],
            biases: vec![vec![0.0, 0.0]],
            activation: Activation::Tanh,
            likelihood: KernelLikelihood::Bernoulli,
            x: vec![1.0, 0.0],
            observations: vec![0, 0, 0],
            z: vec![300.0, -300.0, 0.0],
        };
        let (score, values) = case.evaluate(path, precision);
        // x = (1, 0) has log likelihood 0 at logits (300, −300), and −600 at logits (−300, 300).
        assert!(
            values[0].abs() < 1e-6 && (values[1] + 600.0).abs() < 2.0,
            "{values:?}"
        );
        assert!(
            (score[0] + 300.0).abs() < 2.0 && (score[1] - 302.0).abs() < 2.0,
            "{score:?}"
        );
        assert!((values[2] + 2.0 * 2.0_f64.ln()).abs() < 1e-6, "{values:?}");
    }
}
