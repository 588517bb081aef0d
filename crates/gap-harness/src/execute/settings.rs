//! From specs to the settings of fits, searches and refinements.

use gap_infer::ascent::{AdamSettings, Noise, Phase, Rule, Schedule, Stopping, averaged_newton};
use gap_infer::free_form::{FIRST_TOLERANCE, Search};
use gap_infer::train::Training;
use gap_schema::spec::{
    AscentKind, AscentSpec, FreeFormSpec, NoiseSource, Precision, Protocol, RefinementRule,
    RefinementSpec, StepRule, StoppingRule, TrainingSpec,
};

/// The optimiser's settings of a spec.
pub const fn training(spec: &TrainingSpec, threads: usize) -> Training {
    Training {
        steps: spec.steps.get(),
        batch_size: spec.batch_size.get(),
        learning_rate: spec.learning_rate.get(),
        n_samples: spec.n_samples.get(),
        precision: precision(spec.precision),
        threads,
    }
}

/// How free-form ascents go on.
pub fn search(spec: &FreeFormSpec) -> Search {
    match spec.protocol.get_ref() {
        Protocol::Default => Search::UntilCertified,
        Protocol::AdamCremer2018 => Search::Once(Schedule::adam_cremer_2018(spec.max_steps.get())),
    }
}

/// How exact a product is far from an end.
pub const fn precision(spec: Precision) -> gap_infer::ascent::Precision {
    match spec {
        Precision::Mixed => gap_infer::ascent::Precision::Half,
        Precision::Full => gap_infer::ascent::Precision::Full,
    }
}

/// An ascent that is compared with others.
pub fn ascent_schedule(spec: &AscentSpec, dim: usize, tolerance_nats: f64) -> Schedule {
    let max_steps = spec.max_steps.get();
    match spec.kind() {
        AscentKind::Protocol(Protocol::Default) => {
            Schedule::default_for(dim, FIRST_TOLERANCE * tolerance_nats, max_steps)
        }
        AscentKind::Protocol(Protocol::AdamCremer2018) => Schedule::adam_cremer_2018(max_steps),
        AscentKind::Rule {
            rule,
            noise,
            n_samples,
            stopping,
            below_nats,
            learning_rate,
            averaged,
        } => Schedule {
            phases: vec![Phase {
                rule: match rule {
                    StepRule::Lbfgs => Rule::Lbfgs,
                    StepRule::NewtonStein => Rule::NewtonStein,
                    StepRule::AveragedNewton => Rule::AveragedNewton,
                    StepRule::NaturalGradient => Rule::NaturalGradient,
                    StepRule::Adam => Rule::Adam(adam(learning_rate, averaged)),
                },
                noise: noise_of(noise),
                n_samples: n_samples as usize,
                stopping: match stopping {
                    StoppingRule::Decrement => Stopping::Decrement { below_nats },
                    StoppingRule::AveragedDecrement => Stopping::AveragedDecrement { below_nats },
                    StoppingRule::Plateau => Stopping::CREMER_2018,
                    StoppingRule::Never => Stopping::Never,
                },
                max_steps,
                precision: gap_infer::ascent::Precision::Full,
            }],
        },
    }
}

const fn noise_of(noise: NoiseSource) -> Noise {
    match noise {
        NoiseSource::Fixed => Noise::Fixed,
        NoiseSource::Sequence => Noise::Sequence,
        NoiseSource::GrowingSequence => Noise::GrowingSequence,
        NoiseSource::Fresh => Noise::Fresh,
        NoiseSource::Independent => Noise::Independent,
    }
}

const fn adam(learning_rate: f64, averaged: bool) -> AdamSettings {
    AdamSettings {
        learning_rate,
        averaged,
        log_variance: false,
        epsilon: gap_infer::ascent::ADAM_EPSILON,
    }
}

/// The steps that refine an encoder's `q`.
pub fn refinement(spec: &RefinementSpec) -> Phase {
    let n_samples = spec.n_samples.get_ref().get() as usize;
    let max_steps = spec.numbers_of_steps().last().copied().unwrap_or(0);
    match spec.rule() {
        RefinementRule::AveragedNewton => Phase {
            noise: Noise::Sequence,
            stopping: Stopping::Never,
            precision: precision(spec.precision),
            ..averaged_newton(n_samples, 0.0, max_steps)
        },
        RefinementRule::Adam => Phase {
            rule: Rule::Adam(adam(spec.learning_rate(), true)),
            noise: Noise::Fresh,
            n_samples,
            stopping: Stopping::Never,
            max_steps,
            precision: precision(spec.precision),
        },
    }
}
