//! Consecutive blocks of draws, each corrected by the average curvature of the earlier ones, with what their
//! scatter says of their error.

use super::block_weights::NEW_BLOCK_WEIGHT_FACTOR;
use crate::ascent::curvature::EstimatedCurvature;
use crate::ascent::draws::{NoiseDraws, PartMoments};
use crate::ascent::evaluation::{Evaluation, GradientParts, WhitenedGradient};
use nalgebra::{DMatrix, DVector};
use std::borrow::Cow;

/// Added to the curvature in the first step, and divided by `k²` in step `k`: far from the optimum, estimates
/// of the curvature in the flattest directions are too low. Where the draws determine the curvature well, it is
/// less: at most this factor times [`DAMPING_PER_ERROR`] times the error of eigenvalues.
const INITIAL_DAMPING: f64 = 0.4;
const DAMPING_PER_ERROR: f64 = 2.0;
/// Where the draws say little about the rest of the curvature, its diagonal is raised to at least this.
const MIN_DIAGONAL: f64 = 0.5;

/// One datapoint's average curvature over its blocks so far.
#[derive(Clone)]
pub struct RunningCurvatureAverage {
    taken: u32,
    drawn: f64,
    /// The weighted average of `C` over earlier blocks, in the whitened coordinates of the current `q`.
    averaged: Option<DMatrix<f64>>,
    /// The same, shrunk towards its diagonal as far as it is error.
    curvature: Option<DMatrix<f64>>,
    /// The expected sum of squared errors of the average's elements off the diagonal; infinite if unknown.
    squared_error: f64,
}

/// The gradient and curvature of a block, corrected with the average curvature of earlier blocks as a control
/// variate.
pub struct ControlVariateCorrectedBlock {
    /// The corrected gradient `∂(−L)/∂w` of this block.
    pub gradient: DVector<f64>,
    /// The corrected `C` of this block.
    pub curvature: DMatrix<f64>,
    /// The weighted average of `C` over all blocks, this one included.
    pub averaged: DMatrix<f64>,
    /// The average, shrunk towards its diagonal by the share of its elements off the diagonal that is error,
    /// and the error that is left.
    pub shrunk: EstimatedCurvature,
    /// The expected sum of squared errors of all elements of `curvature`, and of those of `averaged`; infinite if
    /// unknown.
    pub squared_error: f64,
    pub averaged_squared_error: f64,
    /// The gradient on the parts of the block, corrected; `None` if there are too few draws.
    pub parts: Option<PartGradients>,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
    /// The number of blocks so far, this one included.
    pub n_blocks: u32,
}

/// The corrected gradients on the `P` parts of a block.
pub struct PartGradients {
    /// For the means, `[D, P]`.
    pub mean: DMatrix<f64>,
    /// For `log σ`, `[D, P]`.
    pub log_std: DMatrix<f64>,
    /// See [`KnownCurvature`].
    pub inflation: f64,
}

impl RunningCurvatureAverage {
    pub const fn new() -> Self {
        Self {
            taken: 0,
            drawn: 0.0,
            averaged: None,
            curvature: None,
            squared_error: f64::INFINITY,
        }
    }

