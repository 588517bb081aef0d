//! Random numbers from explicit keys, with an independent stream of draws for each datapoint.
//!
//! libtorch's generator is global and shared by all threads, so its draws depend on the order in which threads
//! ask for them, which differs from run to run. It is not used here: draws are made in Rust and copied into
//! tensors.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::distribution::{ContinuousCDF, Normal};
use std::ops::Range;
use tch::{Device, Tensor};

/// A seed for random numbers. Drawing does not change it; keys for further uses are derived from it.
///
/// Each use of randomness derives its own key from a role and an index. If one use makes more or fewer draws,
/// the draws of all other uses stay the same.
///
/// ```
/// use gap_torch::SeedKey;
/// let run = SeedKey::root(0);
/// assert_eq!(run.for_role("measure").for_index(3), run.for_role("measure").for_index(3));
/// assert_ne!(run.for_role("measure"), run.for_role("train"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SeedKey([u64; 2]);

/// One step of `SplitMix64` (Steele, Lea and Flood 2014): a bijection that maps similar inputs to dissimilar
/// outputs.
const fn splitmix64_hash(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl SeedKey {
    /// The key of a whole run, from which all its other keys are derived.
    pub const fn root(seed: u64) -> Self {
        Self([
            splitmix64_hash(seed),
            splitmix64_hash(splitmix64_hash(seed)),
        ])
    }

    /// Derives the key for the use of randomness that `role` names.
    pub fn for_role(self, role: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for word in self.0 {
            hasher.update(&word.to_le_bytes());
        }
        hasher.update(role.as_bytes());
        let digest = hasher.finalize();
        let word = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&digest.as_bytes()[from..from + 8]);
            u64::from_le_bytes(bytes)
        };
        Self([word(0), word(8)])
    }

    /// Derives the key for the `i`-th of several uses of the same kind.
    pub const fn for_index(self, i: u64) -> Self {
        let low = splitmix64_hash(self.0[0] ^ splitmix64_hash(i));
        Self([low, splitmix64_hash(self.0[1] ^ low)])
    }

    fn generator(self) -> ChaCha8Rng {
        let mut seed = [0; 32];
        let words = [
            self.0[0],
            self.0[1],
            splitmix64_hash(self.0[0]),
            splitmix64_hash(self.0[1]),
        ];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }
}

/// An independent stream of draws for each datapoint.
///
/// A datapoint's draws depend on the key, on its id and on the number of earlier draws, never on the other
/// datapoints of the batch. Not `Clone`: a copied stream would repeat its draws.
pub struct NoiseStream {
    generators: Vec<ChaCha8Rng>,
    device: Device,
}

impl NoiseStream {
    /// Streams for the datapoints `ids`; tensors of draws are put on `device`.
    pub fn new(key: SeedKey, ids: &[u64], device: Device) -> Self {
        let base = key.generator();
        let generators = ids
            .iter()
            .map(|&id| {
                let mut generator = base.clone();
                generator.set_stream(id);
                generator
            })
            .collect();
        Self { generators, device }
    }

    /// Draws the next `n_samples` standard-normal vectors of every datapoint: `[S, B, D]`, `f32`.
    ///
    /// Asking for 3 samples and then for 5 gives the same draws as asking for 8.
    pub fn normal(&mut self, n_samples: i64, dim: i64) -> Tensor {
        let values = self.normal_values(n_samples as usize, dim as usize);
        self.tensor_from_values(&values, n_samples, dim)
    }

    /// As [`NoiseStream::normal`], but returns a `Vec` in row-major order, `[S, B, D]`.
    pub fn normal_values(&mut self, n_samples: usize, dim: usize) -> Vec<f32> {
        self.draw_values(n_samples, dim, |generator| StandardNormal.sample(generator))
    }

    /// Draws the next `n_samples` uniform vectors on `[0, 1)` of every datapoint: `[S, B, D]`, `f32`.
    pub fn uniform(&mut self, n_samples: i64, dim: i64) -> Tensor {
        let values = self.uniform_values(n_samples as usize, dim as usize);
        self.tensor_from_values(&values, n_samples, dim)
    }

