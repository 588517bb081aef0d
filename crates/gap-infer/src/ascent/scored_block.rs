//! The scores of one datapoint at a block of draws, and their moments, as matrices in 64 bits.

use super::draws::DrawParts;
use super::evaluation::add_score_and_product;
use crate::family::FloatNumber;
use nalgebra::{DMatrix, DVector};
use std::borrow::Cow;
use std::sync::Arc;

/// A block of `S` draws, ordered by part: see [`DrawParts`].
#[derive(Debug)]
pub struct BlockDraws {
    /// The position, in the set of draws, of each draw here.
    order: Vec<usize>,
    /// The number of draws in each of the `P` parts; empty if there are too few draws for parts.
    part_sizes: Vec<usize>,
    /// `ε`, `[D, S]`, and its transpose.
    columns: DMatrix<f64>,
    rows: DMatrix<f64>,
    /// `w ε`, `[D, S]`, where `w` are the draws' weights.
    weighted: DMatrix<f64>,
    /// `ε` less its weighted mean over the half of the block that it is in, `[S, D]`.
    centred_rows: DMatrix<f64>,
    /// `G⁻¹ ε`, `[S, D]`, if the set has duals.
    dual_rows: Option<DMatrix<f64>>,
    /// The means of `w ε` over each part, `[D, P]`.
    part_means: DMatrix<f64>,
    /// The same over each half of the block, and over all of it, `[D]`.
    half_means: [DVector<f64>; 2],
    mean: DVector<f64>,
}

impl BlockDraws {
    /// The draws `normals`, `[S, D]`, with their weights and duals.
    pub(super) fn new<T: FloatNumber>(
        normals: &[T],
        weights: Option<&[T]>,
        duals: Option<&[T]>,
        dim: usize,
    ) -> Self {
        let n = normals.len() / dim;
        let parts = DrawParts::of(n);
        let mut order: Vec<usize> = (0..n).collect();
        let mut part_sizes = Vec::new();
        if let Some(parts) = parts {
            let part_of: Vec<usize> = parts.part_of_each_draw().collect();
            order.sort_by_key(|&draw| part_of[draw]);
            part_sizes.resize(parts.len(), 0);
            for part in part_of {
                part_sizes[part] += 1;
            }
        }
        let in_order =
            |values: &[T]| DMatrix::from_fn(n, dim, |row, i| values[order[row] * dim + i].to_f64());
        let rows = in_order(normals);
        let columns = rows.transpose();
        let mut weighted = columns.clone();
        if let Some(weights) = weights {
            for (mut column, &draw) in weighted.column_iter_mut().zip(&order) {
                column *= weights[draw].to_f64();
            }
        }
        let n_first = first_half_size(&part_sizes);
        let half_means = [
            column_mean(&weighted, 0, n_first),
            column_mean(&weighted, n_first, n - n_first),
        ];
        let mut centred_rows = rows.clone();
        for (row, mut values) in centred_rows.row_iter_mut().enumerate() {
            let mean = &half_means[usize::from(row >= n_first)];
            for (value, mean) in values.iter_mut().zip(mean.iter()) {
                *value -= mean;
            }
        }
        Self {
            mean: column_mean(&weighted, 0, n),
            part_means: part_means(&weighted, &part_sizes),
            dual_rows: duals.map(in_order),
            half_means,
            centred_rows,
            weighted,
            columns,
            rows,
            part_sizes,
            order,
        }
    }

    /// The number of draws, `S`.
    pub fn n_samples(&self) -> usize {
        self.order.len()
    }

    /// The mean of `w ε εᵀ`, `[D, D]`.
    pub fn second_moment(&self) -> DMatrix<f64> {
        &self.weighted * &self.rows / self.n_samples() as f64
    }
}

/// The number of draws in the first half of the parts.
fn first_half_size(part_sizes: &[usize]) -> usize {
    part_sizes[..part_sizes.len() / 2].iter().sum()
}

/// The mean of `n` columns; zeros if there are none, and where antithetic pairs cancel up to rounding.
fn column_mean(values: &DMatrix<f64>, first: usize, n: usize) -> DVector<f64> {
    if n == 0 {
        return DVector::zeros(values.nrows());
    }
    let mean = values.columns(first, n).column_mean();
    if mean.amax() < 1e-14 * values.amax() {
        return DVector::zeros(values.nrows());
    }
    mean
}

/// Adds `scale · a bᵀ` to a matrix; nothing if `b` is 0.
fn add_outer_product(matrix: &mut DMatrix<f64>, scale: f64, a: &DVector<f64>, b: &DVector<f64>) {
    if b.iter().any(|value| *value != 0.0) {
        matrix.ger(scale, a, b, 1.0);
    }
}

