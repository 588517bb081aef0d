//! Refinement of a fitted encoder's output until little is left to gain, on a problem that other libraries
//! can read.
//!
//! How long a method takes to an equal gap depends on the posteriors and on where it starts. Networks,
//! observations and optima therefore go to the other libraries number for number, with what the suite's
//! refinement reaches.

use crate::problem::{FAMILY, decoder, fitted, new_encoder, observations};
use gap_data::Batch;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{
    Encoder, FreeFormInference, Inference, RefinedInference, StopReason, VariationalParams,
};
use gap_model::MlpDecoder;
use gap_spec::{Count, Family, Phase, Precision, RefinementSpec};
use gap_torch::SeedKey;
use gap_torch::checkpoint::Checkpoint;
use std::ops::Range;
use tch::Tensor;

/// The encoder is fitted to so many observations, which come before those that are refined, in so many steps.
/// Its gap is then a little above 1 nat, as with decoders of images.
const N_FITTING_POINTS: u64 = 10_000;
const N_FITTING_STEPS: u32 = 3000;

/// Limits of the search for the optima: a bound of so many nats on the distance of each datapoint, and so many
/// steps.
const OPTIMUM_TOLERANCE_NATS: f64 = 0.005;
const MAX_SEARCH_STEPS: u32 = 5000;

/// The number of refinements, each with its own draws, in [`RefinementProblem::to_checkpoint`].
const N_STORED_REFINEMENTS: u64 = 4;

/// A decoder, an encoder that was fitted to it, and observations that the encoder was not fitted to.
pub struct RefinementProblem {
    model: MlpDecoder,
    encoder: Encoder,
    batch: Batch,
}

impl RefinementProblem {
    /// Fits the encoder. The numbers `range` count observations, from 0.
    pub fn new(range: Range<u64>) -> Self {
        let model = decoder();
        let encoder = fitted(&model, new_encoder(), N_FITTING_POINTS, N_FITTING_STEPS);
        let ids = N_FITTING_POINTS + range.start..N_FITTING_POINTS + range.end;
        let batch = observations(&model, ids);
        Self {
            model,
            encoder,
            batch,
        }
    }

    /// The encoder's output: `[B, Q]`.
    pub fn encoded(&self) -> VariationalParams {
        self.encoder.encode(self.batch.x())
    }

    /// The encoder's output after `steps` steps of an experiment's default refinement: `[B, Q]`.
    pub fn refined(&self, steps: u32, key: SeedKey) -> VariationalParams {
        let refined = RefinedInference {
            family: &FAMILY,
            encoder: &self.encoder,
            phase: default_refinement(steps),
            steps: vec![steps],
        };
        let fitted = refined.infer(&self.model, &self.batch, key);
        fitted.expect("sizes fit").params
    }

    /// The optimum of each datapoint, within 0.005 nats: `[B, Q]`.
    ///
    /// # Panics
    ///
    /// If the search does not reach an optimum.
    pub fn optima(&self) -> VariationalParams {
        let search = FreeFormInference {
            family: &FAMILY,
            starts: vec![StartingPoint::Encoder(&self.encoder)],
            search: SearchMode::UntilCertified,
            tolerance_nats: OPTIMUM_TOLERANCE_NATS,
            max_steps: MAX_SEARCH_STEPS,
            precision: Precision::Full,
        };
        let key = SeedKey::root(1).for_role("optimum");
        let found = search.infer(&self.model, &self.batch, key);
        let found = found.expect("sizes fit");
        let reached = |stop: &StopReason| matches!(stop, StopReason::Converged { .. });
        assert!(found.stops.iter().all(reached), "every search converges");
        found.params
    }

    /// All that another library needs: the networks (`decoder.0.weight` and so on, `[out, in]`), the
    /// observations `x` (`[B, X]`), the optima `optimum` (`[B, Q]`) and `refined`, the default refinement with
    /// `steps` steps, several times with new draws (`[N, B, Q]`). Parameters are `(μ, log σ)`.
    pub fn to_checkpoint(&self, steps: u32) -> Checkpoint {
        let key = SeedKey::root(1).for_role("stored refinement");
        let refined = (0..N_STORED_REFINEMENTS).map(|i| self.refined(steps, key.for_index(i)).0);
        let refined: Vec<Tensor> = refined.collect();
        let mut checkpoint = Checkpoint::new();
        self.model.store(&mut checkpoint, "decoder");
        self.encoder.network().store(&mut checkpoint, "encoder");
        checkpoint.insert("x", self.batch.x());
        checkpoint.insert("optimum", &self.optima().0);
        checkpoint.insert("refined", &Tensor::stack(&refined, 0));
        checkpoint
    }
}

/// What `[refinement]` does in an experiment that only says how many steps.
fn default_refinement(steps: u32) -> Phase {
    RefinementSpec::after_steps(vec![Count::new(steps)]).phase(Family::DiagonalGaussian)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::REFINEMENT_STEPS;
    use gap_estimate::{Elbo, estimate_all};
    use tch::Device;

    #[test]
    fn the_refinement_leaves_a_small_part_of_the_encoders_gap() {
        let problem = RefinementProblem::new(0..10);
        let elbo = |params: &VariationalParams| {
            let estimator = Elbo { n_samples: 2000 };
            let (model, batch, key) = (&problem.model, &problem.batch, SeedKey::root(4));
            let estimates = estimate_all(model, &FAMILY, params, batch, &[&estimator], key);
            let estimates = &estimates.expect("sizes fit")[0];
            estimates
                .iter()
                .map(|estimate| estimate.value_nats)
                .sum::<f64>()
                / batch.len() as f64
        };
        // The draws of all three are the same, so that the noise of a difference is a few thousandths of a nat.
        let optimum = elbo(&problem.optima());
        let before = optimum - elbo(&problem.encoded());
        let after = optimum - elbo(&problem.refined(REFINEMENT_STEPS, SeedKey::root(5)));
        assert!((0.5..3.0).contains(&before), "{before}");
        assert!((0.0..0.08).contains(&after), "{after}");
    }

    #[test]
    fn the_stored_problem_is_the_one_that_is_refined() {
        let problem = RefinementProblem::new(0..2);
        let stored = problem.to_checkpoint(1).to_bytes().unwrap();
        let stored = Checkpoint::from_bytes(&stored).unwrap();
        let get = |name: &str| stored.get(name, Device::Cpu).unwrap();
        let mut value = get("x");
        for i in 0..3 {
            let weight = get(&format!("encoder.{i}.weight"));
            value = value.matmul(&weight.tr()) + get(&format!("encoder.{i}.bias"));
            if i < 2 {
                value = value.tanh();
            }
        }
        let difference = (value - problem.encoded().0).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        assert_eq!(get("decoder.2.weight").size(), [784, 200]);
        assert_eq!(get("optimum").size(), [2, 100]);
        assert_eq!(get("refined").size(), [N_STORED_REFINEMENTS as i64, 2, 100]);
    }
}
