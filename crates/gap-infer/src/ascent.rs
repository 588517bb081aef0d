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
mod coordinates;
mod curvature;
mod damped;
mod draws;
mod evaluation;
mod form;
mod full_newton;
mod lbfgs;
mod natural_gradient;
mod newton_stein;
mod objective;
mod point_sets;
mod run;
mod schedule;
mod step_rule;
mod stopping;

pub use adam::{AdamSettings, EPSILON as ADAM_EPSILON};
pub(crate) use curvature::{NewtonMetric, least_curvature};
pub use draws::{DrawSource, Noise, NoiseDraws};
pub use evaluation::{Evaluation, EvaluationRequest, Gradient, WhitenedGradient};
pub use form::Form;
pub use gap_model::Precision;
pub use objective::Objective;
pub use point_sets::whitened_sobol;
pub use run::{Observer, SearchState, run_phase};
pub use schedule::{Phase, Schedule, averaged_newton, draws_for};
pub use step_rule::{Progress, StepRule};
pub use stopping::Stopping;

use crate::family::VariationalFamily;
use std::fmt;

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

    const fn request(self) -> EvaluationRequest {
        match self {
            Self::Lbfgs => lbfgs::REQUEST,
            Self::NewtonStein | Self::NaturalGradient => damped::REQUEST,
            Self::AveragedNewton => averaged_newton::REQUEST,
            Self::Adam(_) => adam::REQUEST,
        }
    }
}
