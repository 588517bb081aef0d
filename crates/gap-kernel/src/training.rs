//! A perceptron in training: the forward pass, the backward pass to its weights, and a step of Adam.
//!
//! The learned `parameters` have 32 bits and are the same for both precisions. A `workspace`, for one
//! instruction set and precision, holds the rest: the weights as factors (`factors`), and the values and
//! gradients of a batch. So the precision can change between any two steps, at the cost of a new workspace.

#[cfg(target_arch = "x86_64")]
mod backward_pass;
#[cfg(target_arch = "x86_64")]
mod factors;
#[cfg(target_arch = "x86_64")]
mod forward;
mod parameters;
mod path;
#[cfg(target_arch = "x86_64")]
mod steps;
#[cfg(target_arch = "x86_64")]
mod workspace;

use crate::instructions::Instructions;
use crate::network::{Layer, check_layers};
use gap_spec::Activation;
use gap_spec::Precision;
use parameters::LearnedNetwork;
pub use path::LikelihoodTarget;
use path::{InputRows, TrainingPath};

/// A perceptron that is trained by Adam (see [`crate::adam`]).
///
/// The same steps from the same weights give the same bits.
pub struct FusedTraining {
    learned: LearnedNetwork,
    /// The workspace, created when it is first needed.
    path: Option<Box<dyn TrainingPath>>,
    instructions: Instructions,
    precision: Precision,
    /// The number of rows of the forward pass that the next step learns from.
    n_rows: usize,
    /// Whether a backward pass has been done whose step has not been taken yet.
    has_gradient: bool,
}

