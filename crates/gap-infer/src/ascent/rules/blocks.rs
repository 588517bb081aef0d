//! Consecutive blocks of draws, each corrected by the average curvature of the earlier ones, with what their
//! scatter says of their error.

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
    /// The gradient on the parts of the block, corrected; `None` if there are too few draws.
    pub parts: Option<PartGradients>,
    /// The damping that the next step adds to the curvature.
    pub damping: f64,
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
}

/// A block's gradient in one part of the parameters.
pub struct BlockGradient<'a> {
    /// On the whole block, `[D]`.
    pub gradient: DVector<f64>,
    /// On its parts, `[D, P]`; `None` if there are too few draws.
    pub parts: Option<&'a DMatrix<f64>>,
    /// See [`KnownCurvature`].
    pub inflation: f64,
}

/// The expected square of the noise of a `mean` over parts, from their scatter around it. It is infinite if there are
/// no parts, or if it is at least `most`. Squares are in the metric of a step: `square` computes them, and may
/// overwrite its argument.
fn noise_from_scatter<'a>(
    mean: &DVector<f64>,
    blocks: impl Iterator<Item = (&'a DMatrix<f64>, f64)> + Clone,
    square: &mut impl FnMut(&mut [f64]) -> f64,
    most: f64,
) -> f64 {
    let n: usize = blocks.clone().map(|(parts, _)| parts.ncols()).sum();
    if n < 2 {
        return f64::INFINITY;
    }
    let scale = 1.0 / (n * (n - 1)) as f64;
    let mut deviation = vec![0.0; mean.len()];
    let mut noise = 0.0;
    for (parts, inflation) in blocks {
        for part in parts.as_slice().chunks_exact(mean.len()) {
            for ((deviation, part), mean) in deviation.iter_mut().zip(part).zip(mean.iter()) {
                *deviation = part - mean;
            }
            noise += scale * inflation * square(&mut deviation);
            if noise >= most {
                return f64::INFINITY;
            }
        }
    }
    noise
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
    /// All draws so far.
    total: usize,
    /// The draws of the latest gradient; while the start is kept, all.
    n_of_latest: usize,
    earlier: Option<EarlierStep>,
}

/// A step, and the gradient that it followed.
///
/// Let that gradient be `e + r`, a signal and noise. After a Newton step of weight `w` the signal is
/// `(1 − w) e − w r`, so that the next gradient's product with `e + r` has the expectation `(1 − w) |e + r|² − |r|²`,
/// whatever the noise of the next one. This gives `|r|²`. Scatter over parts does not: it has the error of the
/// curvature by which the parts are corrected, which whitened blocks do not have as a whole.
#[derive(Clone)]
struct EarlierStep {
    gradient: DVector<f64>,
    n_samples: usize,
    weight: f64,
}

impl EarlierStep {
    /// The expected square of the noise of the next `gradient`, on `own` draws.
    fn noise_of_next(
        &self,
        gradient: &DVector<f64>,
        own: usize,
        square: &mut impl FnMut(&mut [f64]) -> f64,
    ) -> f64 {
        let own_square = square(self.gradient.clone().as_mut_slice());
        let sum = square((&self.gradient + gradient).as_mut_slice());
        let difference = square((&self.gradient - gradient).as_mut_slice());
        let product = 0.25 * (sum - difference);
        let noise = own_square * (1.0 - self.weight) - product;
        noise.max(0.0) * (self.n_samples as f64 / own as f64).max(1.0)
    }
}

/// The product of two gradients in `n` dimensions has an error of the order of `1 / √n` times their squares. Noise that
/// is estimated from it counts if what a step promises beyond that noise is more than this, divided by `√n`, nats. With
/// less to gain, the blocks whose own noise happens to be large would be taken for far ones.
const MIN_SIGNAL_NATS: f64 = 0.35;

