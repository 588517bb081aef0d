//! The hand-derived scores against automatic differentiation and finite differences, in `f64`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod models;

use gap_model::Likelihood;
use gap_model::model::score_by_autograd;
use models::{draws, largest, models};
use tch::Tensor;

#[test]
fn the_hand_derived_score_is_that_of_automatic_differentiation() {
    for (name, model) in models() {
        let (x, z) = draws(model.as_ref(), &[0, 1, 2, 3], 50); // 200 rows: more than one block
        let by_hand = model.score(&x, &z).unwrap();
        let by_autograd = score_by_autograd(model.as_ref(), &x, &z).unwrap();
        let difference = largest(&(&by_hand - by_autograd)) / largest(&by_hand);
        assert!(difference < 1e-12, "{name}: {difference}");
    }
}

#[test]
fn the_score_is_the_slope_of_the_log_joint() {
    let step = 1e-5;
    for (name, model) in models() {
        let (x, z) = draws(model.as_ref(), &[0, 1], 3);
        let score = model.score(&x, &z).unwrap();
        for d in 0..model.latent_dim() {
            let shift = Tensor::zeros_like(&z);
            let _ = shift.narrow(2, d, 1).fill_(step);
            let above = model.log_joint(&x, &(&z + &shift)).unwrap();
            let below = model.log_joint(&x, &(&z - &shift)).unwrap();
            let slope = (above - below) / (2.0 * step);
            let difference = largest(&(slope - score.select(2, d))) / largest(&score);
            // Rounding 1e-16 / step and truncation step² both stay below this.
            assert!(difference < 1e-7, "{name}, axis {d}: {difference}");
        }
    }
}

#[test]
fn grey_pixels_are_refused_by_a_bernoulli_likelihood() {
    let x = Tensor::from_slice(&[0.0, 1.0, 1.0, 0.5]).view([2, 2]);
    let message = Likelihood::Bernoulli
        .check_support(&x)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("datapoint 1") && message.contains("0.5"),
        "{message}"
    );
    assert!(Likelihood::Bernoulli.check_support(&x.round()).is_ok());
}

#[test]
fn a_gaussian_likelihood_takes_any_finite_observation() {
    let likelihood = Likelihood::Gaussian { std: 2.0 };
    let x = Tensor::from_slice(&[0.5, -7.0, 1e30, 0.0]).view([2, 2]);
    assert!(likelihood.check_support(&x).is_ok());
    let message = likelihood.check_support(&x.log()).unwrap_err().to_string();
    assert!(
        message.contains("finite") && message.contains("datapoint 0"),
        "{message}"
    );
}