impl FusedTraining {
    /// Starts from the weights in `layers`, with `activation` between them, and in full precision. A step
    /// learns from at most `most_rows` rows. `None` if this machine does not support `instructions`.
    ///
    /// # Panics
    ///
    /// If layers are missing, empty, or do not fit each other.
    pub fn new(
        layers: &[Layer<'_>],
        activation: Activation,
        most_rows: usize,
        instructions: Instructions,
    ) -> Option<Self> {
        check_layers(layers);
        let is_there = instructions.is_supported();
        let learned = is_there
            .then(|| new_learned_network(layers, activation, most_rows, instructions))??;
        Some(Self {
            path: None,
            learned,
            instructions,
            precision: Precision::Full,
            n_rows: 0,
            has_gradient: false,
        })
    }

    /// The learned parameters and the workspace, which is created if it does not exist.
    fn network_and_training_path(&mut self) -> (&mut LearnedNetwork, &mut dyn TrainingPath) {
        let make = || new_training_path(&self.learned, self.instructions, self.precision);
        if self.path.is_none() {
            self.path = make();
        }
        let path = self.path.as_mut();
        let path = path.expect("its instructions are there, or it would not have been made");
        (&mut self.learned, path.as_mut())
    }

    /// Takes the next steps in `precision`, from the weights and moments as they are now.
    ///
    /// [`Precision::Mixed`] uses 16-bit factors in all three products: forward, backward, and the gradient with
    /// respect to the weights. Weights, moments and all computations between products keep 32 bits. If the
    /// processor has no instructions for 16-bit factors, steps stay in full precision: see
    /// [`FusedTraining::precision`].
    ///
    /// If the precision changes, a pass whose step has not been taken is discarded.
    pub fn set_precision(&mut self, precision: Precision) {
        let precision = if self.instructions.has_bf16() {
            precision
        } else {
            Precision::Full
        };
        if precision != self.precision {
            (self.path, self.precision) = (None, precision);
            (self.n_rows, self.has_gradient) = (0, false);
        }
    }

    /// The precision that steps are taken in.
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the output of each row: `[N, in] -> [N, out]`.
    ///
    /// # Panics
    ///
    /// If the length of `input` is not a multiple of the number of inputs, or there are too many rows.
    pub fn forward(&mut self, input: &[f32]) -> Vec<f32> {
        let n_rows = self.count_input_rows(input);
        let mut output = vec![0.0; n_rows * self.learned.n_outputs()];
        self.forward_into(input, &mut output);
        output
    }

    /// Writes the output of each row, `[N, in] -> [N, out]`, and allocates nothing but the workspace, when it
    /// is first needed.
    ///
    /// # Panics
    ///
    /// As [`FusedTraining::forward`], or if `output` does not have `N · out` elements.
    pub fn forward_into(&mut self, input: &[f32], output: &mut [f32]) {
        let input = InputRows {
            data: input,
            rows: None,
        };
        self.forward_input_rows(input, output);
    }

    /// Writes the output of each of the `rows` of `data`, `[M, in]`: `[N], [M, in] -> [N, out]`.
    ///
    /// # Panics
    ///
    /// As [`FusedTraining::forward_into`], or if a row does not exist.
    pub fn forward_selected_rows(&mut self, data: &[f32], rows: &[usize], output: &mut [f32]) {
        let rows = Some(rows);
        self.forward_input_rows(InputRows { data, rows }, output);
    }

    fn forward_input_rows(&mut self, input: InputRows<'_>, output: &mut [f32]) {
        let n_inputs = self.learned.n_inputs();
        assert_eq!(
            input.data.len() % n_inputs,
            0,
            "rows are as long as the input"
        );
        let n_rows = input.n_rows(n_inputs);
        assert!(n_rows <= self.learned.most_rows, "not too many rows");
        let len = n_rows * self.learned.n_outputs();
        assert_eq!(output.len(), len, "each output has its place");
        (self.n_rows, self.has_gradient) = (n_rows, false);
        let (learned, path) = self.network_and_training_path();
        path.forward(learned, input, output);
    }

    /// Takes one step of Adam up an objective, given its `gradient` with respect to the latest output,
    /// `[N, out]`. The objective's gradient with respect to the input is written to `in_input`, `[N, in]`, if
    /// that is given.
    ///
    /// # Panics
    ///
    /// If `gradient` or `in_input` has another length.
    pub fn ascend_from_output_gradient(
        &mut self,
        gradient: &[f32],
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    ) {
        let len = self.n_rows * self.learned.n_outputs();
        assert_eq!(gradient.len(), len, "a gradient for each output");
        self.check_input_gradient_len(self.n_rows, in_input.as_deref());
        let (learned, path) = self.network_and_training_path();
        path.ascend_from_output_gradient(learned, gradient, learning_rate, in_input);
    }

    /// Takes one step of Adam up `scale · Σ log p(x | z)`, the sum over a decoder's rows `z`, `[N, D]`. The
    /// gradient with respect to `z`, at the weights before the step, is written to `in_input` if that is given.
    ///
    /// It has the effect of [`FusedTraining::forward`] followed by
    /// [`FusedTraining::ascend_from_output_gradient`] with the gradient `scale · (x − mean) / dispersion`,
    /// which is computed here in the epilogue of the last product.
    ///
    /// # Panics
    ///
    /// If lengths do not fit, there are too many rows, or an observation does not exist.
    pub fn ascend_log_likelihood(
        &mut self,
        z: &[f32],
        observed: &LikelihoodTarget<'_>,
        learning_rate: f64,
        in_input: Option<&mut [f32]>,
    ) {
        self.forward_and_backward(z, observed, in_input);
        self.take_pending_step(learning_rate);
    }

    /// Does all of [`FusedTraining::ascend_log_likelihood`] but the Adam step, which is left to
    /// [`FusedTraining::take_pending_step`]. Another thread can take it while this one uses the gradient with
    /// respect to `z`.
    ///
    /// # Panics
    ///
    /// As [`FusedTraining::ascend_log_likelihood`].
    pub fn forward_and_backward(
        &mut self,
        z: &[f32],
        observed: &LikelihoodTarget<'_>,
        in_input: Option<&mut [f32]>,
    ) {
        self.check_observed_and_reset(z, observed, in_input.as_deref());
        let (learned, path) = self.network_and_training_path();
        path.forward_and_backward(learned, z, observed, in_input);
        self.has_gradient = true;
    }

    /// Takes the step that [`FusedTraining::forward_and_backward`] has left pending.
    ///
    /// # Panics
    ///
    /// If no step is pending.
    pub fn take_pending_step(&mut self, learning_rate: f64) {
        assert!(self.has_gradient, "a step comes after a backward pass");
        self.has_gradient = false;
        let (learned, path) = self.network_and_training_path();
        path.take_pending_step(learned, learning_rate);
    }

    /// Whether all weights and biases are finite.
    pub fn is_finite(&self) -> bool {
        self.learned.is_finite()
    }

    /// All weights and biases with Adam's moments, and the number of steps so far. Padding, and so
    /// their number, depends on the instructions.
    pub fn copy_state(&self) -> (Vec<f32>, i32) {
        (self.learned.copy_state(), self.learned.n_steps)
    }

    /// Goes back to what [`FusedTraining::copy_state`] returned. `false`, with nothing changed, if that has
    /// another number of parameters; nothing else is compared.
    #[must_use]
    pub fn restore_state(&mut self, state: &[f32], n_steps: i32) -> bool {
        let is_restored = self.learned.restore_state(state, n_steps);
        if is_restored {
            // The workspace has the weights as factors.
            self.path = None;
            (self.n_rows, self.has_gradient) = (0, false);
        }
        is_restored
    }

    /// Copies the weight (`[out, in]`) and bias of each layer as they are now.
    pub fn copy_layers(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        self.learned.copy_layers()
    }

    /// Returns the number of rows of `input`; panics if its length does not fit or there are too many.
    fn count_input_rows(&self, input: &[f32]) -> usize {
        let n_inputs = self.learned.n_inputs();
        assert_eq!(input.len() % n_inputs, 0, "rows are as long as the input");
        let n_rows = input.len() / n_inputs;
        assert!(n_rows <= self.learned.most_rows, "not too many rows");
        n_rows
    }

    fn check_observed_and_reset(
        &mut self,
        z: &[f32],
        observed: &LikelihoodTarget<'_>,
        in_input: Option<&[f32]>,
    ) {
        let (n_rows, n_outputs) = (self.count_input_rows(z), self.learned.n_outputs());
        let x = observed.x;
        assert_eq!(
            x.len() % n_outputs,
            0,
            "rows of x are as long as the output"
        );
        assert_eq!(observed.rows.len(), n_rows, "each row has its observation");
        let is_there = |&row: &usize| row < x.len() / n_outputs;
        assert!(
            observed.rows.iter().all(is_there),
            "an observation is there"
        );
        self.check_input_gradient_len(n_rows, in_input);
        // This pass overwrites the one that `ascend_from_output_gradient` would learn from.
        (self.n_rows, self.has_gradient) = (0, false);
    }

    fn check_input_gradient_len(&self, n_rows: usize, in_input: Option<&[f32]>) {
        if let Some(in_input) = in_input {
            let len = n_rows * self.learned.n_inputs();
            assert_eq!(in_input.len(), len, "a gradient for each input");
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn new_learned_network(
    layers: &[Layer<'_>],
    activation: Activation,
    most_rows: usize,
    instructions: Instructions,
) -> Option<LearnedNetwork> {
    use crate::avx2::Lanes8;
    use crate::avx512::Lanes16;
    Some(match instructions {
        Instructions::Avx512 => LearnedNetwork::new::<Lanes16>(layers, activation, most_rows),
        Instructions::Avx2 => LearnedNetwork::new::<Lanes8>(layers, activation, most_rows),
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn new_learned_network(
    _: &[Layer<'_>],
    _: Activation,
    _: usize,
    _: Instructions,
) -> Option<LearnedNetwork> {
    None
}

/// Creates a workspace; this processor must support `instructions`.
#[cfg(target_arch = "x86_64")]
fn new_training_path(
    learned: &LearnedNetwork,
    instructions: Instructions,
    precision: Precision,
) -> Option<Box<dyn TrainingPath>> {
    use crate::avx2::Avx2;
    use crate::avx512::{Avx512, Avx512Bf16};
    use workspace::Workspace;
    Some(match (instructions, precision) {
        (Instructions::Avx512, Precision::Full) => Box::new(Workspace::<Avx512>::new(learned)),
        (Instructions::Avx2, Precision::Full) => Box::new(Workspace::<Avx2>::new(learned)),
        (_, Precision::Mixed) if instructions.has_bf16() => {
            Box::new(Workspace::<Avx512Bf16>::new(learned))
        }
        (_, Precision::Mixed) => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn new_training_path(
    _: &LearnedNetwork,
    _: Instructions,
    _: Precision,
) -> Option<Box<dyn TrainingPath>> {
    None
}
