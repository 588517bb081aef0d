//! The oracle: a linear-Gaussian model, whose evidence and posterior are known exactly.

use crate::backend::Backend;
use crate::conditioned::ConditionedModel;
use crate::kernels::{DecoderOnKernels, pack_linear_gaussian};
use crate::layer::apply_affine;
use crate::likelihood::Likelihood;
use crate::model::{
    ExactPosterior, GenericConditionedModel, LatentVariableModel, check_observed, check_sizes,
};
use crate::model_error::ModelError;
use gap_kernel::FusedDecoder;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gap_torch::{NoiseStream, SeedKey, map_row_blocks, matmul_into_aligned_rows};
use std::cell::OnceCell;
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// The model `z ~ N(0, I)`, `x = W z + b + s ε` with `ε ~ N(0, I)`.
///
/// The posterior has precision `Λ = I + WᵀW / s²` and mean `Λ⁻¹ Wᵀ(x − b) / s²`; the evidence is
/// `N(x; b, WWᵀ + s² I)` (Bishop 2006, "Pattern Recognition and Machine Learning", §2.3.3).
pub struct LinearGaussian {
    weight: Tensor, // [X, D]
    bias: Tensor,   // [X]
    noise_std: f64,
    backend: Backend,
    /// The model packed for the kernels, made at its first use. The inner `None` means that libtorch computes
    /// this model.
    packed: OnceCell<Option<FusedDecoder>>,
}

impl LinearGaussian {
    /// The model with these loadings (`[X, D]`), offsets (`[X]`) and standard deviation of the noise.
    pub fn new(weight: Tensor, bias: Tensor, noise_std: f64) -> Self {
        Self {
            weight,
            bias,
            noise_std,
            backend: Backend::default(),
            packed: OnceCell::new(),
        }
    }

    /// A model with normal loadings of variance `1 / D` and standard-normal offsets, drawn with `key`.
    pub fn random(
        latent_dim: i64,
        observed_dim: i64,
        noise_std: f64,
        key: SeedKey,
        device: Device,
    ) -> Self {
        let mut noise = NoiseStream::new(key, &[0], device);
        let weight =
            noise.normal(observed_dim, latent_dim).squeeze_dim(1) / (latent_dim as f64).sqrt();
        let bias = noise.normal(1, observed_dim).view([observed_dim]);
        Self::new(weight, bias, noise_std)
    }

    /// [`Self::with_exact_condition_number`], with tensors of `f32`. Rounding the loadings changes the smallest
    /// eigenvalue by about 1e-10 times the largest.
    ///
    /// # Panics
    ///
    /// As that.
    pub fn with_condition_number(
        dims: [i64; 2],
        noise_std: f64,
        condition_number: f64,
        key: SeedKey,
        device: Device,
    ) -> Self {
        let exact =
            Self::with_exact_condition_number(dims, noise_std, condition_number, key, device);
        exact.to_kind(Kind::Float)
    }

    /// A model of `f64` whose posterior precision has eigenvalues from 2 to `2 · condition_number`, evenly spaced on a
    /// logarithmic scale. The eigenvectors are random and the offsets standard normal, both drawn with `key`.
    ///
    /// Loadings `W = U diag(a) Vᵀ`, with orthonormal `U` (`[X, D]`) and `V` (`[D, D]`), give the precision
    /// `V diag(1 + a² / s²) Vᵀ`.
    ///
    /// # Panics
    ///
    /// If `condition_number` is below 1, or there are fewer observed than latent dimensions.
    pub fn with_exact_condition_number(
        [latent_dim, observed_dim]: [i64; 2],
        noise_std: f64,
        condition_number: f64,
        key: SeedKey,
        device: Device,
    ) -> Self {
        assert!(condition_number >= 1.0, "the largest is not the smallest");
        assert!(
            observed_dim >= latent_dim,
            "each latent direction has one of x to itself"
        );
        let mut noise = NoiseStream::new(key, &[0], Device::Cpu);
        let mut orthonormal = |rows: i64, columns: i64| {
            let normals = noise.normal(rows, columns).squeeze_dim(1);
            Tensor::linalg_qr(&normals.to_kind(Kind::Double), "reduced").0
        };
        let (u, v) = (
            orthonormal(observed_dim, latent_dim),
            orthonormal(latent_dim, latent_dim),
        );
        let steps = (latent_dim - 1).max(1) as f64;
        let scales: Vec<f64> = (0..latent_dim)
            .map(|i| 2.0 * condition_number.powf(i as f64 / steps))
            .map(|eigenvalue| noise_std * (eigenvalue - 1.0).sqrt())
            .collect();
        let weight = (u * Tensor::from_slice(&scales)).matmul(&v.tr());
        let bias = noise.normal(1, observed_dim).view([observed_dim]);
        Self::new(
            weight.to_device(device),
            bias.to_kind(Kind::Double).to_device(device),
            noise_std,
        )
    }

