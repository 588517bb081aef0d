//! The nonlinearity between the layers of a network, forwards and backwards.

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

/// The activation's value, written over `pre`.
pub(crate) fn activate_in_place(activation: Activation, pre: &mut Tensor) {
    let _ = match activation {
        Activation::Tanh => pre.tanh_(),
        Activation::Relu => pre.relu_(),
        Activation::Elu => pre.elu_(),
    };
}

/// `gradient ∘ a'`, written over `gradient`, with the derivative `a'` computed from the
/// activation's value `a`.
pub(crate) fn pull_back_in_place(activation: Activation, gradient: &Tensor, value: &Tensor) {
    let _ = match activation {
        // 1 - a².
        Activation::Tanh => Tensor::tanh_backward_grad_input(gradient, gradient, value),
        // Where a > 0.
        Activation::Relu => value.threshold_backward_grad_input(gradient, gradient, 0.0),
        // Below zero a = e^u - 1, so a' = a + 1.
        Activation::Elu => {
            Tensor::elu_backward_grad_input(gradient, gradient, 1.0, 1.0, 1.0, true, value)
        }
    };
}
