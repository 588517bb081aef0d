//! One loop over active datapoints; its step rules are the files below `rules`.
//!
//! Each datapoint ascends its own ELBO. What is exchangeable: the step rule, where its draws come
//! from, and when it stops; a [`gap_spec::Phase`] is one of each, a [`PhaseSchedule`] a few phases after
//! another. A step rule is told what its trial point evaluated to and answers where to evaluate next, so that
//! all datapoints are evaluated together though each searches at its own pace. A datapoint that is
//! done leaves the batch; one whose evaluation stops being finite stays where it last was finite and
//! never touches its neighbours.

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
mod stepper;
mod stopping;

pub(crate) use curvature::{NewtonPreconditioner, clamp_log_std_curvature};
pub use draws::{DrawSource, NoiseDraws};
pub use evaluation::{Evaluation, EvaluationRequest, LossGradient, WhitenedGradient};
pub use form::FamilyKind;
pub use objective::Objective;
pub use point_sets::whitened_sobol_normals;
pub use rules::best_step_rule_for_family;
pub use run::{AscentObserver, SearchState, run_phase};
pub use schedule::{PhaseSchedule, averaged_newton_phase, n_draws_for_latent_dim};
pub use stepper::{StepOutcome, Stepper};
