//! The draws of an ascent: the same at every step, new ones, or consecutive blocks of a sequence.

use super::point_sets::{PointSet, has_enough_antithetic_pairs};
use super::scored_block::BlockDraws;
use crate::family::FloatNumber;
use gap_spec::NoiseSource;
use gap_torch::{MAX_SOBOL_POINTS, NoiseStream, SeedKey};
use nalgebra::{DMatrix, DVector};
use std::sync::{Arc, OnceLock};
use tch::Kind;

/// The number of blocks at the start of a sequence that are whitened, which removes most of the noise of few
/// draws. Later blocks are not whitened, since the small bias of whitening would stay in an average over
/// blocks. In a growing sequence they are [`LATER_BLOCK_SIZE_FACTOR`] times as large instead.
const N_WHITENED_FIRST_BLOCKS: u32 = 6;
const LATER_BLOCK_SIZE_FACTOR: u32 = 4;

/// The standard normals that draws consist of.
#[derive(Clone, Copy, Debug)]
pub struct DrawSpace {
    /// Their number in each draw, `D`.
    pub dim: usize,
    /// Their type.
    pub kind: Kind,
    /// The standard deviation of the normal from which deterministic sets of points and their sequences are drawn;
    /// unless it is 1, draws have importance weights. See [`gaussian_proposal_std`].
    pub proposal_std: f64,
}

impl DrawSpace {
    /// Standard normals of equal weights.
    pub const fn unweighted(dim: usize, kind: Kind) -> Self {
        Self {
            dim,
            kind,
            proposal_std: 1.0,
        }
    }
}

/// The standard deviation of the normal from which the draws of a Gaussian's ascent come, in whitened coordinates.
///
/// Half of the curvature of the nonlinear model of Margossian and Blei comes from farther out than 2.5 standard
/// deviations. Few draws from the standard normal are there: most blocks of 32 have none, and the scatter between them
/// does not show that it is missing. In one dimension draws therefore come from a normal twice as wide, which costs
/// weights with the mean square 1.5. That mean square is a product over dimensions, so that tails can be reached in few
/// dimensions only: for decoders of digits, these draws lead to the optimum in 0.5 to 0.9 times the joint gradients in
/// two and three dimensions, and in 1.3 times or more in ten.
pub const fn gaussian_proposal_std(dim: usize) -> f64 {
    match dim {
        1 => 2.0,
        2 => 1.5,
        3 => 1.3,
        _ => 1.0,
    }
}

/// The draws of one step: `S` standard normals of dimension `D`, either shared by all datapoints ("common") or
/// separate for each.
///
/// In both types they are made from the same points. Whatever is done to these (whitening, say) is rounded to the
/// type of the draws.
pub struct NoiseDraws {
    values: DrawValues,
    n_samples: usize,
    dim: usize,
}

/// The values of a set of draws, in either floating-point type.
pub enum DrawValues {
    /// In 32 bits.
    Single(TypedDraws<f32>),
    /// In 64 bits.
    Double(TypedDraws<f64>),
}

/// The values of a set of draws.
pub struct TypedDraws<T> {
    normals: Vec<T>, // [S, D] or [B, S, D]
    /// `G⁻¹ ε` for every draw, `[S, D]`: the regression of values on the draws is their mean product with these.
    /// `None` unless the set was made by [`NoiseDraws::antithetic_with_duals`].
    duals: Option<Vec<T>>,
    /// The weight of each draw in means, `[S]`; all are 1 if there are none.
    weights: Option<Vec<T>>,
    per_datapoint: usize, // S·D
    common: bool,
    /// Common draws ordered by part, once they are needed.
    block: OnceLock<Arc<BlockDraws>>,
}

impl<T> TypedDraws<T> {
    /// The draws of the `row`-th datapoint of the step, `[S, D]`.
    pub(super) fn of_datapoint(&self, row: usize) -> &[T] {
        let start = if self.common {
            0
        } else {
            row * self.per_datapoint
        };
        &self.normals[start..start + self.per_datapoint]
    }

    /// The weights of the draws, if they differ.
    pub(super) fn weights(&self) -> Option<&[T]> {
        self.weights.as_deref()
    }

    fn duals(&self) -> Option<&[T]> {
        self.duals.as_deref()
    }
}

/// A type that draws can have: `f32` or `f64`.
pub trait DrawNumber: FloatNumber {
    #[doc(hidden)]
    fn into_draw_values(draws: TypedDraws<Self>) -> DrawValues;
}

impl DrawNumber for f32 {
    fn into_draw_values(draws: TypedDraws<Self>) -> DrawValues {
        DrawValues::Single(draws)
    }
}

