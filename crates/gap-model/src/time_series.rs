//! A series whose latent variables need context: `p(z_n | x_n, x_{n−1})` is not a function of `x_n` alone.
//!
//! The amortization gap of an encoder that sees only `x_n` does not vanish, however wide the encoder; one
//! that also sees `x_{n−1}` can close it (Margossian and Blei 2023, "Amortized Variational Inference: When
//! and Why?", the example of a time series). An observation is the row `[x_n, x_{n−1}]`, whose second column
//! is context. Given the context, datapoints are independent of each other, and the model is a
//! [`LinearGaussian`], which computes everything.

use crate::conditioned::ConditionedModel;
use crate::linear_gaussian::LinearGaussian;
use crate::model::{
    ExactPosterior, GenericConditionedModel, LatentVariableModel, check_observed, check_sizes,
};
use crate::model_error::ModelError;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gap_torch::{NoiseStream, SeedKey};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The coefficients of a [`TimeSeries`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesCoefficients {
    /// `c`: the coefficient of `x_{n−1}` in `z_n`.
    pub into_latent: f64,
    /// `a`: the coefficient of `x_{n−1}` in `x_n`, apart from its effect through `z_n`.
    pub into_next: f64,
    /// `b`: the coefficient of `z_n` in `x_n`.
    pub loading: f64,
    /// `o`: the constant in every `x_n`.
    pub offset: f64,
    /// `s`: the standard deviation of the noise.
    pub noise_std: f64,
}

impl SeriesCoefficients {
    /// The series of the paper's notebook (`saw_time_series.ipynb`): `z_n ~ N(x_{n−1}, 1)` and
    /// `x_n ~ N(0.75 (z_n + θ), 1)` with `θ = 3.4159`, which is known here and inferred in the notebook.
    ///
    /// The notebook draws its data differently, as `x_n ~ N(0.75 (x_{n−1} + θ), 1)` without `z_n`. These data
    /// have less variance than the notebook's model; here data are drawn from the model itself.
    pub const SAW_NOTEBOOK: Self = Self {
        into_latent: 1.0,
        into_next: 0.0,
        loading: 0.75,
        offset: 0.75 * 3.4159,
        noise_std: 1.0,
    };

    /// `a + b c`: the coefficient of `x_{n−1}` in the mean of `x_n`.
    fn observed_autoregression(&self) -> f64 {
        self.into_next + self.loading * self.into_latent
    }

    /// Mean and standard deviation of `x_n` in the stationary distribution.
    fn stationary_mean_and_std(&self) -> (f64, f64) {
        let persistence = self.observed_autoregression();
        let variance = self.loading.powi(2) + self.noise_std.powi(2);
        (
            self.offset / (1.0 - persistence),
            (variance / (1.0 - persistence.powi(2))).sqrt(),
        )
    }
}

/// A stationary series: `z_n ~ N(c x_{n−1}, 1)` and `x_n = o + a x_{n−1} + b z_n + s ε`.
///
/// With `u = z_n − c x_{n−1}` and `r = x_n − (a + b c) x_{n−1}` it is a linear-Gaussian model: `u ~ N(0, 1)`
/// and `r = o + b u + s ε`. Given `x_{n−1}`, `u` is `z_n` shifted by a constant, so the scores with respect to
/// `u` and `z_n` are equal.
pub struct TimeSeries {
    coefficients: SeriesCoefficients,
    /// The linear-Gaussian model of `r` and `u`.
    innovations: LinearGaussian,
}

impl TimeSeries {
    /// The series with these coefficients.
    ///
    /// # Panics
    ///
    /// If the series has no stationary distribution (`|a + b c| ≥ 1`) or no noise.
    pub fn new(coefficients: SeriesCoefficients, device: Device) -> Self {
        let is_stationary = coefficients.observed_autoregression().abs() < 1.0;
        assert!(is_stationary, "a series forgets: |a + b c| < 1");
        assert!(coefficients.noise_std > 0.0, "a series has noise");
        Self {
            coefficients,
            innovations: LinearGaussian::new_scalar(
                coefficients.loading,
                coefficients.offset,
                coefficients.noise_std,
                device,
            ),
        }
    }

    /// The same series with tensors of another kind.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        Self {
            coefficients: self.coefficients,
            innovations: self.innovations.to_kind(kind),
        }
    }

    /// Adds the model to `checkpoint`.
    pub fn store(&self, checkpoint: &mut Checkpoint) {
        let SeriesCoefficients {
            into_latent,
            into_next,
            loading,
            offset,
            noise_std,
        } = self.coefficients;
        let numbers = Tensor::from_slice(&[into_latent, into_next, loading, offset, noise_std]);
        checkpoint.insert(COEFFICIENTS_CHECKPOINT_NAME, &numbers);
    }

    /// Reads what [`TimeSeries::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if the checkpoint holds another model, [`CheckpointError::NotFinite`] if a
    /// coefficient is not finite.
    pub fn restore(checkpoint: &Checkpoint, device: Device) -> Result<Self, CheckpointError> {
        let numbers = checkpoint.get_weights(COEFFICIENTS_CHECKPOINT_NAME, Device::Cpu)?;
        let number = |i: i64| numbers.double_value(&[i]);
        let coefficients = SeriesCoefficients {
            into_latent: number(0),
            into_next: number(1),
            loading: number(2),
            offset: number(3),
            noise_std: number(4),
        };
        Ok(Self::new(coefficients, device))
    }

    /// `x_{n−1}`: `[B, 2] -> [B, 1]`.
    fn previous_observation(x: &Tensor) -> Tensor {
        x.narrow(1, 1, 1)
    }

    /// `r = x_n − (a + b c) x_{n−1}`: `[B, 2] -> [B, 1]`.
    fn innovation(&self, x: &Tensor) -> Tensor {
        x.narrow(1, 0, 1)
            - Self::previous_observation(x) * self.coefficients.observed_autoregression()
    }

    /// The mean of `z_n` given `x_{n−1}`, but not `x_n`: `[B, 2] -> [B, 1]`.
    fn latent_prior_mean(&self, x: &Tensor) -> Tensor {
        Self::previous_observation(x) * self.coefficients.into_latent
    }

    /// Computes `(x_n, z_n)` from `x_{n−1}`, which is `before`, and two standard normals.
    fn next_point(&self, before: f64, normals: [f64; 2]) -> (f64, f64) {
        let SeriesCoefficients {
            into_latent,
            into_next,
            loading,
            offset,
            noise_std,
        } = self.coefficients;
        let z = into_latent * before + normals[0];
        let x = offset + into_next * before + loading * z + noise_std * normals[1];
        (x, z)
    }

    fn rows_tensor(&self, values: &[f64], width: i64) -> Tensor {
        Tensor::from_slice(values)
            .view([-1, width])
            .to_kind(self.kind())
            .to_device(self.device())
    }
}

