//! The draws of an ascent: the same at every step, new ones, or consecutive blocks of a sequence.

use super::point_sets::{
    append_negatives, balanced_antithetic_points, has_enough_antithetic_pairs,
    mean_and_second_moment, whiten, whitened_sobol_normals,
};
use gap_spec::NoiseSource;
use gap_torch::{MAX_SOBOL_POINTS, NoiseStream, SeedKey, sobol_normal_points};
use nalgebra::{DMatrix, DVector};

/// The number of blocks at the start of a sequence that are whitened, which removes most of the noise of few
/// draws. Later blocks are not whitened, since the small bias of whitening would stay in an average over
/// blocks. In a growing sequence they are [`LATER_BLOCK_SIZE_FACTOR`] times as large instead.
const N_WHITENED_FIRST_BLOCKS: u32 = 6;
const LATER_BLOCK_SIZE_FACTOR: u32 = 4;

/// The draws of one step: `S` standard normals of dimension `D`, either shared by all datapoints ("common") or
/// separate for each.
pub struct NoiseDraws {
    values: Vec<f32>, // [S, D] or [B, S, D]
    common: bool,
    n_samples: usize,
    dim: usize,
    /// `ē`, the mean of the draws, `[D]`; zeros if each datapoint has draws of its own.
    pub mean: DVector<f64>,
    /// `G − I`, where `G` is the mean of `ε εᵀ` over the draws, `[D, D]`; zeros if each datapoint has draws of its
    /// own.
    pub excess_moment: DMatrix<f64>,
    /// `G⁻¹ ε` for every draw, `[S, D]`: the regression of values on the draws is their mean product with these.
    /// `None` unless the set was made by [`Self::antithetic_with_duals`].
    pub duals: Option<Vec<f32>>,
    /// The moments of parts of the set; `None` if there are too few draws, or nobody asked for them.
    pub parts: Option<PartMoments>,
}

/// The moments of each part of a set of draws. Antithetic pairs lie in one part.
pub struct PartMoments {
    /// The mean of the draws of each of `P` parts, `[D, P]`.
    pub means: DMatrix<f64>,
    /// The mean of `ε εᵀ` over the draws of each part, `P` times `[D, D]`.
    pub second_moments: Vec<DMatrix<f64>>,
    /// The means of [`Self::means`] over the first and over the second half of the parts, `[D]`.
    pub half_means: [DVector<f64>; 2],
    /// The mean of [`Self::second_moments`] over the first half of the parts less that over the second half,
    /// `[D, D]`.
    pub half_difference: DMatrix<f64>,
}

/// How a set of draws is divided into parts, whose scatter shows the error of means over the whole set.
///
/// In sets of antithetic pairs, draws `i` and `i + S/2` are a pair, which lies in one part.
#[derive(Clone, Copy, Debug)]
pub struct DrawParts {
    n_samples: usize,
    n_parts: usize,
}

impl DrawParts {
    /// The parts of `n_samples` draws; `None` for fewer than four.
    pub const fn of(n_samples: usize) -> Option<Self> {
        // An even number of parts, each of at least one pair.
        let n_parts = match n_samples {
            0..4 => return None,
            4..8 => 2,
            8..16 => 4,
            _ => 8,
        };
        Some(Self { n_samples, n_parts })
    }

    /// The number of parts.
    pub const fn len(self) -> usize {
        self.n_parts
    }

    /// The part of each draw in turn.
    pub fn part_of_each_draw(self) -> impl Iterator<Item = usize> {
        let half = self.n_samples / 2;
        let of_pairs = (0..half).map(move |pair| pair * self.n_parts / half);
        of_pairs.cycle().take(self.n_samples)
    }
}

impl PartMoments {
    fn new(moments: Vec<(DVector<f64>, DMatrix<f64>)>, dim: usize) -> Self {
        let n_half = moments.len() / 2;
        let scale = 1.0 / n_half as f64;
        let mut half_means = [DVector::zeros(dim), DVector::zeros(dim)];
        let mut half_difference = DMatrix::zeros(dim, dim);
        for (part, (mean, second_moment)) in moments.iter().enumerate() {
            let half = part / n_half;
            half_means[half] += mean * scale;
            half_difference += second_moment * if half == 0 { scale } else { -scale };
        }
        let (means, second_moments): (Vec<_>, Vec<_>) = moments.into_iter().unzip();
        Self {
            means: DMatrix::from_columns(&means),
            second_moments,
            half_means,
            half_difference,
        }
    }
}