    /// Corrects the gradient and curvature of a new block of draws by the average curvature of the earlier
    /// blocks, and returns them with the new average; [`Self::set_averaged_curvature`] stores that.
    pub fn add_and_correct_block(
        &mut self,
        evaluation: &Evaluation,
        draws: &NoiseDraws,
    ) -> ControlVariateCorrectedBlock {
        let drawn = draws.n_samples() as f64;
        self.drawn += drawn;
        let weight = (NEW_BLOCK_WEIGHT_FACTOR * drawn / self.drawn).min(1.0);
        self.taken += 1;
        let whitened = evaluation.whitened_gradient();
        let mut gradient = whitened.mean.clone();
        let mut curvature = whitened.curvature().clone();
        if let Some(known) = &self.curvature {
            // If the score is linear, σs = a − Cε, then the deviations of the block's ē from 0 and G from I
            // shift its gradient and curvature by known amounts, which are subtracted here.
            gradient.gemv(-1.0, known, &draws.mean, 1.0);
            let mut excess = known * &draws.excess_moment;
            excess.ger(1.0, &gradient, &draws.mean, 1.0);
            subtract_symmetric_part(&mut curvature, &excess);
        }
        let (squared_error, parts) = match whitened.parts.as_ref().zip(draws.parts.as_ref()) {
            Some((parts, moments)) => {
                let scatter = BlockScatter { parts, moments };
                let known = KnownCurvature::new(self.curvature.as_ref(), &curvature, drawn);
                (
                    scatter.squared_error_off_diagonal(&known),
                    Some(scatter.corrected_gradients(&known)),
                )
            }
            None => (f64::INFINITY, None),
        };
        let averaged = match self.averaged.take() {
            Some(mut known) => {
                self.squared_error =
                    (1.0 - weight).powi(2) * self.squared_error + weight.powi(2) * squared_error;
                known.zip_apply(&curvature, |known, own| *known += weight * (own - *known));
                known
            }
            None => {
                self.squared_error = squared_error;
                curvature.clone()
            }
        };
        let dim = averaged.nrows();
        let n_off_diagonal = (dim * (dim - 1)).max(1) as f64;
        let with_diagonal = (dim * dim) as f64 / n_off_diagonal;
        let error = (self.squared_error / n_off_diagonal).sqrt();
        let doubt = (DAMPING_PER_ERROR * error * (dim as f64).sqrt()).min(1.0);
        let damping = doubt * INITIAL_DAMPING / f64::from(self.taken).powi(2);
        ControlVariateCorrectedBlock {
            gradient,
            curvature,
            shrunk: shrink_to_diagonal(&averaged, self.squared_error),
            averaged,
            squared_error: with_diagonal * squared_error,
            averaged_squared_error: with_diagonal * self.squared_error,
            parts,
            damping,
            n_blocks: self.taken,
        }
    }

    /// Stores the average of `C` over all blocks, in the whitened coordinates of the `q` after the step.
    pub fn set_averaged_curvature(&mut self, averaged: DMatrix<f64>) {
        self.curvature = Some(shrink_to_diagonal(&averaged, self.squared_error).mean);
        self.averaged = Some(averaged);
    }

    /// Like [`Self::set_averaged_curvature`], and returns the state to go back to if the step overshoots. From there the
    /// average starts anew: where steps overshoot, the curvature changes fast.
    pub fn replace_average(&mut self, averaged: DMatrix<f64>) -> Self {
        let earlier = Self {
            averaged: None,
            curvature: self.curvature.take(),
            ..*self
        };
        self.set_averaged_curvature(averaged);
        earlier
    }

    /// Takes note that a block's step had this weight. If it was more than the block's share of all draws, earlier
    /// blocks count for less.
    pub fn set_weight(&mut self, own_draws: usize, weight: f64) {
        let own = own_draws as f64;
        self.drawn = self
            .drawn
            .min(NEW_BLOCK_WEIGHT_FACTOR * own / weight)
            .max(own);
    }
}

/// Shrinks `curvature` towards its diagonal by the share `α` of the squares of its elements off the diagonal
/// that is error: `(1 − α) C + α diag C`.
fn shrink_to_diagonal(curvature: &DMatrix<f64>, squared_error: f64) -> EstimatedCurvature {
    let dim = curvature.nrows();
    let diagonal = curvature.diagonal();
    let squares = curvature.norm_squared() - diagonal.norm_squared();
    let share = if squared_error < squares {
        squared_error / squares
    } else {
        1.0
    };
    let mut shrunk = curvature * (1.0 - share);
    for (i, &h) in diagonal.iter().enumerate() {
        shrunk[(i, i)] += share * h.max(MIN_DIAGONAL);
    }
    let error = squared_error.min(squares) / (dim * (dim - 1)).max(1) as f64;
    EstimatedCurvature {
        mean: shrunk,
        entry_std_error: (1.0 - share) * error.sqrt(),
    }
}

