//! The interface of step rules: a rule proposes a trial `λ`, and proposes the next from its evaluation.

use super::evaluation::Evaluation;

/// One datapoint's search, which is advanced by one evaluation at a time.
pub trait Stepper {
    /// The `λ` to be evaluated next.
    fn params_to_evaluate(&self) -> &[f64];

    /// The result `λ` if the search ended now.
    fn current_solution(&self) -> &[f64];

    /// The result `λ` once the stopping rule is met.
    ///
    /// Damped rules, whose predicted gains are checked at every step, return the next trial: the last small
    /// step is taken without an evaluation. On decoders of digits with 2 to 50 dimensions the default search
    /// then needs 3 to 10% fewer joint gradients.
    fn converged_solution(&self) -> &[f64] {
        self.current_solution()
    }

    /// Processes the trial's `evaluation`, which must be finite, and sets the next
    /// trial.
    fn update_with_evaluation(&mut self, evaluation: Evaluation) -> StepOutcome;
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepOutcome {
    /// The trial was rejected; another one must be evaluated.
    Searching,
    /// The trial was accepted as the new iterate.
    Iterate {
        /// The predicted gain of the step from this iterate, nats; NaN for a rule without predictions.
        decrement: f64,
    },
    /// No step that would gain was found.
    Stuck,
}
