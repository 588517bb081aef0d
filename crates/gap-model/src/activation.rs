//! The nonlinearity between the layers of a network, forwards and backwards.

use tch::Tensor;

/// The nonlinearity between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// Rectifier.
    Relu,
    /// Exponential linear unit with `α = 1`.
    Elu,
}

impl Activation {
    /// The activation's value.
    pub fn apply(self, pre: &Tensor) -> Tensor {
        match self {
            Self::Tanh => pre.tanh(),
            Self::Relu => pre.relu(),
            Self::Elu => pre.elu(),
        }
    }

    /// The activation's value, written over `pre`.
    pub(crate) fn apply_in_place(self, pre: &mut Tensor) {
        let _ = match self {
            Self::Tanh => pre.tanh_(),
            Self::Relu => pre.relu_(),
            Self::Elu => pre.elu_(),
        };
    }

    /// `gradient ∘ a'`, written over `gradient`, with the derivative `a'` computed from the
    /// activation's value `a`.
    pub(crate) fn pull_back_in_place(self, gradient: &Tensor, value: &Tensor) {
        let _ = match self {
            // 1 - a².
            Self::Tanh => Tensor::tanh_backward_grad_input(gradient, gradient, value),
            // Where a > 0.
            Self::Relu => value.threshold_backward_grad_input(gradient, gradient, 0.0),
            // Below zero a = e^u - 1, so a' = a + 1.
            Self::Elu => {
                Tensor::elu_backward_grad_input(gradient, gradient, 1.0, 1.0, 1.0, true, value)
            }
        };
    }
}
