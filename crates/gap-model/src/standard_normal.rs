//! The standard-normal prior `N(z; 0, I)`.

use std::f64::consts::TAU;
use tch::{Kind, Tensor};

/// `log N(z; 0, I)`, nats, summed in `f64`: `[…, D] -> […]`.
pub(crate) fn log_prior(z: &Tensor) -> Tensor {
    let squares = z
        .square()
        .sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double);
    squares * -0.5 - 0.5 * z.size()[z.dim() - 1] as f64 * TAU.ln()
}

/// `log N(z; 0, I)`, nats, of one `z` in a slice, summed in `f64`.
pub(crate) fn log_prior_row(z: &[f32]) -> f64 {
    let squares: f64 = z.iter().map(|&z| f64::from(z).powi(2)).sum();
    -0.5 * (squares + z.len() as f64 * TAU.ln())
}
