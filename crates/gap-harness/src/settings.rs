//! From settings of a spec to those of fits, searches and refinements.

use crate::context::Context;
use crate::encoders::FittedEncoder;
use crate::error::RunError;
use crate::stage_id::StageId;
use gap_infer::ascent::{AdamSettings, Noise, Rule, Schedule, Stopping};
use gap_infer::free_form::{FIRST_TOLERANCE, Search, StartingPoint};
use gap_infer::train::Training;
use gap_infer::{FreeForm, VariationalFamily};
use gap_spec::{
    Ascent, AscentSpec, FreeFormSpec, NoiseSource, Phase, Precision, Protocol, Start, StepRule,
    StoppingRule, TrainingSpec,
};

/// Where searches start: the model's own encoder is there if one of them starts from it.
pub struct Starts<'a> {
    pub starts: &'a [Start],
    companion: Option<FittedEncoder>,
}

impl<'a> Starts<'a> {
    /// The starts of a search under a model, with the model's encoder where it is one of them.
    pub fn load(starts: &'a [Start], model: &StageId, context: &Context) -> Result<Self, RunError> {
        let companion = if starts.contains(&Start::Encoder) {
            Some(context.encoder(model)?)
        } else {
            None
        };
        Ok(Self { starts, companion })
    }

    /// A start as a search has it.
    pub fn starting_point(&self, start: Start) -> StartingPoint<'_> {
        match (start, &self.companion) {
            (Start::Encoder, Some(fitted)) => StartingPoint::Encoder(&fitted.encoder),
            _ => StartingPoint::Prior,
        }
    }

    /// The search that `spec` asks for, from these starts.
    pub fn search<'b>(
        &'b self,
        spec: &FreeFormSpec,
        family: &'b dyn VariationalFamily,
    ) -> FreeForm<'b> {
        let starts = self.starts.iter();
        FreeForm {
            family,
            starts: starts.map(|&start| self.starting_point(start)).collect(),
            search: search(spec),
            tolerance_nats: spec.tolerance_nats.get(),
            max_steps: spec.max_steps.get(),
            precision: precision(spec.precision),
        }
    }
}

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
fn search(spec: &FreeFormSpec) -> Search {
    match spec.protocol {
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
pub fn ascent_schedule(
    spec: &AscentSpec,
    dim: usize,
    tolerance_nats: f64,
    precision_of_gradients: Precision,
) -> Schedule {
    let max_steps = spec.max_steps.get();
    match spec.ascent(precision_of_gradients) {
        Ascent::Protocol(Protocol::Default) => {
            Schedule::default_for(dim, FIRST_TOLERANCE * tolerance_nats, max_steps)
        }
        Ascent::Protocol(Protocol::AdamCremer2018) => Schedule::adam_cremer_2018(max_steps),
        Ascent::Steps(steps) => Schedule {
            phases: vec![phase(&steps)],
        },
    }
    .with_precision(precision(precision_of_gradients))
}

/// A phase of an ascent.
pub fn phase(phase: &Phase) -> gap_infer::ascent::Phase {
    let below_nats = phase.below_nats;
    gap_infer::ascent::Phase {
        rule: match phase.rule {
            StepRule::Lbfgs => Rule::Lbfgs,
            StepRule::NewtonStein => Rule::NewtonStein,
            StepRule::AveragedNewton => Rule::AveragedNewton,
            StepRule::NaturalGradient => Rule::NaturalGradient,
            StepRule::Adam => Rule::Adam(AdamSettings {
                learning_rate: phase.adam.learning_rate,
                averaged: phase.adam.averaged,
                log_variance: phase.adam.log_variance,
                epsilon: phase.adam.epsilon,
            }),
        },
        noise: match phase.noise {
            NoiseSource::Fixed => Noise::Fixed,
            NoiseSource::Sequence => Noise::Sequence,
            NoiseSource::GrowingSequence => Noise::GrowingSequence,
            NoiseSource::Fresh => Noise::Fresh,
            NoiseSource::Independent => Noise::Independent,
        },
        n_samples: phase.n_samples as usize,
        stopping: match phase.stopping {
            StoppingRule::Decrement => Stopping::Decrement { below_nats },
            StoppingRule::AveragedDecrement => Stopping::AveragedDecrement { below_nats },
            StoppingRule::Plateau => Stopping::CREMER_2018,
            StoppingRule::Never => Stopping::Never,
        },
        max_steps: phase.max_steps,
        precision: precision(phase.precision),
    }
}