impl DrawNumber for f64 {
    fn into_draw_values(draws: TypedDraws<Self>) -> DrawValues {
        DrawValues::Double(draws)
    }
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

impl<T: FloatNumber> TypedDraws<T> {
    /// The draws of the `row`-th datapoint of the step, ordered by part.
    pub(super) fn block_of_datapoint(&self, row: usize, dim: usize) -> Arc<BlockDraws> {
        let block = || {
            let normals = self.of_datapoint(row);
            Arc::new(BlockDraws::new(normals, self.weights(), self.duals(), dim))
        };
        if self.common {
            Arc::clone(self.block.get_or_init(block))
        } else {
            block()
        }
    }
}

impl NoiseDraws {
    /// Draws that all datapoints share: `values` are `[S, D]`, draw after draw.
    pub fn from_common_normals<T: DrawNumber>(values: Vec<T>, dim: usize) -> Self {
        Self::from_points(PointSet::new(values, None, dim), None)
    }

    fn from_points<T: DrawNumber>(points: PointSet<T>, duals: Option<Vec<T>>) -> Self {
        let dim = points.dim;
        let per_datapoint = points.values.len();
        Self {
            n_samples: per_datapoint / dim,
            dim,
            values: T::into_draw_values(TypedDraws {
                per_datapoint,
                normals: points.values,
                weights: points.weights,
                duals,
                common: true,
                block: OnceLock::new(),
            }),
        }
    }

    /// [`whitened_sobol_normals`](super::whitened_sobol_normals) in `space`, shared by all datapoints.
    pub fn whitened(key: SeedKey, n_samples: usize, space: DrawSpace) -> Self {
        let DrawSpace {
            dim, proposal_std, ..
        } = space;
        match space.kind {
            Kind::Double => {
                let points = PointSet::<f64>::whitened_sobol(key, n_samples, dim, proposal_std);
                Self::from_points(points, None)
            }
            _ => {
                let points = PointSet::<f32>::whitened_sobol(key, n_samples, dim, proposal_std);
                Self::from_points(points, None)
            }
        }
    }

    /// Antithetic pairs of scrambled Sobol normals in `space`, not whitened, with their duals. There must be more
    /// pairs than dimensions.
    pub fn antithetic_with_duals(key: SeedKey, n_samples: usize, space: DrawSpace) -> Self {
        match space.kind {
            Kind::Double => Self::typed_antithetic_with_duals::<f64>(key, n_samples, space),
            _ => Self::typed_antithetic_with_duals::<f32>(key, n_samples, space),
        }
    }

    fn typed_antithetic_with_duals<T: DrawNumber>(
        key: SeedKey,
        n_samples: usize,
        space: DrawSpace,
    ) -> Self {
        let range = 0..(n_samples / 2) as u32;
        let half = PointSet::<T>::sobol(key, range, space.dim, space.proposal_std);
        let points = half.with_negatives();
        let (_, second_moment) = points.mean_and_second_moment();
        let inverse = second_moment.cholesky();
        let inverse = inverse
            .expect("there are more pairs than dimensions")
            .inverse();
        let mut duals = Vec::with_capacity(points.values.len());
        for draw in points.values.chunks_exact(space.dim) {
            let draw = DVector::from_fn(space.dim, |i, _| draw[i].to_f64());
            duals.extend((&inverse * draw).iter().map(|&value| T::from_f64(value)));
        }
        Self::from_points(points, Some(duals))
    }

    /// `G − I`, where `G` is the mean of `ε εᵀ` over draws that all datapoints share, `[D, D]`.
    pub fn excess_moment(&self) -> DMatrix<f64> {
        let block = match &self.values {
            DrawValues::Single(draws) => draws.block_of_datapoint(0, self.dim),
            DrawValues::Double(draws) => draws.block_of_datapoint(0, self.dim),
        };
        block.second_moment() - DMatrix::identity(self.dim, self.dim)
    }

    fn new_independent<T: DrawNumber>(
        key: SeedKey,
        ids: &[u64],
        n_samples: usize,
        dim: usize,
    ) -> Self {
        // S·D normals for each datapoint in turn, so that a datapoint's draws are contiguous.
        Self {
            values: T::into_draw_values(TypedDraws {
                normals: T::from_f32_values(NoiseStream::first_normals(key, ids, n_samples * dim)),
                duals: None,
                weights: None,
                per_datapoint: n_samples * dim,
                common: false,
                block: OnceLock::new(),
            }),
            n_samples,
            dim,
        }
    }

