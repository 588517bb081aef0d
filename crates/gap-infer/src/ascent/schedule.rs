//! Sequences of phases: the default, and the protocol of Cremer et al. 2018.

use gap_spec::{AdamSettings, NoiseSource, Phase, Precision, StepRule, StoppingRule};
use std::fmt;

/// The fewest draws per evaluation in the default schedule.
const MIN_DRAWS: usize = 16;

/// A sequence of phases.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseSchedule {
    /// The phases, in the order in which they are run.
    pub phases: Vec<Phase>,
}

impl PhaseSchedule {
    /// The default: Newton-Stein steps on 16 fixed draws until the predicted gain is below 0.1 nats, then
    /// averaged Newton steps until the remaining gain is estimated to be below `tolerance_nats`.
    ///
    /// In more than 12 dimensions, 16 draws are too few for the curvature. L-BFGS on 16 draws then comes first,
    /// and Newton-Stein takes more draws and continues until 0.01 nats. The schedule does not depend on the
    /// model.
    pub fn default_for_latent_dim(dim: usize, tolerance_nats: f64, max_steps: u32) -> Self {
        let n_samples = n_draws_for_latent_dim(dim);
        let fixed = |rule, n_samples: usize, below_nats, most: u32| Phase {
            noise: NoiseSource::Fixed,
            n_samples: n_samples as u32,
            stopping: StoppingRule::Decrement,
            below_nats,
            ..Phase::new(rule, most.min(max_steps))
        };
        let mut phases = if n_samples == MIN_DRAWS {
            vec![fixed(StepRule::NewtonStein, n_samples, 0.1, 600)]
        } else {
            vec![
                fixed(StepRule::Lbfgs, MIN_DRAWS, 0.1, 60),
                fixed(StepRule::NewtonStein, n_samples, 0.01, 600),
            ]
        };
        phases.push(averaged_newton_phase(
            2 * n_samples,
            tolerance_nats,
            max_steps,
        ));
        Self { phases }
    }

    /// The local optimisation of Cremer et al. 2018, as in their code: Adam at 1e-3 in `(μ, log σ²)` with 50
    /// independent draws. It stops when the mean loss over a block of 100 steps has not improved for more than
    /// 10 blocks. Their ascent starts at the prior; here the caller chooses the start.
    pub fn adam_cremer_2018(max_steps: u32) -> Self {
        Self {
            phases: vec![Phase {
                adam: AdamSettings {
                    log_variance: true,
                    ..AdamSettings::new(1e-3, false)
                },
                noise: NoiseSource::Independent,
                n_samples: 50,
                stopping: StoppingRule::Plateau,
                ..Phase::new(StepRule::Adam, max_steps)
            }],
        }
    }

    /// This schedule with gradients of the given precision; evaluations that also compute the value of the loss
    /// keep full precision.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        for phase in &mut self.phases {
            phase.precision = precision;
        }
        self
    }
}

impl fmt::Display for PhaseSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases: Vec<String> = self.phases.iter().map(Phase::to_string).collect();
        f.pad(&phases.join(" + "))
    }
}

/// Averaged Newton steps on blocks of `n_samples` draws, later four times as many, until the remaining gain is
/// estimated to be below `tolerance_nats`.
pub fn averaged_newton_phase(n_samples: usize, tolerance_nats: f64, max_steps: u32) -> Phase {
    Phase {
        noise: NoiseSource::GrowingSequence,
        n_samples: n_samples as u32,
        stopping: StoppingRule::AveragedDecrement,
        below_nats: tolerance_nats,
        ..Phase::new(StepRule::AveragedNewton, max_steps)
    }
}

/// The lowest power of two that is at least 16 and at least `1.25 dim`: enough draws to estimate the whole
/// curvature.
pub const fn n_draws_for_latent_dim(dim: usize) -> usize {
    let enough = (5 * dim).div_ceil(4);
    (if enough < MIN_DRAWS {
        MIN_DRAWS
    } else {
        enough
    })
    .next_power_of_two()
}
