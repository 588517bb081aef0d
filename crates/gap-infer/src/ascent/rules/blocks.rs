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
const DAMPING_PER_ERROR: f64 = 2.0;
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
    /// The gradient on the parts of the block, corrected; empty if there are too few draws.
    pub parts: Vec<PartGradient>,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
}

/// The corrected gradient of a part of a block.
#[derive(Clone)]
pub struct PartGradient {
    pub mean: DVector<f64>,
    pub log_std: DVector<f64>,
    /// See [`KnownCurvature`].
    inflation: f64,
}

/// Which part of a gradient is no noise.
#[derive(Clone, Copy)]
pub struct SignalShare {
    /// `1 − v / |g|²`, where `|g|²` is the gradient's square in the metric of a step, and `v` the expectation of the
    /// same for its noise.
    pub likely: f64,
    /// `1 − f v / |g|²`, with the factor `f` that noise alone exceeds in one case in 200.
    pub certain: f64,
}

impl SignalShare {
    /// The shares of a gradient with this square, whose noise has this expected square in `n` dimensions. They are 0
    /// where they would be negative, or if the noise is not known.
    pub fn new(square: f64, noise: f64, n: usize) -> Self {
        let share = |factor: f64| {
            let share = 1.0 - factor * noise / square;
            if share > 0.0 { share } else { 0.0 }
        };
        Self {
            likely: share(1.0),
            certain: share(certain_noise_ratio(n)),
        }
    }

    /// The shares of a gradient, in the metric of `step`, from the scatter of its `parts`.
    pub fn of_gradient(
        gradient: &DVector<f64>,
        parts: &[PartGradient],
        of_part: impl Fn(&PartGradient) -> &DVector<f64>,
        step: impl Fn(&DVector<f64>) -> DVector<f64>,
    ) -> Self {
        let n = parts.len() as f64;
        let square = |v: &DVector<f64>| v.dot(&step(v));
        let scatter: f64 = parts
            .iter()
            .map(|part| part.inflation * square(&(of_part(part) - gradient)))
            .sum();
        Self::new(square(gradient), scatter / (n * (n - 1.0)), gradient.len())
    }
}

/// The 99.5% point of the mean of `n` squares of standard normals, by Wilson and Hilferty's approximation.
fn certain_noise_ratio(n: usize) -> f64 {
    let v = 2.0 / (9.0 * n as f64);
    (1.0 - v + 2.576 * v.sqrt()).powi(3)
}

/// With more than this to gain, or where more than this share of a gradient is certain, blocks are weighted by that
/// share, and not by their share of all draws: the earlier ones were drawn too far away.
const FAR_NATS: f64 = 0.5;
/// The same after a start that was kept until a step was certain: there are few blocks to average over.
const FAR_FROM_START_NATS: f64 = 0.1;
const CERTAIN_SHARE: f64 = 0.9;

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
                    scatter.corrected_gradients(&known),
                )
            }
            None => (f64::INFINITY, Vec::new()),
        };
        let averaged = match self.averaged.take() {
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
        }
    }

    /// Stores the average of `C` over all blocks, in the whitened coordinates of the `q` after the step.
    pub fn set_averaged_curvature(&mut self, averaged: DMatrix<f64>) {
        self.curvature = Some(shrink_to_diagonal(&averaged, self.squared_error).mean);
        self.averaged = Some(averaged);
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
    fn corrected_gradients(&self, known: &KnownCurvature) -> Vec<PartGradient> {
        let (known, inflation) = (&*known.matrix, known.inflation);
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
                PartGradient {
                    mean,
                    log_std,
                    inflation,
                }
            };
        parts.zip(moments).map(correct).collect()
    }

    /// `C` on the first half of the parts less `C` on the second half, as if the draws of both had mean 0 and
    /// covariance I.
    fn corrected_difference(&self, known: &DMatrix<f64>) -> DMatrix<f64> {
        let n_half = self.parts.mean.len() / 2;
        let [first, second] = [0, 1].map(|half| {
            let (draw_mean, second_moment) = &self.draws.half_moments[half];
            let scale = 1.0 / n_half as f64;
            let mut gradient = DVector::zeros(draw_mean.len());
            for part in &self.parts.mean[half * n_half..][..n_half] {
                gradient += part * scale;
            }
            let corrected = gradient - known * draw_mean;
            (corrected * draw_mean.transpose(), second_moment)
        });
        let excess = known * (first.1 - second.1);
        let change = second.0 - first.0 - excess;
        &self.parts.curvature_difference + (&change + change.transpose()) * 0.5
    }
}

/// The weight of each block in one part of the parameters: the means, or the scales.
#[derive(Clone)]
pub struct BlockWeights {
    /// All draws so far; fewer if earlier blocks were drawn too far away, and more if the start deserves to count
    /// like as many.
    drawn: f64,
    /// With more than this to gain, blocks are weighted by what is certain of their gradients.
    far_nats: f64,
    /// The gradients at the start, as long as it is kept.
    held: Option<HeldGradients>,
}

/// The gradients of all blocks at a start that is kept.
#[derive(Clone, Default)]
struct HeldGradients {
    parts: Vec<PartGradient>,
    n_blocks: f64,
    mean: Option<DVector<f64>>,
}

/// A gradient to step along, and the weight of the step.
pub struct WeightedGradient {
    pub gradient: DVector<f64>,
    pub weight: f64,
}

impl BlockWeights {
    /// If `keeps_start` is set, blocks have the weight 0 until their gradients are certainly not noise. The first
    /// step then uses all of them.
    pub fn new(keeps_start: bool) -> Self {
        Self {
            drawn: 0.0,
            far_nats: if keeps_start {
                FAR_FROM_START_NATS
            } else {
                FAR_NATS
            },
            held: keeps_start.then(HeldGradients::default),
        }
    }

    /// Whether no step was taken yet.
    pub const fn keeps_start(&self) -> bool {
        self.held.is_some()
    }

    /// Weighs a block of `own` draws with this `gradient`. `shares` computes which part of a gradient is no noise,
    /// from the parts of its blocks, and `gain_nats` is what a whole step promises.
    pub fn weigh(
        &mut self,
        gradient: DVector<f64>,
        parts: &[PartGradient],
        own: usize,
        shares: impl Fn(&DVector<f64>, &[PartGradient]) -> SignalShare,
        gain_nats: f64,
    ) -> WeightedGradient {
        let own = own as f64;
        self.drawn += own;
        let Some(held) = &mut self.held else {
            let weight = (NEW_BLOCK_WEIGHT_FACTOR * own / self.drawn).min(1.0);
            let certain = shares(&gradient, parts).certain;
            if certain <= weight || (gain_nats <= self.far_nats && certain <= CERTAIN_SHARE) {
                return WeightedGradient { gradient, weight };
            }
            self.drawn = (NEW_BLOCK_WEIGHT_FACTOR * own / certain).max(own);
            return WeightedGradient {
                gradient,
                weight: certain,
            };
        };
        held.parts.extend_from_slice(parts);
        held.n_blocks += 1.0;
        let averaged = match held.mean.take() {
            None => gradient,
            Some(mean) => &mean + (gradient - &mean) / held.n_blocks,
        };
        let share = shares(&averaged, &held.parts);
        if share.certain == 0.0 {
            held.mean = Some(averaged.clone());
            return WeightedGradient {
                gradient: averaged,
                weight: 0.0,
            };
        }
        self.held = None;
        // After a gain of k, Kalman's next gain is k / (1 + k).
        self.drawn /= share.likely;
        WeightedGradient {
            gradient: averaged,
            weight: share.likely,
        }
    }
}