const COEFFICIENTS_CHECKPOINT_NAME: &str = "time_series.coefficients";

impl LatentVariableModel for TimeSeries {
    fn latent_dim(&self) -> i64 {
        1
    }

    fn observed_dim(&self) -> i64 {
        2
    }

    fn n_context_columns(&self) -> i64 {
        1
    }

    fn device(&self) -> Device {
        self.innovations.device()
    }

    fn kind(&self) -> Kind {
        self.innovations.kind()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        check_sizes(self, x, z)?;
        let u = z - self.latent_prior_mean(x);
        self.innovations.log_joint(&self.innovation(x), &u)
    }

    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        check_sizes(self, x, z)?;
        let u = z - self.latent_prior_mean(x);
        self.innovations.score(&self.innovation(x), &u)
    }

    fn condition<'a>(&'a self, x: &Tensor) -> Result<Box<dyn ConditionedModel + 'a>, ModelError> {
        check_observed(self, x)?;
        if self.coefficients.into_latent == 0.0 {
            // Here u = z_n, so the conditioned model of r and u can be used as it is; it may run on the
            // kernels.
            self.innovations.condition(&self.innovation(x))
        } else {
            Ok(Box::new(GenericConditionedModel::new(self, x)?))
        }
    }

    /// Draws each point independently, after a predecessor that is drawn from the stationary distribution.
    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let (mean, std) = self.coefficients.stationary_mean_and_std();
        let (mut x, mut z) = (Vec::new(), Vec::new());
        for normals in noise.normal_values(1, 3).chunks_exact(3) {
            let [start, latent, noise] = [0, 1, 2].map(|i| f64::from(normals[i]));
            let before = mean + std * start;
            let (next, latent) = self.next_point(before, [latent, noise]);
            x.extend([next, before]);
            z.push(latent);
        }
        Ok((self.rows_tensor(&x, 2), self.rows_tensor(&z, 1)))
    }

    /// Draws the points of one series, which begins in its stationary distribution.
    fn sample_points(&self, key: SeedKey, ids: Range<u64>) -> Result<(Tensor, Tensor), ModelError> {
        let (mean, std) = self.coefficients.stationary_mean_and_std();
        let start = NoiseStream::first_normals(key.for_role("start"), &[0], 1)[0];
        let before_range: Vec<u64> = (0..ids.end).collect();
        let normals = NoiseStream::first_normals(key.for_role("steps"), &before_range, 2);
        let mut before = mean + std * f64::from(start);
        let (mut x, mut z) = (Vec::new(), Vec::new());
        for (id, normals) in (0..ids.end).zip(normals.chunks_exact(2)) {
            let (next, latent) = self.next_point(before, [0, 1].map(|i| f64::from(normals[i])));
            if ids.contains(&id) {
                x.extend([next, before]);
                z.push(latent);
            }
            before = next;
        }
        Ok((self.rows_tensor(&x, 2), self.rows_tensor(&z, 1)))
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        self.innovations.check_support(x)
    }

    fn exact_posterior(&self) -> Option<&dyn ExactPosterior> {
        Some(self)
    }
}

/// The evidence of `x_n` and the posterior of `z_n`, both given `x_{n−1}`. The sum of the log evidence over a
/// series is the log evidence of the series given its start.
impl ExactPosterior for TimeSeries {
    fn log_evidence(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        check_observed(self, x)?;
        let innovation = self.innovation(&x.to_kind(Kind::Double));
        self.innovations.log_evidence(&innovation)
    }

    fn posterior_moments(&self, x: &Tensor) -> Result<(Tensor, Tensor), ModelError> {
        check_observed(self, x)?;
        let x = x.to_kind(Kind::Double);
        let innovation = self.innovation(&x);
        let (mean, covariance) = self.innovations.posterior_moments(&innovation)?;
        Ok((mean + self.latent_prior_mean(&x), covariance))
    }
}