    /// A model with one latent and one observed dimension: `x = offset + loading z + noise_std ε`.
    pub fn new_scalar(loading: f64, offset: f64, noise_std: f64, device: Device) -> Self {
        let number = |value: f64| Tensor::from_slice(&[value as f32]).to_device(device);
        Self::new(number(loading).view([1, 1]), number(offset), noise_std)
    }

    /// The same model with another backend. `backend` computes the model at fixed observations, if the kernels
    /// support it; libtorch computes everything else.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.packed.take();
        self.backend = backend;
        self
    }

    /// The same model with tensors of another kind.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        let (weight, bias) = (self.weight.to_kind(kind), self.bias.to_kind(kind));
        Self::new(weight, bias, self.noise_std).with_backend(self.backend)
    }

    /// Adds the model to `checkpoint`.
    pub fn store(&self, checkpoint: &mut Checkpoint) {
        checkpoint.insert("linear_gaussian.weight", &self.weight);
        checkpoint.insert("linear_gaussian.bias", &self.bias);
        checkpoint.insert(
            "linear_gaussian.noise_std",
            &Tensor::from_slice(&[self.noise_std]),
        );
    }

    /// Reads what [`LinearGaussian::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if the checkpoint holds another model, [`CheckpointError::NotFinite`] if a
    /// number in it is not finite.
    pub fn restore(checkpoint: &Checkpoint, device: Device) -> Result<Self, CheckpointError> {
        let noise_std = checkpoint.get_weights("linear_gaussian.noise_std", Device::Cpu)?;
        Ok(Self::new(
            checkpoint.get_weights("linear_gaussian.weight", device)?,
            checkpoint.get_weights("linear_gaussian.bias", device)?,
            noise_std.double_value(&[0]),
        ))
    }

    /// The model packed for the kernels; `None` if libtorch computes this model.
    fn packed_for_kernels(&self) -> Option<&FusedDecoder> {
        let pack = || pack_linear_gaussian(self.backend, &self.weight, &self.bias, self.noise_std);
        self.packed.get_or_init(pack).as_ref()
    }

    /// `x − b − W z` for every draw of `z`: `[B, X], [S, B, D] -> [S, B, X]`.
    fn residual(&self, x: &Tensor, z: &Tensor) -> Tensor {
        let z_rows = z.reshape([-1, self.latent_dim()]);
        let mean = if z.requires_grad() {
            apply_affine(&z_rows, &self.weight, &self.bias)
        } else {
            map_row_blocks(&[&z_rows], |b| {
                apply_affine(&b[0], &self.weight, &self.bias)
            })
        };
        x - mean.view([z.size()[0], z.size()[1], self.observed_dim()])
    }

    /// `Λ = I + WᵀW / s²`, `f64`: `[D, D]`.
    fn posterior_precision(&self) -> Tensor {
        let weight = self.weight.to_kind(Kind::Double);
        let identity = Tensor::eye(self.latent_dim(), (Kind::Double, self.device()));
        identity + weight.tr().matmul(&weight) / self.noise_std.powi(2)
    }
}

impl LatentVariableModel for LinearGaussian {
    fn latent_dim(&self) -> i64 {
        self.weight.size()[1]
    }

    fn observed_dim(&self) -> i64 {
        self.weight.size()[0]
    }

    fn device(&self) -> Device {
        self.weight.device()
    }

    fn kind(&self) -> Kind {
        self.weight.kind()
    }

