//! Phases after one another: the default, and the protocols of others.

use gap_spec::{AdamSettings, NoiseSource, Phase, Precision, StepRule, StoppingRule};
use std::fmt;

/// Draws with which a search begins.
const MIN_DRAWS: usize = 16;

/// A few phases after one another.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseSchedule {
    /// The phases.
    pub phases: Vec<Phase>,
}

impl PhaseSchedule {
    /// The default: Newton-Stein on few fixed draws until 0.1 nats are promised, then averaged Newton
    /// until `tolerance_nats`. Where 16 draws do not span the latent space, L-BFGS goes before, and
    /// Newton-Stein takes more draws and goes on until 0.01.
    ///
    /// No constant of it depends on the model, and only the numbers of draws on `dim`.
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
            vec![fixed(StepRule::NewtonStein, n_samples, 0.1, 60)]
        } else {
            vec![
                fixed(StepRule::Lbfgs, MIN_DRAWS, 0.1, 60),
                fixed(StepRule::NewtonStein, n_samples, 0.01, 60),
            ]
        };
        phases.push(averaged_newton_phase(
            2 * n_samples,
            tolerance_nats,
            max_steps,
        ));
        Self { phases }
    }

    /// The local optimisation of Cremer et al. 2018, as their code has it: Adam at 1e-3 in
    /// `(μ, log σ²)`, 50 independent draws, mean loss over blocks of 100 steps, the end after more
    /// than 10 blocks without improvement. Theirs starts at the prior.
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

    /// The same with gradients of this precision, where they are asked for without a value.
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

/// Averaged Newton on blocks of `n_samples` draws and more.
pub fn averaged_newton_phase(n_samples: usize, tolerance_nats: f64, max_steps: u32) -> Phase {
    Phase {
        noise: NoiseSource::GrowingSequence,
        n_samples: n_samples as u32,
        stopping: StoppingRule::AveragedDecrement,
        below_nats: tolerance_nats,
        ..Phase::new(StepRule::AveragedNewton, max_steps)
    }
}

/// The least power of two that is at least 16 and at least 1.25 draws for each dimension: enough to
/// see the whole curvature.
pub const fn n_draws_for_latent_dim(dim: usize) -> usize {
    let enough = (5 * dim).div_ceil(4);
    (if enough < MIN_DRAWS {
        MIN_DRAWS
    } else {
        enough
    })
    .next_power_of_two()
}
