//! The step rules. To add one, write a file here with an `impl` of [`Stepper`], add a row to the table in
//! [`gap_spec::step_rule`], and extend the functions below.

mod adam;
mod averaged_newton;
mod block_weights;
mod blocks;
mod damped;
mod full_newton;
mod lbfgs;
mod natural_gradient;
mod newton_stein;

pub(crate) use full_newton::scale_factor;

use super::evaluation::EvaluationRequest;
use super::form::FamilyKind;
use super::stepper::Stepper;
use crate::family::VariationalFamily;
use gap_spec::{Phase, StepRule, StoppingRule};

/// The most effective step rule that supports `family`.
pub fn best_step_rule_for_family(family: &dyn VariationalFamily) -> StepRule {
    let is_gaussian =
        family.as_diagonal_gaussian().is_some() || family.as_full_gaussian().is_some();
    if is_gaussian {
        StepRule::AveragedNewton
    } else {
        StepRule::Adam
    }
}

/// Creates one datapoint's search, from `params` by the rule of `phase`.
pub(super) fn new_stepper(phase: &Phase, form: FamilyKind, params: Vec<f64>) -> Box<dyn Stepper> {
    // A promised gain above this does not end the phase, so that a larger one need not be known.
    let skip_undamped_above_nats = match phase.stopping {
        StoppingRule::Decrement => phase.below_nats,
        _ => f64::INFINITY,
    };
    match (phase.rule, form) {
        (StepRule::AveragedNewton, FamilyKind::Full(family)) => {
            let dim = family.latent_dim() as usize;
            let keeps_start = phase.keeps_start_until_certain;
            Box::new(full_newton::StochasticFullGaussianNewton::new(
                params,
                dim,
                keeps_start,
            ))
        }
        (StepRule::Lbfgs, _) => Box::new(lbfgs::Lbfgs::new(params)),
        (StepRule::NewtonStein, _) => Box::new(newton_stein::NewtonSteinStepper::new(
            params,
            skip_undamped_above_nats,
        )),
        (StepRule::AveragedNewton, _) => Box::new(averaged_newton::StochasticNewton::new(
            params,
            phase.keeps_start_until_certain,
        )),
        (StepRule::NaturalGradient, _) => Box::new(natural_gradient::NaturalGradientStepper::new(
            params,
            skip_undamped_above_nats,
        )),
        (StepRule::Adam, _) => Box::new(adam::Adam::new(phase.adam, params)),
    }
}

/// What `rule` needs an evaluation to compute.
pub(super) const fn evaluation_request_for_rule(rule: StepRule) -> EvaluationRequest {
    match rule {
        StepRule::Lbfgs => lbfgs::EVALUATION_REQUEST,
        StepRule::NewtonStein | StepRule::NaturalGradient => damped::EVALUATION_REQUEST,
        StepRule::AveragedNewton => averaged_newton::EVALUATION_REQUEST,
        StepRule::Adam => adam::EVALUATION_REQUEST,
    }
}
