//! The ascent of every datapoint's own ELBO, in one loop over the datapoints that are not done yet.
//!
//! The step rule (see `rules`), the source of its draws and the stopping rule can be exchanged: a
//! [`gap_spec::Phase`] has one of each, and a [`PhaseSchedule`] is a sequence of phases. A step rule receives
//! the evaluation of its trial point and answers with the next trial point, so that all datapoints are
//! evaluated together although each searches at its own pace. A datapoint that is done leaves the batch. One
//! whose evaluation is not finite leaves it too, with the parameters that it had before that evaluation, and
//! does not affect the others.

mod coordinates;
mod curvature;
mod draws;
mod evaluation;
mod form;
mod objective;
mod point_sets;
mod rules;
mod run;
mod schedule;
mod scored_block;
mod stepper;
mod stopping;

pub(crate) use curvature::{EstimatedCurvature, cholesky_of_damped, log_std_distance_per_gradient};
pub use draws::{DrawNumber, DrawSource, DrawSpace, NoiseDraws, gaussian_proposal_std};
pub use evaluation::{Evaluation, EvaluationRequest, LossGradient, WhitenedGradient};
pub use form::FamilyKind;
pub use objective::Objective;
pub use point_sets::whitened_sobol_normals;
pub use rules::best_step_rule_for_family;
pub(crate) use rules::scale_factor;
pub use run::{AscentObserver, SearchState, run_phase};
pub use schedule::{PhaseSchedule, averaged_newton_phase, n_draws_for_latent_dim};
pub use stepper::{StepOutcome, Stepper};
