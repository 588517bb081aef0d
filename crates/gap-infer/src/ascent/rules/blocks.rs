//! Consecutive blocks of draws, each corrected by the average curvature of the earlier ones, with what their
//! scatter says of their error.

use super::block_weights::NEW_BLOCK_WEIGHT_FACTOR;
use crate::ascent::curvature::EstimatedCurvature;
use crate::ascent::evaluation::WhitenedGradient;
use crate::ascent::scored_block::{BlockMoments, OwnCurvature, PartMoments, ScoredBlock};
use nalgebra::{DMatrix, DVector};

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
    pub parts: Option<PartMoments>,
    /// See [`OwnCurvature`].
    pub inflation: f64,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
    /// The number of blocks so far, this one included.
    pub n_blocks: u32,
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
    pub fn add_and_correct_block(&mut self, block: ScoredBlock) -> ControlVariateCorrectedBlock {
        let drawn = block.n_samples() as f64;
        self.drawn += drawn;
        let weight = (NEW_BLOCK_WEIGHT_FACTOR * drawn / self.drawn).min(1.0);
        self.taken += 1;
        let (corrected, inflation) = match &self.curvature {
            Some(known) => (block.into_moments(known), 1.0),
            None => {
                let own = block.curvature();
                let known = OwnCurvature::new(&own, block.n_samples());
                (block.into_moments(&known.matrix), known.inflation)
            }
        };
        let BlockMoments {
            gradient,
            curvature,
            parts,
        } = corrected;
        let squared_error = squared_error_off_diagonal(parts.as_ref(), inflation);
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
            inflation,
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
pub fn curvature_entry_error(gradient: &WhitenedGradient) -> f64 {
    let (own, block) = (gradient.curvature(), gradient.block());
    let dim = own.nrows();
    let known = OwnCurvature::new(own, block.n_samples());
    let parts = block.clone().into_moments(&known.matrix).parts;
    let squares = squared_error_off_diagonal(parts.as_ref(), known.inflation);
    (squares / (dim * (dim - 1)).max(1) as f64).sqrt()
}

/// The expected sum of squared errors of the elements of a block's curvature off its diagonal, from the difference
/// between the two halves of the block; infinite if there are too few draws.
fn squared_error_off_diagonal(parts: Option<&PartMoments>, inflation: f64) -> f64 {
    parts.map_or(f64::INFINITY, |parts| {
        0.25 * inflation * parts.squared_difference_of_halves
    })
}