/// The columns of a matrix.
fn columns(matrix: &DMatrix<f64>) -> impl Iterator<Item = &[f64]> {
    matrix.as_slice().chunks_exact(matrix.nrows())
}

/// The means of the columns of each part, `[D, P]`.
fn part_means(values: &DMatrix<f64>, part_sizes: &[usize]) -> DMatrix<f64> {
    let dim = values.nrows();
    let mut means = DMatrix::zeros(dim, part_sizes.len());
    let mut columns = columns(values);
    for (mean, &size) in means.as_mut_slice().chunks_exact_mut(dim).zip(part_sizes) {
        let scale = 1.0 / size as f64;
        for column in columns.by_ref().take(size) {
            for (mean, value) in mean.iter_mut().zip(column) {
                *mean += scale * value;
            }
        }
    }
    means
}

/// The scores of one datapoint at a block of draws.
#[derive(Clone, Debug)]
pub struct ScoredBlock {
    draws: Arc<BlockDraws>,
    /// `w σ ∘ s`, `[D, S]`, in the order of the draws.
    scores: DMatrix<f64>,
}

/// The gradient and curvature of a block of draws, as if they had mean 0 and covariance `I`.
///
/// Let `r = σ s + K ε` be what a known curvature `K` leaves of the scores: if the score is linear, and `K` its slope,
/// it is the same at all draws. The gradient in the mean is then `−E[r]`, and the curvature `K − sym Cov(r, ε)`.
pub struct BlockMoments {
    /// `σ ∘ ∂(−L)/∂μ`, `[D]`.
    pub gradient: DVector<f64>,
    /// `C`, `[D, D]`.
    pub curvature: DMatrix<f64>,
    /// What parts of the block say; `None` if there are too few draws for parts.
    pub parts: Option<PartMoments>,
}

/// The gradients on the `P` parts of a block of draws, and the scatter of the curvature over its halves.
pub struct PartMoments {
    /// `σ ∘ ∂(−L)/∂μ` on each part, `[D, P]`. Where draws have weights, the mean weight of a part is not 1, which its
    /// gradient keeps: the scatter over parts is then that of draws which were not whitened.
    pub mean: DMatrix<f64>,
    /// `∂(−L)/∂ log σ` on each part, `[D, P]`.
    pub log_std: DMatrix<f64>,
    /// The sum of squares of the elements, off the diagonal, of `C` on the first half of the parts less `C` on the
    /// second half.
    pub squared_difference_of_halves: f64,
}

impl ScoredBlock {
    /// The scores, `[S, D]`, of a datapoint whose `q` has the standard deviations `std`, at these draws, each multiplied
    /// by the weight of its draw.
    pub(super) fn new<T: FloatNumber>(
        std: &DVector<f64>,
        scores: &[T],
        draws: Arc<BlockDraws>,
    ) -> Self {
        let dim = std.len();
        let mut own = vec![0.0; scores.len()];
        for (own, &draw) in own.chunks_exact_mut(dim).zip(&draws.order) {
            let scores = scores[draw * dim..][..dim].iter();
            for ((own, score), std) in own.iter_mut().zip(scores).zip(std.as_slice()) {
                *own = std * score.to_f64();
            }
        }
        Self {
            scores: DMatrix::from_vec(dim, draws.n_samples(), own),
            draws,
        }
    }

    /// The number of draws, `S`.
    pub fn n_samples(&self) -> usize {
        self.draws.n_samples()
    }

    /// Whether all scores are finite.
    pub fn is_finite(&self) -> bool {
        all_finite(self.scores.as_slice())
    }

    /// `σ ∘ ∂(−L)/∂μ = −E[σ s]`, `[D]`.
    pub fn gradient(&self) -> DVector<f64> {
        -self.scores.column_mean()
    }

    /// `sym(−E[σ s εᵀ])`, `[D, D]`.
    pub fn curvature(&self) -> DMatrix<f64> {
        self.product_with(&self.draws.rows)
    }

    /// The regression of the scores on the draws, `sym(−E[σ s εᵀ] G⁻¹)`, if these have duals, `[D, D]`.
    pub fn curvature_by_regression(&self) -> Option<DMatrix<f64>> {
        let duals = self.draws.dual_rows.as_ref();
        duals.map(|duals| self.product_with(duals))
    }

    fn product_with(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        let dim = self.scores.nrows();
        let mut product = DMatrix::zeros(dim, dim);
        product.gemm(-1.0, &self.scores, rows, 0.0);
        symmetrize_and_scale(&mut product, 1.0 / self.n_samples() as f64);
        product
    }

