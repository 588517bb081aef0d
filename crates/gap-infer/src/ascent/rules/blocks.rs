//! Consecutive blocks of draws, each corrected by the average curvature of the earlier ones, with what their
//! scatter says of their error.

use crate::ascent::curvature::EstimatedCurvature;
use crate::ascent::draws::NoiseDraws;
use crate::ascent::evaluation::{Evaluation, GradientParts, WhitenedGradient};
use nalgebra::{DMatrix, DVector};
use std::borrow::Cow;

/// Added to the curvature in the first step, and divided by `k²` in step `k`: far from the optimum, estimates
/// of the curvature in the flattest directions are too low. Where the draws determine the curvature well, it is
/// less: at most this factor times [`DAMPING_PER_ERROR`] times the error of eigenvalues.
const INITIAL_DAMPING: f64 = 0.4;
const DAMPING_PER_ERROR: f64 = 10.0;
/// The weight of a new block is its share of all draws times this factor, since earlier blocks were drawn
/// farther from the optimum.
const NEW_BLOCK_WEIGHT_FACTOR: f64 = 1.3;
/// Where the draws say little about the rest of the curvature, its diagonal is raised to at least this.
const MIN_DIAGONAL: f64 = 0.5;

/// One datapoint's average curvature over its blocks so far.
#[derive(Clone)]
pub struct RunningCurvatureAverage {
    taken: u32,
    drawn: f64,
    /// The weighted average of `C` over earlier blocks, in the whitened coordinates of the current `q`.
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
    /// The block's share of all draws times [`NEW_BLOCK_WEIGHT_FACTOR`], at most 1.
    pub weight: f64,
    /// The expected sum of squared errors of the elements of `curvature`; infinite if unknown.
    pub squared_error: f64,
    /// The gradient on the parts of the block, corrected; empty if there are too few draws.
    pub parts: Vec<PartGradient>,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
}

/// The corrected gradient of a part of a block.
pub struct PartGradient {
    pub mean: DVector<f64>,
    pub log_std: DVector<f64>,
}

/// Which share of a block's gradient is certainly not noise: `1 − 2.5 v / |g|²`, where `|g|²` is its square in
/// the metric of `step` and `v` the expectation of the same for its noise, from the scatter of its `parts`. 0 if
/// that is negative or unknown.
///
/// For 10 dimensions and 8 parts, noise alone exceeds 2.5 times its expectation in one case in forty.
pub fn certain_share<'a>(
    gradient: &DVector<f64>,
    parts: impl ExactSizeIterator<Item = &'a DVector<f64>>,
    step: impl Fn(&DVector<f64>) -> DVector<f64>,
) -> f64 {
    let n = parts.len() as f64;
    let square = |v: &DVector<f64>| v.dot(&step(v));
    let scatter: f64 = parts.map(|part| square(&(part - gradient))).sum();
    let noise = scatter / (n * (n - 1.0));
    let share = 1.0 - CERTAIN_RATIO * noise / square(gradient);
    if share > 0.0 { share } else { 0.0 }
}

/// See [`certain_share`].
pub const CERTAIN_RATIO: f64 = 2.5;

/// With more than this to gain, or where more than this share of a gradient is certain, blocks are weighted by that
/// share, and not by their share of all draws: the earlier ones were drawn too far away.
const FAR_NATS: f64 = 0.5;
const CERTAIN_SHARE: f64 = 0.9;

impl RunningCurvatureAverage {
    pub const fn new() -> Self {
        Self {
            taken: 0,
            drawn: 0.0,
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
            gradient -= known * &draws.mean;
            let outer = -&gradient * draws.mean.transpose();
            let mut spread = draws.second_moment.clone();
            spread -= DMatrix::identity(spread.nrows(), spread.ncols());
            let excess = known * spread;
            curvature += (&outer + outer.transpose() - &excess - excess.transpose()) * 0.5;
        }
        let (squared_error, parts) = match &whitened.parts {
            Some(parts) => {
                let scatter = BlockScatter::new(parts, draws);
                let known = KnownCurvature::new(self.curvature.as_ref(), &curvature, drawn);
                (
                    scatter.squared_error_off_diagonal(&known),
                    scatter.corrected_gradients(&known.matrix),
                )
            }
            None => (f64::INFINITY, Vec::new()),
        };
        let averaged = match self.curvature.take() {
            Some(known) => {
                self.squared_error =
                    (1.0 - weight).powi(2) * self.squared_error + weight.powi(2) * squared_error;
                &known + (&curvature - &known) * weight
            }
            None => {
                self.squared_error = squared_error;
                curvature.clone()
            }
        };
        let dim = averaged.nrows();
        let error = (self.squared_error / (dim * (dim - 1)).max(1) as f64).sqrt();
        let doubt = (DAMPING_PER_ERROR * error * (dim as f64).sqrt()).min(1.0);
        let damping = doubt * INITIAL_DAMPING / f64::from(self.taken).powi(2);
        ControlVariateCorrectedBlock {
            gradient,
            curvature,
            shrunk: shrink_to_diagonal(&averaged, self.squared_error),
            averaged,
            weight,
            squared_error,
            parts,
            damping,
        }
    }

