//! `∇_λ ELBO` from the score, for any family.
//!
//! Fits of encoders pull the score back in the same way (see [`crate::train`]). An ascent takes the gradient,
//! with the curvature, from [`crate::ascent::Objective`].

use crate::family::{VariationalFamily, VariationalParams};
use crate::inference::InferError;
use gap_model::LatentVariableModel;
use tch::Tensor;

/// Returns `∇_λ L[q]` of each datapoint, without a graph: `[B, X], [S, B | 1, D] -> [B, Q]`.
///
/// `L[q] = E_q[log p(x, z)] + H[q]`. The first term's gradient is the score pulled back through the
/// reparameterisation (Kingma and Welling 2014, §2.4); that of the entropy is exact, or estimated on the same
/// draws. This costs `S` joint gradients for each datapoint, and never differentiates the decoder with respect
/// to its weights.
///
/// # Errors
///
/// [`InferError::Model`] if sizes do not fit.
pub fn elbo_gradient(
    model: &dyn LatentVariableModel,
    family: &dyn VariationalFamily,
    params: &VariationalParams,
    x: &Tensor,
    noise: &Tensor,
) -> Result<Tensor, InferError> {
    let _no_grad = tch::no_grad_guard();
    let draws = family.transform(params, noise);
    let score = model.score(x, &draws.z)?;
    Ok(family.pull_back(params, noise, &score))
}