    /// The number of draws, `S`.
    pub const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The draws themselves.
    pub(super) const fn values(&self) -> &DrawValues {
        &self.values
    }
}

/// The source of an ascent's draws, step by step.
pub struct DrawSource {
    noise: NoiseSource,
    n_samples: usize,
    space: DrawSpace,
    key: SeedKey,
    latest: Option<NoiseDraws>,
}

impl DrawSource {
    /// A source that gives `n_samples` draws in `space` at each step; at later steps of a growing sequence, four
    /// times as many. Fresh and independent draws have no weights.
    pub const fn new(noise: NoiseSource, n_samples: usize, space: DrawSpace, key: SeedKey) -> Self {
        Self {
            noise,
            n_samples,
            space,
            key,
            latest: None,
        }
    }

    /// Returns the draws of step `step` (0, 1, …) for the datapoints `ids`.
    pub fn draws_at_step(&mut self, step: u32, ids: &[u64]) -> &NoiseDraws {
        let draws = match (self.noise, self.latest.take(), self.space.kind) {
            (NoiseSource::Fixed, Some(draws), _) => draws,
            (_, _, Kind::Double) => self.new_draws::<f64>(step, ids),
            _ => self.new_draws::<f32>(step, ids),
        };
        self.latest.insert(draws)
    }

    fn new_draws<T: DrawNumber>(&self, step: u32, ids: &[u64]) -> NoiseDraws {
        let (n, key) = (self.n_samples, self.key);
        let DrawSpace {
            dim, proposal_std, ..
        } = self.space;
        let step_key = key.for_index(u64::from(step));
        let points = match self.noise {
            NoiseSource::Fixed => PointSet::whitened_sobol(key, n, dim, proposal_std),
            NoiseSource::Sequence | NoiseSource::GrowingSequence => self.sequence_block(step),
            NoiseSource::Fresh => PointSet::sobol(step_key, 0..n as u32, dim, 1.0),
            NoiseSource::Independent => {
                return NoiseDraws::new_independent::<T>(step_key, ids, n, dim);
            }
        };
        NoiseDraws::from_points::<T>(points, None)
    }

    /// Returns the block of step `step` of a scrambled Sobol sequence, `[S, D]`. When a sequence is used up,
    /// later blocks come from another one.
    fn sequence_block<T: FloatNumber>(&self, step: u32) -> PointSet<T> {
        let DrawSpace {
            dim, proposal_std, ..
        } = self.space;
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
        let points = if (size as usize) < dim + 2 {
            let key = key.for_index(u64::from(start));
            let normals = NoiseStream::first_normals(key, &[0], size as usize * dim);
            PointSet::new(T::from_f32_values(normals), None, dim)
        } else {
            PointSet::sobol(key, start..start + size, dim, proposal_std)
        };
        match (step < N_WHITENED_FIRST_BLOCKS, antithetic) {
            (true, true) => points.balanced_with_negatives(),
            (true, false) => points.with_mean_weight_one().whitened(),
            (false, true) => points.with_negatives(),
            (false, false) => points,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single_source(noise: NoiseSource, n_samples: usize, dim: usize, seed: u64) -> DrawSource {
        let space = DrawSpace::unweighted(dim, Kind::Float);
        DrawSource::new(noise, n_samples, space, SeedKey::root(seed))
    }

    fn of_datapoint(draws: &NoiseDraws, row: usize) -> Vec<f32> {
        match draws.values() {
            DrawValues::Single(draws) => draws.of_datapoint(row).to_vec(),
            DrawValues::Double(_) => panic!("these are single"),
        }
    }

    #[test]
    fn blocks_of_a_sequence_are_new_and_a_fixed_set_is_not() {
        let first_two = |noise| {
            let mut source = single_source(noise, 32, 3, 2);
            [0, 1].map(|step| of_datapoint(source.draws_at_step(step, &[4, 5]), 1))
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
        let mut source = single_source(NoiseSource::Independent, 5, 3, 3);
        let alone = of_datapoint(source.draws_at_step(7, &[9]), 0);
        let draws = source.draws_at_step(7, &[4, 9]);
        assert_eq!(of_datapoint(draws, 1), alone);
        assert_ne!(of_datapoint(draws, 0), of_datapoint(draws, 1));
        let mut source = single_source(NoiseSource::Fresh, 5, 3, 3);
        let draws = source.draws_at_step(7, &[4, 9]);
        assert_eq!(of_datapoint(draws, 0), of_datapoint(draws, 1));
    }

    #[test]
    fn a_sequence_goes_on_after_its_end() {
        let mut source = single_source(NoiseSource::Sequence, 1 << 15, 1, 4);
        let mut seen: Vec<f32> = (0..6)
            .map(|step| of_datapoint(source.draws_at_step(step, &[0]), 0)[3])
            .collect();
        seen.sort_by(f32::total_cmp);
        seen.dedup();
        assert_eq!(seen.len(), 6);
    }
}