    fn is_on_kernels(&self) -> bool {
        self.packed_for_kernels().is_some()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        check_sizes(self, x, z)?;
        let squares = |t: &Tensor| {
            t.square()
                .sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)
        };
        let variance = self.noise_std.powi(2);
        let constant = 0.5 * self.observed_dim() as f64 * (TAU * variance).ln()
            + 0.5 * self.latent_dim() as f64 * TAU.ln();
        Ok(squares(&self.residual(x, z)) * (-0.5 / variance) - squares(z) * 0.5 - constant)
    }

    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let [n_samples, batch] = check_sizes(self, x, z)?;
        let _no_grad = tch::no_grad_guard();
        // Wᵀ (x − b − W z) / s² − z.
        let rows = self.residual(x, z).reshape([-1, self.observed_dim()]);
        let pulled = map_row_blocks(&[&rows], |block| {
            matmul_into_aligned_rows(&block[0], &self.weight)
        });
        let pulled = pulled.view([n_samples, batch, self.latent_dim()]);
        Ok(pulled / self.noise_std.powi(2) - z)
    }

    fn condition<'a>(&'a self, x: &Tensor) -> Result<Box<dyn ConditionedModel + 'a>, ModelError> {
        check_observed(self, x)?;
        Ok(match self.packed_for_kernels() {
            Some(packed) => Box::new(DecoderOnKernels::new(packed, self.latent_dim(), x)),
            None => Box::new(GenericConditionedModel::new(self, x)?),
        })
    }

    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let z = noise
            .normal(1, self.latent_dim())
            .squeeze_dim(0)
            .to_kind(self.kind());
        let mean = map_row_blocks(&[&z], |b| apply_affine(&b[0], &self.weight, &self.bias));
        let x = mean + noise.normal(1, self.observed_dim()).squeeze_dim(0) * self.noise_std;
        Ok((x, z))
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        let std = self.noise_std;
        Likelihood::Gaussian { std }.check_support(x)
    }

    fn exact_posterior(&self) -> Option<&dyn ExactPosterior> {
        Some(self)
    }
}

impl ExactPosterior for LinearGaussian {
    fn log_evidence(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let [_, _] = gap_torch::dims("x", x, ["B", "X"])?;
        let weight = self.weight.to_kind(Kind::Double);
        let identity = Tensor::eye(self.observed_dim(), (Kind::Double, self.device()));
        let covariance = weight.matmul(&weight.tr()) + identity * self.noise_std.powi(2);
        let factor = covariance.linalg_cholesky(false); // lower, [X, X]
        let centred = x.to_kind(Kind::Double) - self.bias.to_kind(Kind::Double);
        let whitened = Tensor::linalg_solve_triangular(&factor, &centred.tr(), false, true, false);
        let log_det = factor.diagonal(0, 0, 1).log().sum(Kind::Double) * 2.0;
        let squares = whitened
            .square()
            .sum_dim_intlist([0_i64].as_slice(), false, Kind::Double);
        Ok((squares + log_det + self.observed_dim() as f64 * TAU.ln()) * -0.5)
    }

    fn posterior_moments(&self, x: &Tensor) -> Result<(Tensor, Tensor), ModelError> {
        let [_, _] = gap_torch::dims("x", x, ["B", "X"])?;
        let covariance = Tensor::linalg_inv(&self.posterior_precision());
        let centred = x.to_kind(Kind::Double) - self.bias.to_kind(Kind::Double);
        let projected = centred.matmul(&self.weight.to_kind(Kind::Double)); // [B, D]
        let mean = projected.matmul(&covariance) / self.noise_std.powi(2);
        Ok((mean, covariance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eigenvalues of the posterior precision, in ascending order.
    fn eigenvalues(model: &LinearGaussian) -> Vec<f64> {
        let values = model.posterior_precision().linalg_eigvalsh("L");
        Vec::try_from(values).expect("a double tensor holds doubles")
    }

    #[test]
    fn a_condition_number_is_that_of_the_posterior_precision() {
        for (dims, std, condition) in [
            ([5, 10], 0.5, 100.0),
            ([3, 3], 2.0, 1.0),
            ([1, 4], 1.0, 1.0),
        ] {
            let model = |seed| {
                let key = SeedKey::root(seed);
                LinearGaussian::with_condition_number(dims, std, condition, key, Device::Cpu)
            };
            let values = eigenvalues(&model(0));
            assert_eq!(values.len() as i64, dims[0]);
            // The tolerance is for loadings that are rounded to f32.
            let is_near = |value: f64, to: f64| (value / to - 1.0).abs() < 1e-5;
            let largest = values[values.len() - 1];
            assert!(is_near(values[0], 2.0) && is_near(largest, 2.0 * condition));
            for step in values.windows(3) {
                assert!(is_near(step[1] / step[0], step[2] / step[1]), "{values:?}");
            }
            // Another seed gives other eigenvectors, so that they are not just the axes of z.
            let away = (&model(0).weight - &model(1).weight).abs().max();
            assert!(away.double_value(&[]) > 0.1);
        }
    }
}