    /// The weight of a block's step: `share`, the share of its gradient that is certain, if there are more than
    /// [`FAR_NATS`] to gain or more than [`CERTAIN_SHARE`] is certain; otherwise the block's own `weight`, or more.
    pub fn weight_of_share(share: f64, weight: f64, decrement: f64) -> f64 {
        if decrement > FAR_NATS || share > CERTAIN_SHARE {
            weight.max(share)
        } else {
            weight
        }
    }

    /// Stores the average of `C` over all blocks, in the whitened coordinates of the `q` after the step.
    pub fn set_averaged_curvature(&mut self, averaged: DMatrix<f64>) {
        self.curvature = Some(averaged);
    }

    /// Takes note that the block's step had this weight, which was more than its share of all draws: earlier
    /// blocks then count for less.
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
    let squares = gradient.parts.as_ref().map_or(f64::INFINITY, |parts| {
        let known = KnownCurvature::new(None, own, draws.n_samples() as f64);
        BlockScatter::new(parts, draws).squared_error_off_diagonal(&known)
    });
    (squares / (dim * (dim - 1)).max(1) as f64).sqrt()
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
    draws: &'a NoiseDraws,
}

impl<'a> BlockScatter<'a> {
    const fn new(parts: &'a GradientParts, draws: &'a NoiseDraws) -> Self {
        Self { parts, draws }
    }

    /// The expected sum of squared errors of the elements of the block's curvature off its diagonal, from the
    /// difference between the two halves of the block.
    fn squared_error_off_diagonal(&self, known: &KnownCurvature) -> f64 {
        let difference = self.corrected_difference(&known.matrix);
        let squares = difference.norm_squared() - difference.diagonal().norm_squared();
        0.25 * known.inflation * squares
    }

    /// The gradient on each part, as if the part's draws had mean 0 and covariance I.
    fn corrected_gradients(&self, known: &DMatrix<f64>) -> Vec<PartGradient> {
        let parts = self.parts.mean.iter().zip(&self.parts.log_std);
        let moments = &self.draws.part_moments;
        let correct =
            |((mean, log_std), (draw_mean, second)): (_, &(DVector<f64>, DMatrix<f64>))| {
                let (mean, log_std): (&DVector<f64>, &DVector<f64>) = (mean, log_std);
                let mean = mean - known * draw_mean;
                let excess =
                    |i: usize| known.row(i).transpose().dot(&second.column(i)) - known[(i, i)];
                let log_std = DVector::from_fn(mean.len(), |i, _| {
                    log_std[i] - mean[i] * draw_mean[i] - excess(i)
                });
                PartGradient { mean, log_std }
            };
        parts.zip(moments).map(correct).collect()
    }

    fn corrected_difference(&self, known: &DMatrix<f64>) -> DMatrix<f64> {
        let n_parts = self.parts.mean.len();
        let half = |from: usize| {
            let scale = 2.0 / n_parts as f64;
            let parts = from..from + n_parts / 2;
            let (mut gradient, mut mean) = (
                self.parts.mean[from].clone() * 0.0,
                self.draws.mean.clone() * 0.0,
            );
            let mut second = &self.draws.second_moment * 0.0;
            for part in parts {
                let (part_mean, part_second) = &self.draws.part_moments[part];
                gradient += &self.parts.mean[part] * scale;
                mean += part_mean * scale;
                second += part_second * scale;
            }
            (gradient, mean, second)
        };
        let (first, second) = (half(0), half(n_parts / 2));
        let outer = |(gradient, mean, _): &(DVector<f64>, DVector<f64>, DMatrix<f64>)| {
            let corrected = gradient - known * mean;
            corrected * mean.transpose()
        };
        let excess = known * (&first.2 - &second.2);
        let change = outer(&second) - outer(&first) - excess;
        &self.parts.curvature_difference + (&change + change.transpose()) * 0.5
    }
}