impl NoiseDraws {
    /// Draws that all datapoints share: `values` are `[S, D]`, draw after draw.
    pub fn from_common_normals(values: Vec<f32>, dim: usize) -> Self {
        let n_samples = values.len() / dim;
        let (mean, second_moment) = mean_and_second_moment(&values, dim);
        Self {
            values,
            common: true,
            n_samples,
            dim,
            mean,
            excess_moment: second_moment - DMatrix::identity(dim, dim),
            duals: None,
            parts: None,
        }
    }

    /// Antithetic pairs of scrambled Sobol normals, not whitened, with their duals. There must be more pairs than
    /// dimensions.
    pub fn antithetic_with_duals(key: SeedKey, n_samples: usize, dim: usize) -> Self {
        let mut points = sobol_normal_points(key, 0..(n_samples / 2) as u32, dim);
        append_negatives(&mut points);
        let mut draws = Self::from_common_normals(points, dim);
        let inverse = (&draws.excess_moment + DMatrix::identity(dim, dim)).cholesky();
        let inverse = inverse
            .expect("there are more pairs than dimensions")
            .inverse();
        let mut duals = Vec::with_capacity(draws.values.len());
        for draw in draws.values.chunks_exact(dim) {
            let draw = DVector::from_fn(dim, |i, _| f64::from(draw[i]));
            duals.extend((&inverse * draw).iter().map(|&value| value as f32));
        }
        draws.duals = Some(duals);
        draws
    }

    /// The same draws with the moments of their parts.
    #[must_use]
    pub fn with_part_moments(mut self) -> Self {
        let Some(parts) = DrawParts::of(self.n_samples) else {
            return self;
        };
        let dim = self.dim;
        let moments: Vec<(DVector<f64>, DMatrix<f64>)> = if self.common {
            let mut rows = vec![Vec::new(); parts.len()];
            let draws = self.values.chunks_exact(dim);
            for (part, values) in parts.part_of_each_draw().zip(draws) {
                rows[part].extend_from_slice(values);
            }
            let rows = rows.iter();
            rows.map(|values| mean_and_second_moment(values, dim))
                .collect()
        } else {
            vec![(DVector::zeros(dim), DMatrix::identity(dim, dim)); parts.len()]
        };
        self.parts = Some(PartMoments::new(moments, dim));
        self
    }

    fn new_independent(key: SeedKey, ids: &[u64], n_samples: usize, dim: usize) -> Self {
        // S·D normals for each datapoint in turn, so that a datapoint's draws are contiguous.
        Self {
            values: NoiseStream::first_normals(key, ids, n_samples * dim),
            common: false,
            n_samples,
            dim,
            mean: DVector::zeros(dim),
            excess_moment: DMatrix::zeros(dim, dim),
            duals: None,
            parts: None,
        }
    }

    /// The number of draws, `S`.
    pub const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The draws of the `row`-th datapoint of the step, `[S, D]`.
    pub fn datapoint_draws(&self, row: usize) -> &[f32] {
        let len = self.n_samples * self.dim;
        let start = if self.common { 0 } else { row * len };
        &self.values[start..start + len]
    }
}

/// The source of an ascent's draws, step by step.
pub struct DrawSource {
    noise: NoiseSource,
    n_samples: usize,
    dim: usize,
    key: SeedKey,
    latest: Option<NoiseDraws>,
    /// Whether the moments of parts of the draws are needed.
    with_parts: bool,
}

impl DrawSource {
    /// A source that gives `n_samples` draws of dimension `dim` at each step; at later steps of a growing
    /// sequence, four times as many.
    pub const fn new(noise: NoiseSource, n_samples: usize, dim: usize, key: SeedKey) -> Self {
        Self {
            noise,
            n_samples,
            dim,
            key,
            latest: None,
            with_parts: false,
        }
    }

    /// The same source, whose draws have [`NoiseDraws::parts`] if `with_parts` is set.
    #[must_use]
    pub const fn with_parts(mut self, with_parts: bool) -> Self {
        self.with_parts = with_parts;
        self
    }

