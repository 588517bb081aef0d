//! Inference for one new observation at a time: a workload for each method.

use crate::problem::{FAMILY, N_TRAINING_POINTS, decoder, fitted_encoder, observations};
use crate::work::Method;
use gap_data::Batch;
use gap_infer::ascent::averaged_newton_phase;
use gap_infer::free_form::{SearchMode, StartingPoint};
use gap_infer::{
    AmortizedInference, Encoder, FittedBatch, FreeFormInference, Inference, RefinedInference,
};
use gap_model::MlpDecoder;
use gap_spec::{NoiseSource, Phase, Precision, StoppingRule};
use gap_torch::SeedKey;
use tch::Kind;

/// The number of refinement steps, and the number of draws per step; the latter is the default of an
/// experiment.
const REFINEMENT_STEPS: u32 = 20;
const REFINEMENT_DRAWS: usize = 32;

/// The tolerance of the search, in nats, and its limit on steps: both are the defaults of an experiment.
const SEARCH_TOLERANCE_NATS: f64 = 0.01;
const MAX_SEARCH_STEPS: u32 = 5000;

/// Sets up the workload and returns the function that runs it. A run infers `q` by `method` for an observation
/// that the encoder was not fitted to. Each run has new draws, and returns the sum of the parameters of `q`.
pub fn one_observation(method: Method) -> impl FnMut(SeedKey) -> f64 {
    let problem = OneObservationProblem::new();
    move |key| {
        let params = problem.infer(method, key).params;
        params.0.sum(Kind::Double).double_value(&[])
    }
}

struct OneObservationProblem {
    model: MlpDecoder,
    encoder: Encoder,
    observation: Batch,
}

impl OneObservationProblem {
    fn new() -> Self {
        let model = decoder();
        let encoder = fitted_encoder(&model);
        let observation = observations(&model, N_TRAINING_POINTS..N_TRAINING_POINTS + 1);
        Self {
            model,
            encoder,
            observation,
        }
    }

    fn infer(&self, method: Method, key: SeedKey) -> FittedBatch {
        let encoder = &self.encoder;
        let with = |inference: &dyn Inference| inference.infer(&self.model, &self.observation, key);
        let fitted = match method {
            Method::Forward => with(&AmortizedInference {
                family: &FAMILY,
                encoder,
            }),
            Method::Refine => with(&RefinedInference {
                family: &FAMILY,
                encoder,
                phase: refinement_phase(),
                steps: vec![REFINEMENT_STEPS],
            }),
            Method::Reoptimise => with(&FreeFormInference {
                family: &FAMILY,
                starts: vec![StartingPoint::Prior, StartingPoint::Encoder(encoder)],
                search: SearchMode::UntilCertified,
                tolerance_nats: SEARCH_TOLERANCE_NATS,
                max_steps: MAX_SEARCH_STEPS,
                precision: Precision::Mixed,
            }),
        };
        fitted.expect("sizes fit")
    }
}

fn refinement_phase() -> Phase {
    Phase {
        noise: NoiseSource::Sequence,
        stopping: StoppingRule::Never,
        precision: Precision::Mixed,
        ..averaged_newton_phase(REFINEMENT_DRAWS, 0.0, REFINEMENT_STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gap_infer::StopReason;

    #[test]
    fn each_method_does_what_its_name_says() {
        let problem = OneObservationProblem::new();
        let key = SeedKey::root(3);
        let stop = |method| problem.infer(method, key).stops[0];
        assert!(matches!(
            stop(Method::Forward),
            StopReason::Direct { steps: 0 }
        ));
        assert!(matches!(
            stop(Method::Refine),
            StopReason::Direct {
                steps: REFINEMENT_STEPS
            }
        ));
        let search = stop(Method::Reoptimise);
        assert!(matches!(search, StopReason::Converged { .. }), "{search:?}");
    }
}
