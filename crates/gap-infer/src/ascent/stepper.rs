//! What a step rule is told of its trial, and what it answers.

use super::draws::NoiseDraws;
use super::evaluation::Evaluation;

/// One datapoint's search, told of one evaluation at a time.
pub trait Stepper {
    /// The `λ` to be evaluated next.
    fn params_to_evaluate(&self) -> &[f64];

    /// The `λ` to end with, if the search ended now.
    fn current_solution(&self) -> &[f64];

    /// The `λ` to end with, now that the stopping rule is met.
    ///
    /// A rule whose steps have kept their promises takes the last small one unevaluated: on decoders
    /// of digits with 2 to 50 dimensions the default search then needs 3 to 10% fewer joint gradients.
    fn converged_solution(&self) -> &[f64] {
        self.current_solution()
    }

    /// Takes the finite `evaluation` of the trial on `draws`, and sets the next trial.
    fn update_with_evaluation(
        &mut self,
        evaluation: &Evaluation,
        draws: &NoiseDraws,
    ) -> StepOutcome;
}

/// What a step rule made of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepOutcome {
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