    /// As [`NoiseStream::uniform`], but returns a `Vec` in row-major order, `[S, B, D]`.
    pub fn uniform_values(&mut self, n_samples: usize, dim: usize) -> Vec<f32> {
        self.draw_values(n_samples, dim, |generator| {
            // A multiple of 2^-24 from the 24 leading bits is exact in `f32` and below 1.
            (generator.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
        })
    }

    /// How far the stream of each datapoint has been read, in words of the generator.
    pub fn positions(&self) -> Vec<u128> {
        self.generators
            .iter()
            .map(ChaCha8Rng::get_word_pos)
            .collect()
    }

    /// Goes to `positions`, which [`NoiseStream::positions`] of the same datapoints returned.
    ///
    /// # Panics
    ///
    /// If they are those of another number of datapoints.
    pub fn seek(&mut self, positions: &[u128]) {
        assert_eq!(positions.len(), self.generators.len(), "one for each");
        for (generator, &position) in self.generators.iter_mut().zip(positions) {
            generator.set_word_pos(position);
        }
    }

    /// Returns the first `n` standard normals of each datapoint's stream: `[B, n]`.
    ///
    /// They are the numbers that [`NoiseStream::normal`] would return from new streams, but the streams are not
    /// kept.
    pub fn first_normals(key: SeedKey, ids: &[u64], n: usize) -> Vec<f32> {
        let base = key.generator();
        let mut values = Vec::with_capacity(ids.len() * n);
        for &id in ids {
            let mut generator = base.clone();
            generator.set_stream(id);
            let normals = StandardNormal.sample_iter(&mut generator);
            values.extend(normals.take(n).map(|normal: f32| normal));
        }
        values
    }

    fn draw_values(
        &mut self,
        samples: usize,
        width: usize,
        mut draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Vec<f32> {
        let batch = self.generators.len();
        let mut values = vec![0_f32; samples * batch * width];
        for (b, generator) in self.generators.iter_mut().enumerate() {
            for s in 0..samples {
                let start = (s * batch + b) * width;
                for value in &mut values[start..start + width] {
                    *value = draw(generator);
                }
            }
        }
        values
    }

    fn tensor_from_values(&self, values: &[f32], n_samples: i64, dim: i64) -> Tensor {
        Tensor::from_slice(values)
            .view([n_samples, self.generators.len() as i64, dim])
            .to_device(self.device)
    }
}

/// The number of points in a scrambled Sobol sequence. For more points, use further sequences with other keys.
pub const MAX_SOBOL_POINTS: u32 = 1 << 16;

/// Returns the points `range` of an Owen-scrambled Sobol sequence, mapped to standard normals: `[S, D]`.
///
/// In an ascent all datapoints of a batch can share these draws: every datapoint has its own optimum, so shared
/// draws are as good for it as draws of its own, and cost `B` times less. Sobol points are unsuitable for
/// standard errors, because they are not independent.
///
/// Source: Burley 2020, "Practical Hash-based Owen Scrambling".
///
/// # Panics
///
/// If `dim` is above 256, the number of dimensions with direction numbers, or if `range` ends beyond
/// [`MAX_SOBOL_POINTS`].
pub fn sobol_normal_points(key: SeedKey, range: Range<u32>, dim: usize) -> Vec<f32> {
    assert!(
        dim <= 256,
        "Sobol points have at most 256 dimensions, asked for {dim}"
    );
    assert!(
        range.end <= MAX_SOBOL_POINTS,
        "a Sobol sequence has {MAX_SOBOL_POINTS} points, asked for {}",
        range.end
    );
    let standard = Normal::standard();
    let seed = key.generator().next_u32();
    let mut values = Vec::with_capacity(range.len() * dim);
    for index in range {
        for dimension in 0..dim as u32 {
            let uniform = f64::from(sobol_burley::sample(index, dimension, seed));
            // A uniform of 0 would map to minus infinity, so `[0, 1)` is shrunk to lie between 2^-25 and
            // 1 − 2^-25.
            let inside = uniform * (1.0 - 1.0 / f64::from(1 << 24)) + 1.0 / f64::from(1 << 25);
            values.push(standard.inverse_cdf(inside) as f32);
        }
    }
    values
}

/// Returns a uniformly random permutation of `0..n` (Fisher and Yates).
pub fn uniform_permutation(key: SeedKey, n: usize) -> Vec<usize> {
    let mut generator = key.generator();
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // The upper half of the product is an index from 0 to `last`. No index's probability is off by more
        // than 2^-64, which is negligible.
        let product = u128::from(generator.next_u64()) * (last as u128 + 1);
        order.swap(last, (product >> 64) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::<f32>::try_from(tensor.reshape([-1])).unwrap()
    }

    #[test]
    fn a_datapoint_gets_the_same_draws_alone_and_in_company() {
        let key = SeedKey::root(1);
        let alone = NoiseStream::new(key, &[7], Device::Cpu).normal(5, 3);
        let company = NoiseStream::new(key, &[3, 7, 9], Device::Cpu).normal(5, 3);
        assert_eq!(values(&alone), values(&company.narrow(1, 1, 1)));
    }

    #[test]
    fn draws_do_not_depend_on_how_they_are_chunked() {
        let key = SeedKey::root(1).for_role("evaluate");
        let whole = NoiseStream::new(key, &[0, 1], Device::Cpu).normal(8, 3);
        let mut stream = NoiseStream::new(key, &[0, 1], Device::Cpu);
        let pieces = Tensor::cat(&[stream.normal(3, 3), stream.normal(5, 3)], 0);
        assert_eq!(values(&whole), values(&pieces));
    }

    #[test]
    fn normals_have_the_moments_of_a_standard_normal() {
        let n = 200_000_i64;
        let draws = NoiseStream::new(SeedKey::root(2), &[0], Device::Cpu).normal(n, 1);
        let (mean, variance) = (draws.mean(Kind::Double), draws.var(true));
        let root_n = (n as f64).sqrt();
        // Within four standard errors: that of the mean is 1/sqrt(n), that of the variance sqrt(2/n).
        assert!(mean.double_value(&[]).abs() < 4.0 / root_n);
        assert!((variance.double_value(&[]) - 1.0).abs() < 4.0 * 2_f64.sqrt() / root_n);
    }

    #[test]
    fn different_roles_indices_and_datapoints_are_uncorrelated() {
        let root = SeedKey::root(3);
        let n = 100_000_i64;
        let draw = |key: SeedKey, id| NoiseStream::new(key, &[id], Device::Cpu).normal(n, 1);
        let base = draw(root.for_role("a").for_index(0), 0);
        for other in [
            draw(root.for_role("b").for_index(0), 0),
            draw(root.for_role("a").for_index(1), 0),
            draw(root.for_role("a").for_index(0), 1),
            draw(SeedKey::root(4).for_role("a").for_index(0), 0),
        ] {
            let correlation = (&base * other).mean(Kind::Double).double_value(&[]);
            assert!(correlation.abs() < 4.5 / (n as f64).sqrt(), "{correlation}");
        }
    }

    #[test]
    fn sobol_points_integrate_better_than_independent_ones() {
        // Estimates E z^2 = 1 from 16 points; with independent draws the error has a root mean square of
        // sqrt(2/16) = 0.35.
        let mut squared_error = 0.0;
        for step in 0..64 {
            let points = sobol_normal_points(SeedKey::root(5).for_index(step), 0..16, 10);
            let points = Tensor::from_slice(&points).view([16, 10]);
            let error = (points.square().mean_dim(0, false, Kind::Double) - 1.0).square();
            squared_error += error.mean(Kind::Double).double_value(&[]) / 64.0;
        }
        assert!(
            squared_error.sqrt() < 0.5 * (2.0_f64 / 16.0).sqrt(),
            "{squared_error}"
        );
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = uniform_permutation(SeedKey::root(6), 1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
