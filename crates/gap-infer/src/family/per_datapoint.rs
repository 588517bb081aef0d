//! Families that compute on plain slices, one datapoint at a time.
//!
//! A datapoint's results are then bitwise the same in every batch by construction, and a step of an ascent
//! needs no tensors between calls of the kernels. A family is written once, for `f32` and `f64`; the interfaces
//! for tensors and for rows are derived from that.

use super::columns::FeatureColumns;
use super::gaussians::FullGaussian;
use super::number::{FloatNumber, add_scaled};
use super::variational::{
    ClosedFormGaussianFamily, Draws, EvaluableDensityFamily, RowTransform, VariationalFamily,
    VariationalParams,
};
use tch::{Device, Kind, Tensor};

/// A variational family that is computed one datapoint at a time.
pub trait PerDatapointFamily: Send + Sync {
    /// The latent dimension, `D`.
    fn dim(&self) -> usize;

    /// The number of variational parameters of one datapoint, `Q`.
    fn n_params(&self) -> usize;

    /// The number of standard normals that one draw is computed from, `N`.
    fn noise_normals_per_draw(&self) -> usize {
        self.dim()
    }

    /// Returns `z` (`[D, S]`) and `log q` (`[S]`, nats) from `noise` (`[N, S]`).
    fn draw<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
    ) -> (FeatureColumns<T>, Vec<f64>);

    /// Returns an estimate of `∇_λ L`, `[Q]`, from the model's `score` (`[D, S]`) at the `z` that
    /// [`Self::draw`] gives for `noise`.
    fn gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
    ) -> Vec<T>;

    /// Implements [`EvaluableDensityFamily::weighted_path_gradient`] for one datapoint, with a weight for each
    /// draw, `[S]`. The default takes one draw after the other, and holds where [`Self::gradient`] is a path
    /// gradient.
    fn weighted_gradient<T: FloatNumber>(
        &self,
        params: &[T],
        noise: &FeatureColumns<T>,
        score: &FeatureColumns<T>,
        weights: &[T],
    ) -> Vec<T> {
        let mut total = vec![T::default(); self.n_params()];
        for (s, &weight) in weights.iter().enumerate() {
            let of_draw = self.gradient(params, &noise.one_draw(s), &score.one_draw(s));
            add_scaled(&mut total, weight, &of_draw);
        }
        total
    }

    /// Implements [`VariationalFamily::embed_smaller_family`].
    fn embed_smaller_family_params(&self, smaller: &[f64]) -> Vec<f64> {
        let mut params = smaller.to_vec();
        params.resize(self.n_params(), 0.0);
        params
    }

    /// Implements [`VariationalFamily::embed_several_gaussians`].
    fn embed_several(&self, _gaussians: &[&(Vec<f64>, f64)]) -> Option<Vec<f64>> {
        None
    }

    /// Implements [`VariationalFamily::move_off_saddle`].
    fn move_params_off_saddle(&self, params: Vec<f64>) -> Vec<f64> {
        params
    }

    /// Implements [`VariationalFamily::as_full_gaussian`].
    fn as_full(&self) -> Option<FullGaussian> {
        None
    }

    /// Implements [`VariationalFamily::evaluable_density`].
    fn as_evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        None
    }

    /// Implements [`VariationalFamily::closed_form_gaussian`].
    fn as_closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        None
    }
}

impl<F: PerDatapointFamily, T: FloatNumber> RowTransform<T> for F {
    fn transform_row(&self, params: &[T], noise: &[T], z: &mut [T], log_q: &mut [f64]) {
        let (drawn, density) = self.draw(
            params,
            &FeatureColumns::from_rows(noise, self.noise_normals_per_draw()),
        );
        drawn.write_rows(z);
        log_q.copy_from_slice(&density);
    }