/// The gradients of all blocks at a start that is kept.
#[derive(Clone, Default)]
struct HeldGradients {
    /// The gradients on the parts of each block, and their [inflation](KnownCurvature).
    parts: Vec<(DMatrix<f64>, f64)>,
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
            total: 0,
            n_of_latest: 0,
            earlier: None,
        }
    }

    /// Takes note of a step of this weight along a gradient on `n_samples` draws.
    pub fn remember_step(&mut self, gradient: DVector<f64>, weight: f64) {
        self.earlier = (!self.keeps_start()).then_some(EarlierStep {
            gradient,
            n_samples: self.n_of_latest,
            weight,
        });
    }

    /// Forgets the last step, which was undone.
    pub fn forget_step(&mut self) {
        self.earlier = None;
    }

    /// Whether no step was taken yet.
    pub const fn keeps_start(&self) -> bool {
        self.held.is_some()
    }

    /// Weighs a block of `own` draws. `square` computes the square of a gradient in the metric of a step, and may
    /// overwrite its argument; `gain_nats` is what a whole step promises.
    pub fn weigh(
        &mut self,
        block: BlockGradient<'_>,
        own: usize,
        gain_nats: f64,
        mut square: impl FnMut(&mut [f64]) -> f64,
    ) -> WeightedGradient {
        let BlockGradient {
            mut gradient,
            parts,
            inflation,
        } = block;
        let (noise, own_square) = if let Some(held) = &mut self.held {
            held.parts
                .extend(parts.map(|parts| (parts.clone(), inflation)));
            held.n_blocks += 1.0;
            if let Some(mean) = held.mean.take() {
                gradient = &mean + (gradient - &mean) / held.n_blocks;
            }
            held.mean = Some(gradient.clone());
            let parts = held.parts.iter();
            let parts = parts.map(|(parts, inflation)| (parts, *inflation));
            let noise = noise_from_scatter(&gradient, parts, &mut square, f64::INFINITY);
            (noise, square(gradient.clone().as_mut_slice()))
        } else {
            let own_square = square(gradient.clone().as_mut_slice());
            let least = self.least_share_to_weigh_by(own, gain_nats);
            let most = own_square * (1.0 - least) / certain_noise_ratio(gradient.len());
            let parts = parts.into_iter().map(|parts| (parts, inflation));
            let noise = noise_from_scatter(&gradient, parts, &mut square, most);
            (noise, own_square)
        };
        let mut share = SignalShare::new(own_square, noise, gradient.len());
        // Before the draws determine the curvature, it is the step's direction that is uncertain.
        if let Some(earlier) = self.earlier.take()
            && self.total >= gradient.len()
        {
            let noise = earlier.noise_of_next(&gradient, own, &mut square);
            let by_earlier = SignalShare::new(own_square, noise, gradient.len());
            let least_nats = MIN_SIGNAL_NATS / (gradient.len() as f64).sqrt();
            if 0.5 * by_earlier.certain * own_square > least_nats {
                share.likely = share.likely.max(by_earlier.likely);
                share.certain = share.certain.max(by_earlier.certain);
            }
        }
        self.total += own;
        self.n_of_latest = if self.keeps_start() { self.total } else { own };
        let weight = self.weigh_by_share(share, own, gain_nats);
        WeightedGradient { gradient, weight }
    }

    /// Weighs a block of `own` draws of whose gradient this share is no noise; of all gradients at the start as long
    /// as that is kept.
    pub fn weigh_by_share(&mut self, share: SignalShare, own: usize, gain_nats: f64) -> f64 {
        let by_draws = self.share_of_draws(own);
        let least = self.least_share_to_weigh_by(own, gain_nats);
        let own = own as f64;
        self.drawn += own;
        if self.keeps_start() {
            if share.certain == 0.0 {
                return 0.0;
            }
            self.held = None;
            // After a gain of k, Kalman's next gain is k / (1 + k).
            self.drawn /= share.likely;
            return share.likely;
        }
        if share.certain <= least {
            return by_draws;
        }
        self.drawn = (NEW_BLOCK_WEIGHT_FACTOR * own / share.certain).max(own);
        share.certain
    }

    /// The weight of a block by its share of all draws.
    fn share_of_draws(&self, own: usize) -> f64 {
        let own = own as f64;
        (NEW_BLOCK_WEIGHT_FACTOR * own / (self.drawn + own)).min(1.0)
    }

    /// A gradient of which a larger share is certain is weighted by that share.
    fn least_share_to_weigh_by(&self, own: usize, gain_nats: f64) -> f64 {
        let by_draws = self.share_of_draws(own);
        if gain_nats <= self.far_nats {
            by_draws.max(CERTAIN_SHARE)
        } else {
            by_draws
        }
    }
}
