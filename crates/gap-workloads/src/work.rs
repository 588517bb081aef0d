//! The workloads by name, with their sizes.

use std::fmt;
use std::str::FromStr;

/// A workload: what is computed, and how much of it in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Adam steps of a free-form `q`, from the prior, new independent draws in each.
    FreeFormSteps {
        /// `B`.
        batch: u64,
        /// `S`.
        n_samples: usize,
        /// Steps in a run.
        steps: u32,
    },
    /// The encoder's forward pass.
    EncoderForward {
        /// `B`.
        batch: u64,
    },
    /// The encoder's forward pass, then Adam steps with one draw each.
    Refinement {
        /// `B`.
        batch: u64,
        /// Steps from the encoder's output.
        steps: u32,
    },
    /// The log mean of the importance weights of one datapoint.
    ImportanceWeights {
        /// `K`.
        n_samples: u64,
    },
    /// Steps of Adam on a decoder and its encoder, on minibatches, with one draw each.
    JointTraining {
        /// `B`.
        batch: u32,
        /// Steps in a run.
        steps: u32,
    },
    /// Hamiltonian transitions along an annealing path from the prior, [`ANNEALING_TRANSITIONS`] of each
    /// chain in a run.
    Annealing {
        /// `B`.
        batch: u64,
        /// Chains per datapoint.
        n_chains: usize,
        /// Leapfrog steps of a transition.
        leapfrog_steps: u32,
    },
    /// Fits of encoders of 8 sizes with 3 seeds each to one small linear-Gaussian model.
    SmallFits,
    /// `q` for one new observation, with a model and an encoder that are fitted already.
    OneObservation(Method),
}

/// How `q` is found for one new observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The encoder's forward pass.
    Forward,
    /// The forward pass, and 20 averaged Newton steps: the default refinement.
    Refine,
    /// The whole free-form search, from the prior and from the encoder, until it is certified.
    Reoptimise,
}