    fn pull_back_row(&self, params: &[T], noise: &[T], score: &[T], gradient: &mut [T]) {
        let noise = FeatureColumns::from_rows(noise, self.noise_normals_per_draw());
        let score = FeatureColumns::from_rows(score, self.dim());
        gradient.copy_from_slice(&self.gradient(params, &noise, &score));
    }
}

impl<F: PerDatapointFamily> VariationalFamily for F {
    fn latent_dim(&self) -> i64 {
        self.dim() as i64
    }

    fn param_dim(&self) -> i64 {
        self.n_params() as i64
    }

    fn noise_dim(&self) -> i64 {
        self.noise_normals_per_draw() as i64
    }

    fn embed_smaller_family(&self, smaller: &[f64]) -> Vec<f64> {
        self.embed_smaller_family_params(smaller)
    }

    fn embed_several_gaussians(&self, gaussians: &[&(Vec<f64>, f64)]) -> Option<Vec<f64>> {
        self.embed_several(gaussians)
    }

    fn move_off_saddle(&self, params: Vec<f64>) -> Vec<f64> {
        self.move_params_off_saddle(params)
    }

    fn transform(&self, params: &VariationalParams, noise: &Tensor) -> Draws {
        match params.0.kind() {
            Kind::Double => transform::<F, f64>(self, params, noise),
            _ => transform::<F, f32>(self, params, noise),
        }
    }

    fn pull_back(&self, params: &VariationalParams, noise: &Tensor, score: &Tensor) -> Tensor {
        match params.0.kind() {
            Kind::Double => pull_back::<F, f64>(self, params, noise, score),
            _ => pull_back::<F, f32>(self, params, noise, score),
        }
    }

    fn as_full_gaussian(&self) -> Option<FullGaussian> {
        self.as_full()
    }

    fn evaluable_density(&self) -> Option<&dyn EvaluableDensityFamily> {
        self.as_evaluable_density()
    }

    fn closed_form_gaussian(&self) -> Option<&dyn ClosedFormGaussianFamily> {
        self.as_closed_form_gaussian()
    }
}

/// The values of a tensor `[S, B, F]`, or `[S, 1, F]` if all datapoints share them, ordered by datapoint.
struct ValuesByDatapoint<T> {
    values: Vec<T>, // [B | 1, S, F]
    n_features: usize,
    n_samples: usize,
    common: bool,
}

impl<T: FloatNumber> ValuesByDatapoint<T> {
    fn from_tensor(tensor: &Tensor) -> Self {
        let size = tensor.size();
        Self {
            values: tensor_values(&tensor.transpose(0, 1)),
            n_features: size[2] as usize,
            n_samples: size[0] as usize,
            common: size[1] == 1,
        }
    }

    fn columns_of_datapoint(&self, datapoint: usize) -> FeatureColumns<T> {
        let len = self.n_samples * self.n_features;
        let start = if self.common { 0 } else { datapoint * len };
        FeatureColumns::from_rows(&self.values[start..start + len], self.n_features)
    }
}

