//! Sets up workloads, so that they can be run.

use crate::one_observation::one_observation;
use crate::problem::{
    FAMILY, LATENT_DIM, N_TRAINING_POINTS, decoder, encoder, linear_gaussian, observations,
    training_set,
};
use crate::refinement_problem::RefinementProblem;
use crate::work::{
    ANNEALING_TRANSITIONS, REFINED_POINTS, REFINEMENT_STEPS, SMALL_FIT_SEEDS, SMALL_FIT_WIDTHS,
    Work,
};
use gap_data::Batch;
use gap_estimate::{Annealing, HmcSettings, ImportanceWeighted, InitialGaussian, estimate_all};
use gap_infer::ascent::{Objective, SearchState, run_phase};
use gap_infer::train::{fit_decoder_and_encoder, fit_encoder};
use gap_infer::{DiagonalGaussian, Encoder, VariationalFamily};
use gap_model::{Activation, MlpDecoder};
use gap_spec::{
    AdamSettings, Count, NoiseSource, ObjectiveSpec, Phase, Positive, Precision, StepRule,
    TrainingSpec,
};
use gap_torch::SeedKey;
use std::ops::Range;
use tch::{Device, Kind};

/// A part of a workload: the whole, or one of several shares, each of which runs on a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of this share: 0, 1, …, `of − 1`.
    pub part: u64,
    /// The number of shares that the workload is divided into.
    pub of: u64,
}

impl Share {
    /// The whole workload.
    pub const WHOLE: Self = Self { part: 0, of: 1 };

    /// The part of `0..n` that belongs to this share.
    const fn range(self, n: u64) -> Range<u64> {
        self.part * n / self.of..(self.part + 1) * n / self.of
    }
}

/// A workload that is set up and ready to run. Each run does the same amount of work, with new draws.
pub struct Workload {
    run: Box<dyn FnMut(SeedKey) -> f64>,
    key: SeedKey,
    n_runs: u64,
}

impl Workload {
    /// Sets up the whole of `work`.
    pub fn new(work: Work) -> Self {
        Self::share(work, Share::WHOLE, 1)
    }

    /// Sets up a share of `work`; all shares together do the work of the whole, on the same datapoints.
    /// `own_threads` is the number of threads that this share may use, which matters only for
    /// [`Work::JointTraining`].
    ///
    /// # Panics
    ///
    /// If `work` cannot be divided and `share` is not the whole.
    pub fn share(work: Work, share: Share, own_threads: u64) -> Self {
        assert!(
            work.is_divisible() || share == Share::WHOLE,
            "{work} cannot be divided"
        );
        let run: Box<dyn FnMut(SeedKey) -> f64> = match work {
            Work::FreeFormSteps {
                batch,
                n_samples,
                steps,
            } => Box::new(free_form_steps(share.range(batch), n_samples, steps)),
            Work::EncoderForward { batch } => Box::new(encoder_forward(share.range(batch))),
            Work::Refinement { batch, steps } => Box::new(refinement(share.range(batch), steps)),
            Work::RefinementToGap => Box::new(refinement_to_gap(share.range(REFINED_POINTS))),
            Work::ImportanceWeights { n_samples } => {
                let range = share.range(n_samples);
                Box::new(importance_weights(range.end - range.start))
            }
            Work::JointTraining { batch, steps } => {
                Box::new(joint_training(batch, steps, own_threads))
            }
            Work::Annealing {
                batch,
                n_chains,
                leapfrog_steps,
            } => Box::new(annealing(share.range(batch), n_chains, leapfrog_steps)),
            Work::SmallFits => Box::new(small_fits(share)),
            Work::OneObservation(method) => Box::new(one_observation(method)),
        };
        Self {
            run,
            key: SeedKey::root(2).for_index(share.part),
            n_runs: 0,
        }
    }

    /// Runs the workload once, with new draws.
    ///
    /// Returns a number that depends on all of the work: if the caller uses it, the compiler cannot remove any
    /// of the work.
    pub fn run(&mut self) -> f64 {
        self.n_runs += 1;
        (self.run)(self.key.for_index(self.n_runs))
    }
}

/// Adam with learning rate 1e-2 in `(μ, log σ)`, with independent draws for each datapoint.
const fn adam_phase(n_samples: u32, steps: u32) -> Phase {
    Phase {
        adam: AdamSettings::new(1e-2, false),
        noise: NoiseSource::Independent,
        n_samples,
        precision: Precision::Mixed,
        ..Phase::new(StepRule::Adam, steps)
    }
}

fn free_form_steps(ids: Range<u64>, n_samples: usize, steps: u32) -> impl FnMut(SeedKey) -> f64 {
    let model = decoder();
    let batch = observations(&model, ids);
    let phase = adam_phase(n_samples as u32, steps);
    let prior_like = vec![0.0; 2 * LATENT_DIM as usize];
    move |key| {
        let starts = vec![prior_like.clone(); batch.len()];
        ends_of_adam(&model, &batch, starts, &phase, key)
    }
}

/// Takes the steps of `phase` from the parameters `starts` of each datapoint, and returns the sum of the
/// parameters.
fn ends_of_adam(
    model: &MlpDecoder,
    batch: &Batch,
    starts: Vec<Vec<f64>>,
    phase: &Phase,
    key: SeedKey,
) -> f64 {
    let mut objective = Objective::new(model, batch.x()).expect("sizes fit");
    let mut states: Vec<SearchState> = starts.into_iter().map(SearchState::starting_at).collect();
    let rows: Vec<usize> = (0..batch.len()).collect();
    run_phase(
        &mut objective,
        phase,
        &rows,
        &mut states,
        batch.ids(),
        key,
        &mut |_| (),
    )
    .expect("sizes fit");
    states.iter().flat_map(|state| &state.params).sum()
}

