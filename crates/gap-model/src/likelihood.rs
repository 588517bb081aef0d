//! `p(x | z)` given the decoder's output: its value and its gradient in that output.

use crate::model::ModelError;
use gap_torch::NoiseStream;
use tch::{Kind, Tensor};

/// A likelihood with independent observed dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// Binary observations from logits.
    Bernoulli,
}

impl Likelihood {
    /// `log p(x | output)`, nats, summed in `f64`: `[N, X], [N, X] -> [N]`.
    pub fn log_prob(self, x: &Tensor, output: &Tensor) -> Tensor {
        match self {
            // x l - log(1 + e^l).
            Self::Bernoulli => (x * output - output.softplus()).sum_dim_intlist(
                [-1_i64].as_slice(),
                false,
                Kind::Double,
            ),
        }
    }

    /// `∂ log p(x | output) / ∂ output`: `[N, X], [N, X] -> [N, X]`.
    ///
    /// Needs no value: for a Bernoulli it is `x − σ(l)`, without a softplus.
    pub fn residual(self, x: &Tensor, output: &Tensor) -> Tensor {
        match self {
            Self::Bernoulli => x - output.sigmoid(),
        }
    }

    /// One observation for each row of `output`, `[B, X]`, with uniform draws from `noise`.
    pub fn sample(self, output: &Tensor, noise: &mut NoiseStream) -> Tensor {
        match self {
            Self::Bernoulli => {
                let uniform = noise.uniform(1, output.size()[1]).squeeze_dim(0);
                uniform.lt_tensor(&output.sigmoid()).to_kind(output.kind())
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
        };
        refuse_outside(x, &inside, name, needs)
    }
}

/// Refuses the first value of `x` at which `inside` is false.
pub(crate) fn refuse_outside(
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
