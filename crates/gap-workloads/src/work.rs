//! The workloads, with their names and sizes.

use std::fmt;
use std::str::FromStr;

/// A workload: what it computes, and how much of it in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Adam steps on a free-form `q` that starts at the prior. Each step has new draws, independent for each
    /// datapoint.
    FreeFormSteps {
        /// The number of datapoints, `B`.
        batch: u64,
        /// Draws per datapoint and step, `S`.
        n_samples: usize,
        /// The number of steps in a run.
        steps: u32,
    },
    /// The encoder's forward pass.
    EncoderForward {
        /// The number of datapoints, `B`.
        batch: u64,
    },
    /// The encoder's forward pass, then Adam steps with one draw per datapoint.
    Refinement {
        /// The number of datapoints, `B`.
        batch: u64,
        /// The number of steps from the encoder's output.
        steps: u32,
    },
    /// The forward pass of a fitted encoder, then an experiment's default refinement: [`REFINEMENT_STEPS`]
    /// steps for [`REFINED_POINTS`] datapoints. Other libraries are asked to reach its gap too.
    RefinementToGap,
    /// The logarithm of the mean importance weight of one datapoint.
    ImportanceWeights {
        /// The number of draws, `K`.
        n_samples: u64,
    },
    /// Adam steps on a decoder and its encoder together, on minibatches, with one draw per datapoint.
    JointTraining {
        /// The number of datapoints, `B`.
        batch: u32,
        /// The number of steps in a run.
        steps: u32,
    },
    /// Annealed importance sampling from the prior, with [`ANNEALING_TRANSITIONS`] Hamiltonian transitions of
    /// each chain in a run.
    Annealing {
        /// The number of datapoints, `B`.
        batch: u64,
        /// Chains per datapoint.
        n_chains: usize,
        /// Leapfrog steps per transition.
        leapfrog_steps: u32,
    },
    /// Fits of encoders of 8 widths, with 3 seeds each, to one small linear-Gaussian model.
    SmallFits,
    /// Inference of `q` for one new observation; the encoder has been fitted beforehand.
    OneObservation(Method),
}

/// A method to infer `q` for one new observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The encoder's forward pass.
    Forward,
    /// The forward pass, then 20 averaged Newton steps.
    Refine,
    /// The whole free-form search, from the prior and from the encoder's output, until a bound on the distance
    /// to the optimum is below the tolerance.
    Reoptimise,
}

/// The widths of the encoders of [`Work::SmallFits`].
pub const SMALL_FIT_WIDTHS: [i64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
/// The number of seeds with which each encoder of [`Work::SmallFits`] is fitted.
pub const SMALL_FIT_SEEDS: u64 = 3;

/// The number of transitions of each chain in a run of [`Work::Annealing`].
pub const ANNEALING_TRANSITIONS: u64 = 20;

/// The number of datapoints of [`Work::RefinementToGap`].
pub const REFINED_POINTS: u64 = 100;
/// The number of steps of [`Work::RefinementToGap`]: with the default 32 draws, 192 joint gradients per
/// datapoint.
pub const REFINEMENT_STEPS: u32 = 6;

/// The workloads that are compared with other libraries, in the order of their names.
pub const COMPARED_WORKLOADS: [Work; 11] = [
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
    Work::RefinementToGap,
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

/// Inference for one new observation by each method, the cheapest method first.
pub const ONE_OBSERVATION_WORKLOADS: [Work; 3] = [
    Work::OneObservation(Method::Forward),
    Work::OneObservation(Method::Refine),
    Work::OneObservation(Method::Reoptimise),
];

/// All workloads: [`COMPARED_WORKLOADS`], then [`ONE_OBSERVATION_WORKLOADS`].
pub fn all() -> impl Iterator<Item = Work> {
    COMPARED_WORKLOADS
        .into_iter()
        .chain(ONE_OBSERVATION_WORKLOADS)
}

impl Work {
    /// The unit of the workload's throughput, such as `steps/s`.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::FreeFormSteps { .. } | Self::JointTraining { .. } => "steps/s",
            Self::EncoderForward { .. } | Self::Refinement { .. } | Self::RefinementToGap => {
                "points/s"
            }
            Self::ImportanceWeights { .. } => "samples/s",
            Self::Annealing { .. } => "transitions/s",
            Self::SmallFits => "jobs/s",
            Self::OneObservation(_) => "observations/s",
        }
    }

    /// The plural noun for what the throughput counts, such as `steps` or `points`. It is the name of the
    /// workload's benchmark function in criterion's results.
    pub fn counted_unit(self) -> &'static str {
        self.unit().trim_end_matches("/s")
    }

    /// The number of units, see [`Self::counted_unit`], in one run.
    pub fn units_per_run(self) -> u64 {
        match self {
            Self::FreeFormSteps { steps, .. } | Self::JointTraining { steps, .. } => steps.into(),
            Self::EncoderForward { batch } | Self::Refinement { batch, .. } => batch,
            Self::RefinementToGap => REFINED_POINTS,
            Self::ImportanceWeights { n_samples } => n_samples,
            Self::Annealing {
                batch, n_chains, ..
            } => ANNEALING_TRANSITIONS * batch * n_chains as u64,
            Self::SmallFits => SMALL_FIT_WIDTHS.len() as u64 * SMALL_FIT_SEEDS,
            Self::OneObservation(_) => 1,
        }
    }

    /// Whether the workload measures `gap-estimate`, and so belongs to that crate's benches. All other
    /// workloads belong to the benches of `gap-infer`.
    pub const fn is_estimation(self) -> bool {
        matches!(
            self,
            Self::ImportanceWeights { .. } | Self::Annealing { .. }
        )
    }

    /// The most threads that a run can use by itself, without being divided into shares.
    pub const fn max_internal_threads(self) -> u64 {
        match self {
            Self::JointTraining { .. } => 2,
            _ => 1,
        }
    }

    /// Whether the workload can be divided among threads: datapoints, draws and fits are independent of each
    /// other, but the steps of one fit or of one observation's inference are not.
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
            Self::RefinementToGap => f.pad("W3_gap"),
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

/// There is no workload of this name.
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
                "W3_gap",
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
