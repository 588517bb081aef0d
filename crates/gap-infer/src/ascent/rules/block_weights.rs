//! The weight of each block of draws in a step: its share of all draws, or what is certain of its gradient.

use nalgebra::{DMatrix, DVector};

/// The weight of a new block is its share of all draws times this factor, since earlier blocks were drawn
/// farther from the optimum.
pub const NEW_BLOCK_WEIGHT_FACTOR: f64 = 1.3;

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
    /// The shares of a gradient with this square in `n` dimensions, whose noise has this expected square, which was
    /// estimated with `freedom` degrees of freedom. They are 0 where they would be negative, or if the noise is not
    /// known.
    pub fn new(square: f64, noise: f64, n: usize, freedom: f64) -> Self {
        let share = |factor: f64| {
            let share = 1.0 - factor * noise / square;
            if share > 0.0 { share } else { 0.0 }
        };
        Self {
            likely: share(1.0),
            certain: share(certain_noise_ratio(n, freedom)),
        }
    }
}

/// A block's gradient in one part of the parameters.
pub struct BlockGradient<'a> {
    /// On the whole block, `[D]`.
    pub gradient: DVector<f64>,
    /// On its parts, `[D, P]`; `None` if there are too few draws.
    pub parts: Option<&'a DMatrix<f64>>,
    /// The factor by which their scatter is raised.
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

/// The degrees of freedom of [`noise_from_scatter`].
fn scatter_freedom<'a>(blocks: impl Iterator<Item = (&'a DMatrix<f64>, f64)>) -> f64 {
    let (mut n_parts, mut dim) = (0, 0);
    for (parts, _) in blocks {
        n_parts += parts.ncols();
        dim = parts.nrows();
    }
    (dim * n_parts.saturating_sub(1)) as f64
}

/// The 99.5% point of the F distribution with `n` and `freedom` degrees of freedom, by Wilson and Hilferty's
/// approximation of its two mean squares (Abramowitz and Stegun 1964, 26.6.15); infinite where that has none.
fn certain_noise_ratio(n: usize, freedom: f64) -> f64 {
    const NORMAL_POINT: f64 = 2.576;
    let (a, b) = (2.0 / (9.0 * n as f64), 2.0 / (9.0 * freedom));
    let spread = a * (1.0 - b).powi(2) + b * (1.0 - a).powi(2) - a * b * NORMAL_POINT.powi(2);
    let least = (1.0 - b).powi(2) - b * NORMAL_POINT.powi(2);
    if least > 0.0 {
        let root = (1.0 - a) * (1.0 - b) + NORMAL_POINT * spread.max(0.0).sqrt();
        (root / least).powi(3)
    } else {
        f64::INFINITY
    }
}

/// With more than this to gain, or where more than this share of a gradient is certain, blocks are weighted by that
/// share, and not by their share of all draws: the earlier ones were drawn too far away.
const FAR_NATS: f64 = 0.5;
/// The same after a start that was kept until a step was certain: there are few blocks to average over.
const FAR_FROM_START_NATS: f64 = 0.1;
const CERTAIN_SHARE: f64 = 0.9;

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
    /// Whether more of the latest gradient was certain than its block's share of all draws.
    was_far: bool,
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
    /// The expected square of the noise of the next `gradient`, on `own` draws, whose square is `next_square`.
    fn noise_of_next(
        &self,
        gradient: &DVector<f64>,
        next_square: f64,
        own: usize,
        square: &mut impl FnMut(&mut [f64]) -> f64,
    ) -> f64 {
        let own_square = square(self.gradient.clone().as_mut_slice());
        let square_of_sum = square((&self.gradient + gradient).as_mut_slice());
        let product = 0.5 * (square_of_sum - own_square - next_square);
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
    /// The gradients on the parts of each block, and their [inflation](BlockGradient::inflation).
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
            was_far: true,
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
        let (noise, own_square, freedom) = if let Some(held) = &mut self.held {
            held.parts
                .extend(parts.map(|parts| (parts.clone(), inflation)));
            held.n_blocks += 1.0;
            if let Some(mean) = held.mean.take() {
                gradient = &mean + (gradient - &mean) / held.n_blocks;
            }
            held.mean = Some(gradient.clone());
            let parts = held.parts.iter();
            let parts = parts.map(|(parts, inflation)| (parts, *inflation));
            let freedom = scatter_freedom(parts.clone());
            let noise = noise_from_scatter(&gradient, parts, &mut square, f64::INFINITY);
            (noise, square(gradient.clone().as_mut_slice()), freedom)
        } else {
            let own_square = square(gradient.clone().as_mut_slice());
            let least = self.least_share_to_weigh_by(own, gain_nats);
            let parts = parts.into_iter().map(|parts| (parts, inflation));
            let freedom = scatter_freedom(parts.clone());
            let ratio = certain_noise_ratio(gradient.len(), freedom);
            let most = own_square * (1.0 - least) / ratio;
            let noise = noise_from_scatter(&gradient, parts, &mut square, most);
            (noise, own_square, freedom)
        };
        let mut share = SignalShare::new(own_square, noise, gradient.len(), freedom);
        // Before the draws determine the curvature, it is the step's direction that is uncertain.
        if let Some(earlier) = self.earlier.take()
            && self.total >= gradient.len()
        {
            let noise = earlier.noise_of_next(&gradient, own_square, own, &mut square);
            let by_earlier = SignalShare::new(own_square, noise, gradient.len(), f64::INFINITY);
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
        // The scatter over parts does not show what is wrong with all of a block. A search that is far is so in
        // consecutive blocks.
        let is_far = share.certain > least;
        let is_confirmed = is_far && self.was_far;
        self.was_far = is_far;
        if !is_confirmed {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certain_ratio_is_the_point_of_the_f_distribution() {
        for (n, freedom, expected) in [
            (1, 7.0, 16.24),
            (10, 70.0, 2.85),
            (20, 140.0, 2.17),
            (10, f64::INFINITY, 2.52),
        ] {
            let ratio = certain_noise_ratio(n, freedom);
            assert!(
                (ratio / expected - 1.0).abs() < 0.03,
                "{n}, {freedom}: {ratio}"
            );
        }
        assert_eq!(certain_noise_ratio(3, 0.0), f64::INFINITY);
        assert_eq!(certain_noise_ratio(1, 1.0), f64::INFINITY);
    }
}
