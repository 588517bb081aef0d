//! `p(x | z)` given the decoder's output: its value, and what its gradient in that output is made of.

use crate::model::ModelError;
use gap_torch::NoiseStream;
use std::f64::consts::TAU;
use tch::{Kind, Tensor};

/// A likelihood with independent observed dimensions, whose gradient in the decoder's output is
/// `(x − mean(output)) / dispersion`.
///
/// That is so where `log p(x | η) = (x η − A(η)) / φ + c(x)` and the decoder gives `η`: the mean of
/// `x` is then `A'(η)` (Nelder and Wedderburn 1972, "Generalized Linear Models"). As the gradient is
/// affine in `x`, its part in `x` can be taken through the last layer once per observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Likelihood {
    /// Binary observations from logits: `mean = σ(output)`, `dispersion = 1`.
    Bernoulli,
    /// Real observations `N(output, std² I)`: `mean = output`, `dispersion = std²`.
    Gaussian {
        /// The standard deviation of each observed dimension: positive and finite.
        std: f64,
    },
}

impl Likelihood {
    /// `log p(x | output)`, nats, summed in `f64`: `[N, X], [N, X] -> [N]`.
    pub fn log_prob(self, x: &Tensor, output: &Tensor) -> Tensor {
        let sum = |terms: Tensor| terms.sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double);
        match self {
            // x l - log(1 + e^l).
            Self::Bernoulli => {
                let mut terms = x * output;
                terms -= output.softplus();
                sum(terms)
            }
            Self::Gaussian { std } => {
                let constant = 0.5 * output.size()[1] as f64 * (TAU * std.powi(2)).ln();
                sum((x - output).square()) * (-0.5 / std.powi(2)) - constant
            }
        }
    }

    /// The variance of an observation over the derivative of its mean in the output.
    pub(crate) fn dispersion(self) -> f64 {
        match self {
            Self::Bernoulli => 1.0,
            Self::Gaussian { std } => std.powi(2),
        }
    }

    /// The mean of `x`, written over `output`.
    ///
    /// Needs no value of the likelihood: for a Bernoulli it is `σ(l)`, without a softplus.
    pub(crate) fn mean_in_place(self, output: &mut Tensor) {
        match self {
            Self::Bernoulli => {
                let _ = output.sigmoid_();
            }
            Self::Gaussian { .. } => (),
        }
    }

    /// `∂ log p(x | output) / ∂ output`: `[N, X], [N, X] -> [N, X]`.
    pub fn residual(self, x: &Tensor, output: &Tensor) -> Tensor {
        let mut mean = output.copy();
        self.mean_in_place(&mut mean);
        (x - mean) / self.dispersion()
    }

    /// One observation for each row of `output`, `[B, X]`, with draws from `noise`.
    pub fn sample(self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        match self {
            Self::Bernoulli => {
                let uniform = noise.uniform(1, output.size()[1]).squeeze_dim(0);
                uniform.lt_tensor(&output.sigmoid()).to_kind(output.kind())
            }
            Self::Gaussian { std } => {
                let normal = noise.normal(1, output.size()[1]).squeeze_dim(0);
                output + normal.to_kind(output.kind()) * std
            }
        }
    }

    /// Whether the likelihood has a density at every row of `x` (`[B, X]`).
    ///
    /// # Errors
    ///
    /// [`ModelError::OffSupport`] for the first row where it has none.
    pub fn check_support(self, x: &Tensor) -> Result<(), ModelError> {
        let (name, needs, inside) = match self {
            Self::Bernoulli => (
                "the Bernoulli likelihood",
                "0 or 1 (use a binarized data set)",
                x.eq(0.0).logical_or(&x.eq(1.0)),
            ),
            Self::Gaussian { .. } => ("the Gaussian likelihood", "finite", x.isfinite()),
        };
        refuse_outside(x, &inside, name, needs)
    }
}

/// Refuses the first value of `x` at which `inside` is false.
fn refuse_outside(
    x: &Tensor,
    inside: &Tensor,
    likelihood: &'static str,
    needs: &'static str,
) -> Result<(), ModelError> {
    let places = inside.logical_not().nonzero();
    if places.size()[0] == 0 {
        return Ok(());
    }
    let (row, column) = (places.int64_value(&[0, 0]), places.int64_value(&[0, 1]));
    Err(ModelError::OffSupport {
        likelihood,
        needs,
        row,
        value: x.double_value(&[row, column]),
    })
}
