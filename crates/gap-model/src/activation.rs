//! The nonlinearity between the layers of a network: its value and its derivative.

pub use gap_spec::Activation;

use tch::Tensor;

/// The activation's value.
pub fn activate(activation: Activation, pre: &Tensor) -> Tensor {
    match activation {
        Activation::Tanh => pre.tanh(),
        Activation::Relu => pre.relu(),
        Activation::Elu => pre.elu(),
    }
}

/// Replaces `pre` by the activation's value, in place.
pub(crate) fn activate_in_place(activation: Activation, pre: &mut Tensor) {
    let _ = match activation {
        Activation::Tanh => pre.tanh_(),
        Activation::Relu => pre.relu_(),
        Activation::Elu => pre.elu_(),
    };
}

/// Multiplies `gradient` by the activation's derivative `a'`, in place. The derivative is computed from
/// `value`, the activation's value `a`.
pub(crate) fn pull_back_in_place(activation: Activation, gradient: &Tensor, value: &Tensor) {
    let _ = match activation {
        // a' = 1 - a².
        Activation::Tanh => Tensor::tanh_backward_grad_input(gradient, gradient, value),
        // a' is 1 where a > 0, and 0 elsewhere.
        Activation::Relu => value.threshold_backward_grad_input(gradient, gradient, 0.0),
        // Below zero a = e^u - 1, so a' = a + 1.
        Activation::Elu => {
            Tensor::elu_backward_grad_input(gradient, gradient, 1.0, 1.0, 1.0, true, value)
        }
    };
}
