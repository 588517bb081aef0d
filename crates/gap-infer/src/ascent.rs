//! One loop over active datapoints; its step rules are the files below.
//!
//! Each datapoint ascends its own ELBO. What is exchangeable: the step rule, where its draws come
//! from, and when it stops; a [`Phase`] is one of each, a [`Schedule`] a few phases after another. A
//! step rule is told what its trial point evaluated to and answers where to evaluate next, so that
//! all datapoints are evaluated together though each searches at its own pace. A datapoint that is
//! done leaves the batch; one whose evaluation stops being finite stays where it last was finite and
//! never touches its neighbours.

mod adam;
mod averaged_newton;
mod blocks;
mod curvature;
mod damped;
mod draws;
mod full_newton;
mod lbfgs;
mod natural_gradient;
mod newton_stein;
mod objective;
mod point_sets;
mod schedule;
mod stopping;

pub use adam::{AdamSettings, EPSILON as ADAM_EPSILON};
pub(crate) use curvature::{NewtonMetric, least_curvature};
pub use draws::{DrawSource, Draws, Noise};
pub use gap_model::Precision;
pub use objective::{Evaluation, Form, Objective, Wanted};
pub use point_sets::whitened_sobol;
pub use schedule::{Phase, Schedule, averaged_newton, draws_for};
pub use stopping::Stopping;

use crate::family::VariationalFamily;
use crate::inference::InferError;
use gap_torch::SeedKey;
use std::fmt;
use std::time::Instant;
use stopping::StopWatch;

/// One datapoint's search, told of one evaluation at a time.
pub trait StepRule {
    /// The `λ` to be evaluated next.
    fn trial(&self) -> &[f64];

    /// The `λ` to end with, if the search ended now.
    fn answer(&self) -> &[f64];

    /// The `λ` to end with, now that the stopping rule is met.
    ///
    /// A rule whose steps have kept their promises takes the last small one unevaluated: on decoders
    /// of digits with 2 to 50 dimensions the default search then needs 3 to 10% fewer joint gradients.
    fn end(&self) -> &[f64] {
        self.answer()
    }

    /// Takes the finite `evaluation` of the trial on `draws`, and sets the next trial.
    fn tell(&mut self, evaluation: &Evaluation, draws: &Draws) -> Progress;
}

/// What a step rule made of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// The trial was refused; another is to be evaluated.
    Searching,
    /// The trial is the new iterate.
    Iterate {
        /// What the next step promises to gain, nats; NaN for a rule that cannot tell.
        decrement: f64,
    },
    /// No step is left that would gain.
    Stuck,
}

/// The step rules by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Limited-memory quasi-Newton with backtracking, on fixed draws.
    Lbfgs,
    /// Damped Newton steps with Stein's curvature, on fixed draws.
    NewtonStein,
    /// Newton steps averaged over blocks of new draws.
    AveragedNewton,
    /// The damped natural gradient, on fixed draws.
    NaturalGradient,
    /// Adam.
    Adam(AdamSettings),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lbfgs => "lbfgs",
            Self::NewtonStein => "newton-stein",
            Self::AveragedNewton => "averaged-newton",
            Self::NaturalGradient => "natural-gradient",
            Self::Adam(_) => "adam",
        })
    }
}

impl Rule {
    /// The rule whose steps go furthest for `family`.
    pub fn best_for(family: &dyn VariationalFamily) -> Self {
        let is_gaussian =
            family.as_diagonal_gaussian().is_some() || family.as_full_gaussian().is_some();
        if is_gaussian {
            Self::AveragedNewton
        } else {
            Self::Adam(AdamSettings::FLOWS)
        }
    }

    fn start(self, form: Form, params: Vec<f64>) -> Box<dyn StepRule> {
        match (self, form) {
            (Self::AveragedNewton, Form::Full(family)) => {
                let dim = family.latent_dim() as usize;
                Box::new(full_newton::FullNewton::new(params, dim))
            }
            (Self::Lbfgs, _) => Box::new(lbfgs::Lbfgs::new(params)),
            (Self::NewtonStein, _) => Box::new(newton_stein::Rule::new(params)),
            (Self::AveragedNewton, _) => Box::new(averaged_newton::AveragedNewton::new(params)),
            (Self::NaturalGradient, _) => Box::new(natural_gradient::Rule::new(params)),
            (Self::Adam(settings), _) => Box::new(adam::Adam::new(settings, params)),
        }
    }