/// Copies the values of a tensor to the CPU, in row-major order.
fn tensor_values<T: FloatNumber>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(T::KIND);
    let flat = flat.contiguous().view([-1]);
    let mut values = vec![T::default(); flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

fn transform<F: PerDatapointFamily, T: FloatNumber>(
    family: &F,
    params: &VariationalParams,
    noise: &Tensor,
) -> Draws {
    let device = params.0.device();
    let (n_params, dim) = (family.n_params(), family.dim());
    let by_datapoint = ValuesByDatapoint::<T>::from_tensor(noise);
    let n_samples = by_datapoint.n_samples;
    let rows: Vec<T> = tensor_values(&params.0);
    let batch = rows.len() / n_params;
    let mut z = vec![T::default(); batch * n_samples * dim]; // [B, S, D]
    let mut log_q = Vec::with_capacity(batch * n_samples); // [B, S]
    for (b, params) in rows.chunks_exact(n_params).enumerate() {
        let (drawn, density) = family.draw(params, &by_datapoint.columns_of_datapoint(b));
        drawn.write_rows(&mut z[b * n_samples * dim..][..n_samples * dim]);
        log_q.extend(density);
    }
    let shape = [batch as i64, n_samples as i64];
    let z = Tensor::from_slice(&z).view([shape[0], shape[1], dim as i64]);
    let log_q = Tensor::from_slice(&log_q).view(shape);
    Draws {
        z: z.transpose(0, 1).contiguous().to_device(device),
        log_q: log_q.transpose(0, 1).contiguous().to_device(device),
    }
}

fn pull_back<F: PerDatapointFamily, T: FloatNumber>(
    family: &F,
    params: &VariationalParams,
    noise: &Tensor,
    score: &Tensor,
) -> Tensor {
    let n_params = family.n_params();
    let (noise, score) = (
        ValuesByDatapoint::<T>::from_tensor(noise),
        ValuesByDatapoint::<T>::from_tensor(score),
    );
    let rows: Vec<T> = tensor_values(&params.0);
    let mut gradients = Vec::with_capacity(rows.len());
    for (b, params) in rows.chunks_exact(n_params).enumerate() {
        gradients.extend(family.gradient(
            params,
            &noise.columns_of_datapoint(b),
            &score.columns_of_datapoint(b),
        ));
    }
    let gradients = Tensor::from_slice(&gradients).view_as(&params.0);
    gradients.to_device(params.0.device())
}

/// Computes [`EvaluableDensityFamily::weighted_path_gradient`] one datapoint after the other.
pub fn weighted_path_gradient_per_datapoint<F: PerDatapointFamily>(
    family: &F,
    params: &VariationalParams,
    [noise, score, weights]: [&Tensor; 3],
) -> Tensor {
    match params.0.kind() {
        Kind::Double => weighted_path_gradient::<F, f64>(family, params, [noise, score, weights]),
        _ => weighted_path_gradient::<F, f32>(family, params, [noise, score, weights]),
    }
}

fn weighted_path_gradient<F: PerDatapointFamily, T: FloatNumber>(
    family: &F,
    params: &VariationalParams,
    [noise, score, weights]: [&Tensor; 3],
) -> Tensor {
    let weights = weights.unsqueeze(-1); // [S, B, 1]
    let [noise, score, weights] = [noise, score, &weights].map(ValuesByDatapoint::<T>::from_tensor);
    let rows: Vec<T> = tensor_values(&params.0);
    let mut gradients = Vec::with_capacity(rows.len());
    for (b, params) in rows.chunks_exact(family.n_params()).enumerate() {
        gradients.extend(family.weighted_gradient(
            params,
            &noise.columns_of_datapoint(b),
            &score.columns_of_datapoint(b),
            weights.columns_of_datapoint(b).feature(0),
        ));
    }
    let gradients = Tensor::from_slice(&gradients).view_as(&params.0);
    gradients.to_device(params.0.device())
}

/// Computes [`EvaluableDensityFamily::log_prob`] in `f64` from the log density of one datapoint,
/// `datapoint_log_prob`: `[Q], [D, S] -> [S]`.
pub fn log_prob_per_datapoint(
    n_params: usize,
    params: &VariationalParams,
    z: &Tensor,
    datapoint_log_prob: impl Fn(&[f64], &FeatureColumns<f64>) -> Vec<f64>,
) -> Tensor {
    let z_by_datapoint = ValuesByDatapoint::<f64>::from_tensor(z);
    let rows: Vec<f64> = tensor_values(&params.0);
    let densities: Vec<f64> = rows
        .chunks_exact(n_params)
        .enumerate()
        .flat_map(|(b, params)| datapoint_log_prob(params, &z_by_datapoint.columns_of_datapoint(b)))
        .collect();
    let n_samples = z_by_datapoint.n_samples as i64;
    let by_datapoint = Tensor::from_slice(&densities).view([-1, n_samples]);
    by_datapoint
        .transpose(0, 1)
        .contiguous()
        .to_device(z.device())
}