/// The expected root mean square error of the elements of one set's `C` off the diagonal, from the scatter over
/// its parts; infinite if there are too few draws.
pub fn curvature_entry_error(gradient: &WhitenedGradient, draws: &NoiseDraws) -> f64 {
    let own = gradient.curvature();
    let dim = own.nrows();
    let both = gradient.parts.as_ref().zip(draws.parts.as_ref());
    let squares = both.map_or(f64::INFINITY, |(parts, moments)| {
        let known = KnownCurvature::new(None, own, draws.n_samples() as f64);
        BlockScatter { parts, moments }.squared_error_off_diagonal(&known)
    });
    (squares / (dim * (dim - 1)).max(1) as f64).sqrt()
}

/// Subtracts the symmetric part of `excess` from `curvature`.
fn subtract_symmetric_part(curvature: &mut DMatrix<f64>, excess: &DMatrix<f64>) {
    for j in 0..curvature.ncols() {
        for i in 0..curvature.nrows() {
            curvature[(i, j)] -= 0.5 * (excess[(i, j)] + excess[(j, i)]);
        }
    }
}

/// The curvature by which the parts of a block are corrected for the moments of their draws.
///
/// It is the average over earlier blocks. For the first block it is the block's own, as far as its draws
/// determine it, which lessens the scatter by the share of the draws that determine it.
struct KnownCurvature<'a> {
    matrix: Cow<'a, DMatrix<f64>>,
    /// The factor by which the scatter is raised.
    inflation: f64,
}

impl<'a> KnownCurvature<'a> {
    fn new(earlier: Option<&'a DMatrix<f64>>, own: &'a DMatrix<f64>, n_samples: f64) -> Self {
        let dim = own.nrows() as f64;
        let (matrix, inflation) = match earlier {
            Some(earlier) => (Cow::Borrowed(earlier), 1.0),
            None if n_samples > 1.25 * dim => (Cow::Borrowed(own), n_samples / (n_samples - dim)),
            None => (Cow::Owned(DMatrix::from_diagonal(&own.diagonal())), 1.0),
        };
        Self { matrix, inflation }
    }
}

/// The parts of a block, corrected for the moments of their draws.
struct BlockScatter<'a> {
    parts: &'a GradientParts,
    moments: &'a PartMoments,
}

impl BlockScatter<'_> {
    /// The expected sum of squared errors of the elements of the block's curvature off its diagonal, from the
    /// difference between the two halves of the block.
    fn squared_error_off_diagonal(&self, known: &KnownCurvature) -> f64 {
        let difference = self.corrected_difference(&known.matrix);
        let squares = difference.norm_squared() - difference.diagonal().norm_squared();
        0.25 * known.inflation * squares
    }

    /// The gradient on each part, as if the part's draws had mean 0 and covariance I.
    fn corrected_gradients(&self, known: &KnownCurvature) -> PartGradients {
        let (known, inflation) = (&*known.matrix, known.inflation);
        let mut mean = self.parts.mean.clone();
        mean.gemm(-1.0, known, &self.moments.means, 1.0);
        let mut log_std = self.parts.log_std.clone();
        for (part, second_moment) in self.moments.second_moments.iter().enumerate() {
            for i in 0..mean.nrows() {
                // Both matrices are symmetric: columns for rows.
                let excess = known.column(i).dot(&second_moment.column(i)) - known[(i, i)];
                log_std[(i, part)] -= mean[(i, part)] * self.moments.means[(i, part)] + excess;
            }
        }
        PartGradients {
            mean,
            log_std,
            inflation,
        }
    }

    /// `C` on the first half of the parts less `C` on the second half, as if the draws of both had mean 0 and
    /// covariance I.
    fn corrected_difference(&self, known: &DMatrix<f64>) -> DMatrix<f64> {
        let n_half = self.parts.mean.ncols() / 2;
        let mut difference = self.parts.curvature_difference.clone();
        let mut excess = known * &self.moments.half_difference;
        for (half, draw_mean) in self.moments.half_means.iter().enumerate() {
            let mut gradient = self.parts.mean.columns(half * n_half, n_half).column_mean();
            gradient.gemv(-1.0, known, draw_mean, 1.0);
            let sign = if half == 0 { 1.0 } else { -1.0 };
            excess.ger(sign, &gradient, draw_mean, 1.0);
        }
        subtract_symmetric_part(&mut difference, &excess);
        difference
    }
}