    /// Returns the draws of step `step` (0, 1, …) for the datapoints `ids`.
    pub fn draws_at_step(&mut self, step: u32, ids: &[u64]) -> &NoiseDraws {
        let (n, dim, key) = (self.n_samples, self.dim, self.key);
        let step_key = key.for_index(u64::from(step));
        let draws = match (self.noise, self.latest.take()) {
            (NoiseSource::Fixed, Some(draws)) => draws,
            (NoiseSource::Fixed, None) => {
                NoiseDraws::from_common_normals(whitened_sobol_normals(key, n, dim), dim)
            }
            (NoiseSource::Sequence | NoiseSource::GrowingSequence, _) => {
                NoiseDraws::from_common_normals(self.sequence_block(step), dim)
            }
            (NoiseSource::Fresh, _) => NoiseDraws::from_common_normals(
                sobol_normal_points(step_key, 0..n as u32, dim),
                dim,
            ),
            (NoiseSource::Independent, _) => NoiseDraws::new_independent(step_key, ids, n, dim),
        };
        // Fixed draws have them from the step before.
        let lacks_parts = self.with_parts && draws.parts.is_none();
        self.latest.insert(if lacks_parts {
            draws.with_part_moments()
        } else {
            draws
        })
    }

    /// Returns the block of step `step` of a scrambled Sobol sequence, `[S, D]`. When a sequence is used up,
    /// later blocks come from another one.
    fn sequence_block(&self, step: u32) -> Vec<f32> {
        let dim = self.dim;
        let antithetic = has_enough_antithetic_pairs(self.n_samples, dim);
        let first_block = if antithetic {
            self.n_samples / 2
        } else {
            self.n_samples
        } as u32;
        let grown = match self.noise {
            NoiseSource::GrowingSequence => LATER_BLOCK_SIZE_FACTOR,
            _ => 1,
        };
        let (before, size) = if step < N_WHITENED_FIRST_BLOCKS {
            (step, 1)
        } else {
            (
                N_WHITENED_FIRST_BLOCKS + grown * (step - N_WHITENED_FIRST_BLOCKS),
                grown,
            )
        };
        let (before, size) = (before * first_block, size * first_block);
        let per_sequence = (MAX_SOBOL_POINTS - size) / size;
        let key = self
            .key
            .for_role("sequence")
            .for_index(u64::from(before / size / per_sequence));
        let start = before % (per_sequence * size);
        // Too few points of a Sobol sequence are correlated in many pairs of dimensions, the same in all parts of
        // a block, so that their scatter does not show it.
        let mut points = if (size as usize) < dim + 2 {
            NoiseStream::first_normals(key.for_index(u64::from(start)), &[0], size as usize * dim)
        } else {
            sobol_normal_points(key, start..start + size, dim)
        };
        match (step < N_WHITENED_FIRST_BLOCKS, antithetic) {
            (true, true) => balanced_antithetic_points(points, dim),
            (true, false) => whiten(points, dim),
            (false, true) => {
                append_negatives(&mut points);
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
            [0, 1].map(|step| {
                source
                    .draws_at_step(step, &[4, 5])
                    .datapoint_draws(1)
                    .to_vec()
            })
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
        let alone = source.draws_at_step(7, &[9]).datapoint_draws(0).to_vec();
        let draws = source.draws_at_step(7, &[4, 9]);
        assert_eq!(draws.datapoint_draws(1), alone);
        assert_ne!(draws.datapoint_draws(0), draws.datapoint_draws(1));
        let mut source = DrawSource::new(NoiseSource::Fresh, 5, 3, SeedKey::root(3));
        let draws = source.draws_at_step(7, &[4, 9]);
        assert_eq!(draws.datapoint_draws(0), draws.datapoint_draws(1));
    }

    #[test]
    fn a_sequence_goes_on_after_its_end() {
        let mut source = DrawSource::new(NoiseSource::Sequence, 1 << 15, 1, SeedKey::root(4));
        let mut seen: Vec<f32> = (0..6)
            .map(|step| source.draws_at_step(step, &[0]).datapoint_draws(0)[3])
            .collect();
        seen.sort_by(f32::total_cmp);
        seen.dedup();
        assert_eq!(seen.len(), 6);
    }
}
