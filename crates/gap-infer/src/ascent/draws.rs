//! Where the draws of an ascent come from: the same at each step, new ones, or a sequence.

use super::point_sets::{
    balanced_pairs, has_enough_pairs, mirror, moments, whiten, whitened_sobol,
};
use gap_spec::NoiseSource;
use gap_torch::{NoiseStream, SOBOL_POINTS, SeedKey, sobol_normal_points};
use nalgebra::{DMatrix, DVector};

/// The first blocks are whitened: with few draws that takes away most of their noise. Later ones
/// are not, since the small bias of whitening would stay in any average, but they are larger.
const WHITENED_BLOCKS: u32 = 6;
const LARGEST_BLOCK: u32 = 4;

/// The draws of one step: `S` standard normals of dimension `D`, common to all datapoints or not.
pub struct NoiseDraws {
    values: Vec<f32>, // [S, D] or [B, S, D]
    common: bool,
    n_samples: usize,
    dim: usize,
    /// `ē`, `[D]`; zeros for draws that are not common.
    pub mean: DVector<f64>,
    /// `G = E[ε εᵀ]`, `[D, D]`; the identity for draws that are not common.
    pub second_moment: DMatrix<f64>,
}

impl NoiseDraws {
    /// Draws common to all datapoints: `[S, D]`, sample after sample.
    pub fn common(values: Vec<f32>, dim: usize) -> Self {
        let n_samples = values.len() / dim;
        let (mean, second_moment) = moments(&values, dim);
        Self {
            values,
            common: true,
            n_samples,
            dim,
            mean,
            second_moment,
        }
    }

    fn independent(key: SeedKey, ids: &[u64], n_samples: usize, dim: usize) -> Self {
        // One sample of S·D numbers: a datapoint's draws lie side by side.
        Self {
            values: NoiseStream::first_normals(key, ids, n_samples * dim),
            common: false,
            n_samples,
            dim,
            mean: DVector::zeros(dim),
            second_moment: DMatrix::identity(dim, dim),
        }
    }

    /// `S`.
    pub const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The draws of the `row`-th datapoint of the step, `[S, D]`.
    pub fn row(&self, row: usize) -> &[f32] {
        let len = self.n_samples * self.dim;
        let start = if self.common { 0 } else { row * len };
        &self.values[start..start + len]
    }
}

/// The draws of an ascent, step by step.
pub struct DrawSource {
    noise: NoiseSource,
    n_samples: usize,
    dim: usize,
    key: SeedKey,
    latest: Option<NoiseDraws>,
}

impl DrawSource {
    /// `n_samples` draws of dimension `dim` for each step.
    pub const fn new(noise: NoiseSource, n_samples: usize, dim: usize, key: SeedKey) -> Self {
        Self {
            noise,
            n_samples,
            dim,
            key,
            latest: None,
        }
    }

    /// The draws of step `step` (0, 1, …) for the datapoints `ids`.
    pub fn at(&mut self, step: u32, ids: &[u64]) -> &NoiseDraws {
        let (n, dim, key) = (self.n_samples, self.dim, self.key);
        let step_key = key.index(u64::from(step));
        let draws = match (self.noise, self.latest.take()) {
            (NoiseSource::Fixed, Some(draws)) => draws,
            (NoiseSource::Fixed, None) => NoiseDraws::common(whitened_sobol(key, n, dim), dim),
            (NoiseSource::Sequence | NoiseSource::GrowingSequence, _) => {
                NoiseDraws::common(self.block(step), dim)
            }
            (NoiseSource::Fresh, _) => {
                NoiseDraws::common(sobol_normal_points(step_key, 0..n as u32, dim), dim)
            }
            (NoiseSource::Independent, _) => NoiseDraws::independent(step_key, ids, n, dim),
        };
        self.latest.insert(draws)
    }

    /// The `step`-th block of one sequence; after its end, of another.
    fn block(&self, step: u32) -> Vec<f32> {
        let dim = self.dim;
        let antithetic = has_enough_pairs(self.n_samples, dim);
        let first_block = if antithetic {
            self.n_samples / 2
        } else {
            self.n_samples
        } as u32;
        let grown = match self.noise {
            NoiseSource::GrowingSequence => LARGEST_BLOCK,
            _ => 1,
        };
        let (before, size) = if step < WHITENED_BLOCKS {
            (step, 1)
        } else {
            (WHITENED_BLOCKS + grown * (step - WHITENED_BLOCKS), grown)
        };
        let (before, size) = (before * first_block, size * first_block);
        let per_sequence = (SOBOL_POINTS - size) / size;
        let key = self
            .key
            .role("sequence")
            .index(u64::from(before / size / per_sequence));
        let start = before % (per_sequence * size);
        let mut points = sobol_normal_points(key, start..start + size, dim);
        match (step < WHITENED_BLOCKS, antithetic) {
            (true, true) => balanced_pairs(points, dim),
            (true, false) => whiten(points, dim),
            (false, true) => {
                mirror(&mut points);
                points
            }
            (false, false) => points,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_sequence_are_new_and_a_fixed_set_is_not() {
        let first_two = |noise| {
            let mut source = DrawSource::new(noise, 32, 3, SeedKey::root(2));
            [0, 1].map(|step| source.at(step, &[4, 5]).row(1).to_vec())
        };
        for noise in [
            NoiseSource::Sequence,
            NoiseSource::GrowingSequence,
            NoiseSource::Fresh,
            NoiseSource::Independent,
        ] {
            let [first, second] = first_two(noise);
            assert_ne!(first, second, "{noise:?}");
        }
        let [first, second] = first_two(NoiseSource::Fixed);
        assert_eq!(first, second);
    }

    #[test]
    fn independent_draws_belong_to_their_datapoint_and_common_ones_to_all() {
        let mut source = DrawSource::new(NoiseSource::Independent, 5, 3, SeedKey::root(3));
        let alone = source.at(7, &[9]).row(0).to_vec();
        let draws = source.at(7, &[4, 9]);
        assert_eq!(draws.row(1), alone);
        assert_ne!(draws.row(0), draws.row(1));
        let mut source = DrawSource::new(NoiseSource::Fresh, 5, 3, SeedKey::root(3));
        let draws = source.at(7, &[4, 9]);
        assert_eq!(draws.row(0), draws.row(1));
    }

    #[test]
    fn a_sequence_goes_on_after_its_end() {
        let mut source = DrawSource::new(NoiseSource::Sequence, 1 << 15, 1, SeedKey::root(4));
        let mut seen: Vec<f32> = (0..6).map(|step| source.at(step, &[0]).row(0)[3]).collect();
        seen.sort_by(f32::total_cmp);
        seen.dedup();
        assert_eq!(seen.len(), 6);
    }
}