/// The widths of the encoders of [`Work::SmallFits`].
pub const SMALL_FIT_WIDTHS: [i64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
/// How often each of them is fitted.
pub const SMALL_FIT_SEEDS: u64 = 3;

/// Transitions of each chain in a run of [`Work::Annealing`].
pub const ANNEALING_TRANSITIONS: u64 = 20;

/// The workloads that are compared with other libraries, in the order of their names.
pub const COMPARED_WORKLOADS: [Work; 10] = [
    Work::FreeFormSteps {
        batch: 100,
        n_samples: 10,
        steps: 20,
    },
    Work::FreeFormSteps {
        batch: 1000,
        n_samples: 1,
        steps: 20,
    },
    Work::FreeFormSteps {
        batch: 32,
        n_samples: 1,
        steps: 200,
    },
    Work::EncoderForward { batch: 1000 },
    Work::Refinement {
        batch: 100,
        steps: 20,
    },
    Work::ImportanceWeights { n_samples: 1000 },
    Work::ImportanceWeights { n_samples: 100_000 },
    Work::JointTraining {
        batch: 100,
        steps: 100,
    },
    Work::Annealing {
        batch: 100,
        n_chains: 16,
        leapfrog_steps: 10,
    },
    Work::SmallFits,
];

/// Inference for one new observation by each method, from the cheapest on.
pub const ONE_OBSERVATION_WORKLOADS: [Work; 3] = [
    Work::OneObservation(Method::Forward),
    Work::OneObservation(Method::Refine),
    Work::OneObservation(Method::Reoptimise),
];

/// All workloads: those that are compared, then those of one observation.
pub fn all() -> impl Iterator<Item = Work> {
    COMPARED_WORKLOADS
        .into_iter()
        .chain(ONE_OBSERVATION_WORKLOADS)
}

impl Work {
    /// What is counted, per second.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::FreeFormSteps { .. } | Self::JointTraining { .. } => "steps/s",
            Self::EncoderForward { .. } | Self::Refinement { .. } => "points/s",
            Self::ImportanceWeights { .. } => "samples/s",
            Self::Annealing { .. } => "transitions/s",
            Self::SmallFits => "jobs/s",
            Self::OneObservation(_) => "observations/s",
        }
    }

    /// The things that are counted: `steps`, `points`; the function of its bench.
    pub fn counted_unit(self) -> &'static str {
        self.unit().trim_end_matches("/s")
    }

    /// How many of them one run is.
    pub fn units_per_run(self) -> u64 {
        match self {
            Self::FreeFormSteps { steps, .. } | Self::JointTraining { steps, .. } => steps.into(),
            Self::EncoderForward { batch } | Self::Refinement { batch, .. } => batch,
            Self::ImportanceWeights { n_samples } => n_samples,
            Self::Annealing {
                batch, n_chains, ..
            } => ANNEALING_TRANSITIONS * batch * n_chains as u64,
            Self::SmallFits => SMALL_FIT_WIDTHS.len() as u64 * SMALL_FIT_SEEDS,
            Self::OneObservation(_) => 1,
        }
    }

    /// Whether it is of `gap-estimate`, whose benches it is then among.
    pub const fn is_estimation(self) -> bool {
        matches!(
            self,
            Self::ImportanceWeights { .. } | Self::Annealing { .. }
        )
    }

    /// Threads of its own that it can put to use.
    pub const fn max_internal_threads(self) -> u64 {
        match self {
            Self::JointTraining { .. } => 2,
            _ => 1,
        }
    }

    /// Whether two threads can each do a half: datapoints, draws and fits are independent, the steps
    /// of one fit and the search for one observation are not.
    pub const fn is_divisible(self) -> bool {
        !matches!(self, Self::JointTraining { .. } | Self::OneObservation(_))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FreeFormSteps {
                batch, n_samples, ..
            } => write!(f, "W1_B{batch}_S{n_samples}"),
            Self::EncoderForward { batch } => write!(f, "W2_batch{batch}"),
            Self::Refinement { batch, steps } => write!(f, "W3_B{batch}_K{steps}"),
            Self::ImportanceWeights { n_samples } => write!(f, "W4_K{n_samples}"),
            Self::JointTraining { batch, .. } => write!(f, "W5_B{batch}"),
            Self::Annealing {
                batch,
                n_chains,
                leapfrog_steps,
            } => write!(f, "W6_{batch}x{n_chains}_L{leapfrog_steps}"),
            Self::SmallFits => write!(f, "W7_{}jobs", self.units_per_run()),
            Self::OneObservation(method) => write!(f, "one_observation_{method}"),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Refine => "refine",
            Self::Reoptimise => "reoptimise",
        })
    }
}

impl FromStr for Work {
    type Err = UnknownWork;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = all().find(|work| work.to_string() == name);
        found.ok_or_else(|| UnknownWork(name.to_owned()))
    }
}

/// There is no workload of that name.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownWork(String);

impl fmt::Display for UnknownWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = all().map(|work| work.to_string()).collect();
        let names = names.join(", ");
        write!(f, "no workload is named `{}`; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownWork {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_published_comparison() {
        let names = COMPARED_WORKLOADS.map(|work| work.to_string());
        assert_eq!(
            names,
            [
                "W1_B100_S10",
                "W1_B1000_S1",
                "W1_B32_S1",
                "W2_batch1000",
                "W3_B100_K20",
                "W4_K1000",
                "W4_K100000",
                "W5_B100",
                "W6_100x16_L10",
                "W7_24jobs",
            ]
        );
    }

    #[test]
    fn every_workload_is_found_by_its_name() {
        for work in all() {
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        let unknown = "W8".parse::<Work>().unwrap_err().to_string();
        assert!(
            unknown.contains("`W8`") && unknown.ends_with("one_observation_reoptimise"),
            "{unknown}"
        );
    }
}