fn encoder_forward(ids: Range<u64>) -> impl FnMut(SeedKey) -> f64 {
    let batch = observations(&decoder(), ids);
    let encoder = encoder();
    move |_| {
        encoder
            .encode(batch.x())
            .0
            .sum(Kind::Double)
            .double_value(&[])
    }
}

/// The steps alone, as in the other libraries. [`gap_infer::RefinedInference`] would compare the ends of Adam's
/// steps with the encoder's output, on draws that cost many times as much as the steps.
fn refinement(ids: Range<u64>, steps: u32) -> impl FnMut(SeedKey) -> f64 {
    let model = decoder();
    let batch = observations(&model, ids);
    let encoder = encoder();
    move |key| {
        let encoded = encoder.encode(batch.x()).to_rows();
        ends_of_adam(&model, &batch, encoded, &adam_phase(1, steps), key)
    }
}

fn refinement_to_gap(ids: Range<u64>) -> impl FnMut(SeedKey) -> f64 {
    let problem = RefinementProblem::new(ids);
    move |key| {
        let params = problem.refined(REFINEMENT_STEPS, key);
        params.0.sum(Kind::Double).double_value(&[])
    }
}

fn importance_weights(n_samples: u64) -> impl FnMut(SeedKey) -> f64 {
    let model = decoder();
    let batch = observations(&model, 0..1);
    let params = FAMILY.standard_normal_params(1, Device::Cpu);
    move |key| {
        let estimator = ImportanceWeighted { n_samples };
        estimate_all(&model, &FAMILY, &params, &batch, &[&estimator], key).expect("sizes fit")[0][0]
            .value_nats
    }
}

/// Annealing from the prior, with the step size that `scripts/peers/` uses (`LEAPFROG_STEP`).
fn annealing(ids: Range<u64>, n_chains: usize, leapfrog_steps: u32) -> impl FnMut(SeedKey) -> f64 {
    let model = decoder();
    let batch = observations(&model, ids);
    let last = ANNEALING_TRANSITIONS as f64 + 1.0;
    let annealing = Annealing {
        inverse_temperatures: (0..ANNEALING_TRANSITIONS + 2)
            .map(|t| t as f64 / last)
            .collect(),
        n_chains,
        transitions: HmcSettings {
            leapfrog_steps,
            precision: Precision::Mixed,
        },
        step_size: Some(0.05),
    };
    let prior = InitialGaussian::standard_normal_prior(batch.len(), LATENT_DIM as usize);
    move |key| {
        let estimates = annealing.forward(&model, &prior, &batch, key, &|_| ());
        let estimates = estimates.expect("sizes fit");
        estimates.iter().map(|estimate| estimate.value_nats).sum()
    }
}

fn joint_training(batch_size: u32, steps: u32, n_threads: u64) -> impl FnMut(SeedKey) -> f64 {
    let mut model = decoder();
    let data = training_set(&model, N_TRAINING_POINTS);
    let mut encoder = encoder();
    let training = TrainingSpec {
        steps: Count::new(steps),
        batch_size: Count::new(batch_size),
        learning_rate: Positive::new(1e-3),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    move |key| {
        fit_decoder_and_encoder(
            &mut model,
            &FAMILY,
            &mut encoder,
            &data,
            (&training, n_threads as usize),
            key,
            &|_| (),
        )
        .expect("the fit stays finite");
        encoder.network().parameters()[0]
            .sum(Kind::Double)
            .double_value(&[])
    }
}

fn small_fits(share: Share) -> impl FnMut(SeedKey) -> f64 {
    let model = linear_gaussian();
    let data = training_set(&model, 500);
    let family = DiagonalGaussian::new(2);
    let training = TrainingSpec {
        steps: Count::new(300),
        batch_size: Count::new(64),
        learning_rate: Positive::new(1e-2),
        n_samples: Count::new(1),
        precision: Precision::Mixed,
    };
    // Fits are dealt out to the shares in turn. With up to `SMALL_FIT_SEEDS` shares, every share has fits of
    // every width.
    let jobs: Vec<(i64, u64)> = SMALL_FIT_WIDTHS
        .iter()
        .flat_map(|&width| (0..SMALL_FIT_SEEDS).map(move |seed| (width, seed)))
        .enumerate()
        .filter(|(i, _)| *i as u64 % share.of == share.part)
        .map(|(_, job)| job)
        .collect();
    move |key| {
        let fit = |&(width, seed): &(i64, u64)| {
            let key = key.for_index(width as u64).for_index(seed);
            let tanh = Activation::Tanh;
            let mut encoder =
                Encoder::with_random_layers(10, &[width], &family, tanh, key, Device::Cpu);
            fit_encoder(
                &model,
                &family,
                &mut encoder,
                &data,
                (&training, &ObjectiveSpec::ELBO),
                key,
                &|_| (),
            )
            .expect("the fit stays finite");
            encoder.network().parameters()[0]
                .sum(Kind::Double)
                .double_value(&[])
        };
        jobs.iter().map(fit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::all;

    #[test]
    fn every_workload_runs_to_a_finite_number() {
        for work in all() {
            let value = Workload::new(work).run();
            assert!(value.is_finite(), "{work}: {value}");
        }
    }

    #[test]
    fn shares_make_up_the_whole_and_new_runs_draw_anew() {
        let shares = [0, 1, 2].map(|part| Share { part, of: 3 }.range(100));
        assert_eq!(shares, [0..33, 33..66, 66..100]);
        let mut workload = Workload::new(Work::ImportanceWeights { n_samples: 10 });
        assert_ne!(workload.run(), workload.run());
    }
}