    /// The moments of what `known`, `[D, D]`, leaves of the scores.
    pub fn into_moments(self, known: &DMatrix<f64>) -> BlockMoments {
        let Self {
            draws,
            scores: mut residuals,
        } = self;
        let (dim, n) = residuals.shape();
        residuals.gemm(1.0, known, &draws.weighted, 1.0);
        let n_first = first_half_size(&draws.part_sizes);
        let mean = residuals.column_mean();
        // Minus the covariance of residuals and draws, summed over the draws of each half.
        let [mut first, mut second] = [(0, n_first), (n_first, n - n_first)].map(|(start, len)| {
            let mut covariance = DMatrix::zeros(dim, dim);
            if len > 0 {
                let residuals = residuals.columns(start, len);
                covariance.gemm(-1.0, &residuals, &draws.centred_rows.rows(start, len), 0.0);
            }
            covariance
        });
        let parts = (!draws.part_sizes.is_empty()).then(|| {
            let (to_first, to_second) = (1.0 / n_first as f64, 1.0 / (n - n_first) as f64);
            let difference = first.zip_map(&second, |a, b| to_first * a - to_second * b);
            let squares = squares_of_symmetric_part_off_diagonal(&difference);
            part_moments(&draws, &residuals, known, squares)
        });
        // The covariance over all draws is not centred at the means of halves.
        for (covariance, half_mean, len, start) in [
            (&mut first, &draws.half_means[0], n_first, 0),
            (&mut second, &draws.half_means[1], n - n_first, n_first),
        ] {
            let sum = residuals.columns(start, len).column_sum();
            add_outer_product(covariance, -1.0, &sum, half_mean);
        }
        let mut curvature = first;
        curvature += second;
        add_outer_product(&mut curvature, n as f64, &mean, &draws.mean);
        symmetrize_and_scale(&mut curvature, 1.0 / n as f64);
        curvature += known;
        BlockMoments {
            gradient: -mean,
            curvature,
            parts,
        }
    }
}

/// The gradients on parts, with this scatter of the curvature.
fn part_moments(
    draws: &BlockDraws,
    residuals: &DMatrix<f64>,
    known: &DMatrix<f64>,
    squared_difference_of_halves: f64,
) -> PartMoments {
    let (dim, n_parts) = (residuals.nrows(), draws.part_sizes.len());
    let mut mean = DMatrix::zeros(dim, n_parts);
    let mut log_std = DMatrix::zeros(dim, n_parts);
    let diagonal = known.diagonal();
    let mut both = columns(residuals).zip(columns(&draws.columns));
    let sums = mean.as_mut_slice().chunks_exact_mut(dim);
    let sums = sums.zip(log_std.as_mut_slice().chunks_exact_mut(dim));
    let parts = sums.zip(draws.part_sizes.iter().zip(columns(&draws.part_means)));
    for ((mean, log_std), (&size, draw_mean)) in parts {
        // The residuals have the weights already.
        for (residual, draw) in both.by_ref().take(size) {
            add_score_and_product(draw, residual, mean, log_std);
        }
        let scale = -1.0 / size as f64;
        let entries = mean.iter_mut().zip(log_std).zip(draw_mean);
        for (((mean, log_std), draw_mean), known) in entries.zip(diagonal.iter()) {
            *mean *= scale;
            *log_std = scale * *log_std + known - 1.0 - *mean * draw_mean;
        }
    }
    PartMoments {
        mean,
        log_std,
        squared_difference_of_halves,
    }
}

/// Whether all values are finite. It looks at all of them, several at a time.
pub fn all_finite(values: &[f64]) -> bool {
    values
        .iter()
        .fold(true, |all, value| all & value.is_finite())
}

/// Replaces a matrix `M` by `scale · sym M`.
fn symmetrize_and_scale(matrix: &mut DMatrix<f64>, scale: f64) {
    let dim = matrix.nrows();
    let values = matrix.as_mut_slice();
    for j in 0..dim {
        let (before, own) = values.split_at_mut(j * dim);
        for (value, column) in own[..j].iter_mut().zip(before.chunks_exact_mut(dim)) {
            let mean = 0.5 * scale * (*value + column[j]);
            (*value, column[j]) = (mean, mean);
        }
        own[j] *= scale;
    }
}