    const fn wanted(self) -> Wanted {
        match self {
            Self::Lbfgs => lbfgs::WANTED,
            Self::NewtonStein | Self::NaturalGradient => damped::WANTED,
            Self::AveragedNewton => averaged_newton::WANTED,
            Self::Adam(_) => adam::WANTED,
        }
    }
}

/// Where a datapoint's ascent stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Climber {
    /// `λ`.
    pub params: Vec<f64>,
    /// Evaluations so far.
    pub steps: u32,
    /// Joint gradients so far.
    pub joint_gradients: u64,
    /// Its share of the wall time so far, seconds.
    pub seconds: f64,
    /// The evaluation that was not finite, if there was one.
    pub failed_at: Option<u32>,
    /// Whether its last phase ended by that phase's stopping rule.
    pub stopped: bool,
}

impl Climber {
    /// A datapoint that has not moved from `params`.
    pub const fn at(params: Vec<f64>) -> Self {
        Self {
            params,
            steps: 0,
            joint_gradients: 0,
            seconds: 0.0,
            failed_at: None,
            stopped: false,
        }
    }

    /// How much a posterior that looks like the `q` here would lose by the `q` of `other`, nats, to
    /// the second order; both are diagonal Gaussians.
    pub(crate) fn distance_nats(&self, other: &Self) -> f64 {
        let (a, b) = (&self.params, &other.params);
        let dim = a.len() / 2;
        (0..dim)
            .map(|i| {
                let shift = (a[i] - b[i]) / a[dim + i].exp();
                0.5 * shift.powi(2) + (a[dim + i] - b[dim + i]).powi(2)
            })
            .sum()
    }
}

/// Is shown all datapoints after each round of evaluations; its time is not counted.
pub type Watcher<'a> = dyn FnMut(&[Climber]) + 'a;

/// Takes the climbers `rows` (positions in the objective's batch, whose datapoints are `ids`)
/// through `phase`. Failed ones stay where they are.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn climb(
    objective: &mut Objective,
    phase: &Phase,
    rows: &[usize],
    climbers: &mut [Climber],
    ids: &[u64],
    key: SeedKey,
    watcher: &mut Watcher,
) -> Result<(), InferError> {
    let mut clock = Instant::now();
    let of_rule = phase.rule.wanted();
    let wanted = Wanted {
        loss: of_rule.loss || phase.stopping.reads_loss(),
        precision: phase.precision,
        ..of_rule
    };
    let form = objective.form();
    let mut source = DrawSource::new(phase.noise, phase.n_samples, objective.noise_dim(), key);
    let mut active: Vec<Active> = rows
        .iter()
        .filter(|&&row| climbers[row].failed_at.is_none())
        .map(|&row| Active {
            row,
            rule: phase.rule.start(form, climbers[row].params.clone()),
            watch: StopWatch::new(phase.stopping),
        })
        .collect();
    for active in &active {
        climbers[active.row].stopped = false;
    }
    for step in 0..phase.max_steps {
        if active.is_empty() {
            break;
        }
        let active_rows: Vec<usize> = active.iter().map(|a| a.row).collect();
        let active_ids: Vec<u64> = active_rows.iter().map(|&row| ids[row]).collect();
        let draws = source.at(step, &active_ids);
        let trials: Vec<&[f64]> = active.iter().map(|a| a.rule.trial()).collect();
        let evaluations = objective.evaluate(&active_rows, &trials, draws, wanted)?;
        let mut evaluations = evaluations.into_iter();
        active.retain_mut(|active| {
            let evaluation = evaluations.next().expect("one evaluation for each row");
            let climber = &mut climbers[active.row];
            climber.steps += 1;
            climber.joint_gradients += draws.n_samples() as u64;
            if !evaluation.is_finite(wanted) {
                climber.failed_at = Some(climber.steps);
                return false;
            }
            let progress = active.rule.tell(&evaluation, draws);
            climber.params.copy_from_slice(active.rule.answer());
            climber.stopped = active.watch.done(progress, &evaluation, draws.n_samples());
            if climber.stopped && progress != Progress::Stuck {
                climber.params.copy_from_slice(active.rule.end());
            }
            !climber.stopped
        });
        let share = clock.elapsed().as_secs_f64() / active_rows.len() as f64;
        for row in active_rows {
            climbers[row].seconds += share;
        }
        watcher(climbers);
        clock = Instant::now();
    }
    Ok(())
}

struct Active {
    row: usize,
    rule: Box<dyn StepRule>,
    watch: StopWatch,
}
