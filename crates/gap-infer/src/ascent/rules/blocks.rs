//! Consecutive blocks of draws, each corrected by the average curvature of the earlier ones.

use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::Evaluation;
use nalgebra::{DMatrix, DVector};

/// Added to the curvature in the first step, and divided by `k²` in step `k`: far from the optimum, estimates
/// of the curvature in the flattest directions are too low.
const INITIAL_DAMPING: f64 = 0.4;
/// The weight of a new block is its share of all draws times this factor, since earlier blocks were drawn
/// farther from the optimum.
const NEW_BLOCK_WEIGHT_FACTOR: f64 = 1.3;

/// One datapoint's average curvature over its blocks so far.
pub struct RunningCurvatureAverage {
    taken: u32,
    drawn: f64,
    /// The weighted average of `C` over earlier blocks, in the whitened coordinates of the current `q`.
    curvature: Option<DMatrix<f64>>,
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
    /// The block's share of all draws times [`NEW_BLOCK_WEIGHT_FACTOR`], at most 1.
    pub weight: f64,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
}

impl RunningCurvatureAverage {
    pub const fn new() -> Self {
        Self {
            taken: 0,
            drawn: 0.0,
            curvature: None,
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
        let damping = INITIAL_DAMPING / f64::from(self.taken + 1).powi(2);
        self.taken += 1;
        let whitened = evaluation.whitened_gradient();
        let mut gradient = whitened.mean.clone();
        let mut curvature = whitened.curvature().clone();
        if let Some(known) = &self.curvature {
            // If the score is linear, σs = a − Cε, then the deviations of the block's ē from 0 and G from I
            // shift its gradient and curvature by known amounts, which are subtracted here.
            gradient -= known * &draws.mean;
            let outer = -&gradient * draws.mean.transpose();
            let mut spread = draws.second_moment.clone();
            spread -= DMatrix::identity(spread.nrows(), spread.ncols());
            let excess = known * spread;
            curvature += (&outer + outer.transpose() - &excess - excess.transpose()) * 0.5;
        }
        let averaged = match self.curvature.take() {
            Some(known) => &known + (&curvature - &known) * weight,
            None => curvature.clone(),
        };
        ControlVariateCorrectedBlock {
            gradient,
            curvature,
            averaged,
            weight,
            damping,
        }
    }

    /// Stores the average of `C` over all blocks, in the whitened coordinates of the `q` after the step.
    pub fn set_averaged_curvature(&mut self, averaged: DMatrix<f64>) {
        self.curvature = Some(averaged);
    }
}