/// The sum of squares of the elements off the diagonal of a matrix's symmetric part.
fn squares_of_symmetric_part_off_diagonal(matrix: &DMatrix<f64>) -> f64 {
    let dim = matrix.nrows();
    let values = matrix.as_slice();
    let mut squares = 0.0;
    for j in 0..dim {
        let (before, own) = values.split_at(j * dim);
        for (value, column) in own[..j].iter().zip(before.chunks_exact(dim)) {
            squares += (value + column[j]).powi(2);
        }
    }
    0.5 * squares
}

/// A block's own curvature as the one by which it is corrected, as far as its draws determine it. That lessens the
/// scatter by the share of the draws that determine it.
pub struct OwnCurvature<'a> {
    /// `[D, D]`
    pub matrix: Cow<'a, DMatrix<f64>>,
    /// The factor by which the scatter is raised.
    pub inflation: f64,
}

impl<'a> OwnCurvature<'a> {
    /// The curvature `own` of a block of `n_samples` draws.
    pub fn new(own: &'a DMatrix<f64>, n_samples: usize) -> Self {
        let (dim, n_samples) = (own.nrows() as f64, n_samples as f64);
        if n_samples > 1.25 * dim {
            Self {
                matrix: Cow::Borrowed(own),
                inflation: n_samples / (n_samples - dim),
            }
        } else {
            Self {
                matrix: Cow::Owned(DMatrix::from_diagonal(&own.diagonal())),
                inflation: 1.0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gap_torch::{NoiseStream, SeedKey};

    /// Scores that are linear in the draws have a curvature that is the same everywhere. If it is known, nothing of
    /// the draws is left in the moments, of the whole block and of its parts.
    #[test]
    fn what_a_known_curvature_leaves_of_linear_scores_is_their_value_at_the_mean() {
        for n in [3, 8, 37] {
            let dim = 4;
            let normals = NoiseStream::first_normals(SeedKey::root(5), &[0], n * dim);
            let normals: Vec<f64> = normals.into_iter().map(f64::from).collect();
            let at_mean = DVector::from_fn(dim, |i, _| i as f64 - 1.5);
            let factor = DMatrix::from_fn(dim, dim, |i, j| (1 + i + 2 * j) as f64 * 0.2);
            let curvature = &factor * factor.transpose();
            let mut scores = Vec::new();
            for draw in normals.chunks_exact(dim) {
                let score = &at_mean - &curvature * DVector::from_column_slice(draw);
                scores.extend(score.iter().copied());
            }
            let draws = Arc::new(BlockDraws::new(&normals, None, None, dim));
            let ones = DVector::from_element(dim, 1.0);
            let block = ScoredBlock::new(&ones, &scores, draws);
            let BlockMoments {
                gradient,
                curvature: corrected,
                parts,
            } = block.into_moments(&curvature);
            assert!((gradient + &at_mean).amax() < 1e-12);
            assert!((corrected - &curvature).amax() < 1e-12);
            assert_eq!(parts.is_some(), n >= 4);
            if let Some(parts) = parts {
                assert!(parts.squared_difference_of_halves < 1e-20);
                for column in parts.mean.column_iter() {
                    assert!((column + &at_mean).amax() < 1e-12);
                }
                for column in parts.log_std.column_iter() {
                    let expected = curvature.diagonal().add_scalar(-1.0);
                    assert!((column - expected).amax() < 1e-12);
                }
            }
        }
    }

    /// With the identity as what is known, the corrections are those of the moments of the draws: the gradient is
    /// `−E[σ s] − ē`, and the curvature `−sym E[σ s εᵀ] − (G − I) + sym(−g ēᵀ)`, where `g` is that gradient.
    #[test]
    fn moments_are_corrected_by_the_mean_and_covariance_of_the_draws() {
        let (n, dim) = (24, 3);
        let values = NoiseStream::first_normals(SeedKey::root(6), &[0], 2 * n * dim);
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let (normals, scores) = values.split_at(n * dim);
        let draws = Arc::new(BlockDraws::new(normals, None, None, dim));
        let std = DVector::from_fn(dim, |i, _| 0.5 + i as f64);
        let block = ScoredBlock::new(&std, scores, draws);
        let (raw, raw_curvature) = (block.gradient(), block.curvature());
        let identity = DMatrix::identity(dim, dim);
        let noise = DMatrix::from_column_slice(dim, n, normals);
        let (mean, second) = (noise.column_mean(), &noise * noise.transpose() / n as f64);
        let moments = block.into_moments(&identity);
        let gradient = raw - &mean;
        assert!((&moments.gradient - &gradient).amax() < 1e-12);
        let product = &gradient * mean.transpose();
        let expected =
            raw_curvature - (second - &identity) - (&product + product.transpose()) * 0.5;
        assert!((moments.curvature - expected).amax() < 1e-12);
    }
}
