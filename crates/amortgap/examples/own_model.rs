//! A model of one's own, counts with a Poisson likelihood, and an encoder of one's own: what does its simplicity cost?
use amortgap::tch::{Device, Kind, Tensor};
use amortgap::{Encode, LatentVariableModel, MeasureSettings, ModelError, VariationalParams};

/// `z ~ N(0, I)`, and `x_j ~ Poisson(exp(w_j · z + 1))`.
struct Counts(Tensor); // W, [D, X]

impl LatentVariableModel for Counts {
    fn latent_dim(&self) -> i64 {
        self.0.size()[0]
    }
    fn observed_dim(&self) -> i64 {
        self.0.size()[1]
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn kind(&self) -> Kind {
        Kind::Float
    }
    /// `[B, X], [S, B, D] -> [S, B]`; gradients come from libtorch.
    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let log_rate = z.matmul(&self.0) + 1.0;
        let likelihood = x * &log_rate - log_rate.exp() - (x + 1.0).lgamma();
        let prior = -(z.square() + std::f64::consts::TAU.ln()) * 0.5;
        let sum = |terms: Tensor| terms.sum_dim_intlist(-1, false, Kind::Double);
        Ok(sum(likelihood) + sum(prior))
    }
}

/// A mean that is linear in `log(1 + x)`, and a standard deviation that is the same everywhere.
struct LinearInLogs<'a>(&'a Counts);

impl Encode for LinearInLogs<'_> {
    fn encode(&self, x: &Tensor) -> Result<VariationalParams, ModelError> {
        let mean = (x.log1p() - 1.2).matmul(&self.0.0.tr()) * 0.4;
        let log_std = Tensor::full_like(&mean, -0.9);
        Ok(VariationalParams(Tensor::cat(&[mean, log_std], 1))) // λ of a diagonal Gaussian, [B, 2D]
    }
    fn param_dim(&self) -> i64 {
        2 * self.0.latent_dim()
    }
}

/// Prints the gaps.
pub fn main() -> Result<(), amortgap::RunError> {
    let waves = |n: i64, rate: f64| (Tensor::arange(n, (Kind::Float, Device::Cpu)) * rate).sin();
    let model = Counts(waves(16, 1.7).view([2, 8]) * 0.5);
    // 50 observations; yours come from a file.
    let rate = (waves(100, 0.9).view([50, 2]).matmul(&model.0) + 1.0).exp();
    let x = (rate * (waves(400, 2.3).view([50, 8]) * 0.6 + 1.0)).round();
    let encoder = LinearInLogs(&model);
    let gaps = amortgap::measure(&model, Some(&encoder), &x, &MeasureSettings::default())?;
    let gap = gaps.amortization_gap().expect("there is an encoder");
    println!("{:.3} ± {:.3} nats", gap.mean_nats, gap.std_error_nats);
    Ok(())
}
