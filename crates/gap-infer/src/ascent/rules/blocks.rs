//! Blocks of draws after one another, each corrected by the curvature of those before it.

use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::Evaluation;
use nalgebra::{DMatrix, DVector};

/// Added to the curvature in the first step, and less and less in later ones: far from the optimum
/// the flattest directions are steeper than they look.
const INITIAL_DAMPING: f64 = 0.4;
/// A block weighs this much more than its share of all draws: earlier ones were farther off.
const NEW_BLOCK_WEIGHT_FACTOR: f64 = 1.3;

/// What is known of one datapoint from its blocks so far.
pub struct RunningCurvatureAverage {
    taken: u32,
    drawn: f64,
    /// The running `C` of earlier blocks, in whitened coordinates of the present `q`.
    curvature: Option<DMatrix<f64>>,
}

/// A block's answer, with those of the blocks before it as a control variate.
pub struct ControlVariateCorrectedBlock {
    /// `∂(−L)/∂w`.
    pub gradient: DVector<f64>,
    /// `C` of this block.
    pub curvature: DMatrix<f64>,
    /// `C` of all blocks.
    pub averaged: DMatrix<f64>,
    /// The block's share of all draws, somewhat enlarged.
    pub weight: f64,
    /// What is to be added to the curvature.
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

    /// Takes the gradients of one more block of draws into the averages.
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
            // With σs ≈ a − Cε the block's own ē and G are taken out.
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

    /// Keeps `C` of all blocks, in the coordinates of the `q` that was moved to.
    pub fn set_averaged_curvature(&mut self, averaged: DMatrix<f64>) {
        self.curvature = Some(averaged);
    }
}
