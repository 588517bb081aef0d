//! The simple hierarchical models of Margossian and Blei 2023, "Amortized Variational Inference: When and
//! Why?", with one latent and one observed number for each datapoint and a known global `θ`.
//!
//! In both, the posterior of `z_n` depends on `x_n` alone, so an encoder that is wide enough has no
//! amortization gap. A linear encoder suffices for the [`new_linear_hierarchical`] model; the
//! [`NonlinearHierarchical`] needs hidden units. In the paper `θ` is inferred along with `z`; here it is
//! fixed, since models are frozen.

use crate::likelihood::Likelihood;
use crate::linear_gaussian::LinearGaussian;
use crate::model::{LatentVariableModel, check_sizes};
use crate::model_error::ModelError;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gap_torch::{NoiseStream, map_row_blocks};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// The linear model: `z ~ N(0, 1)` and `x ~ N(θ + 1.155 z, 2.43²)` with `θ = 0`, from which the paper's
/// notebook (`linear_prob_model.ipynb`) draws its data. The posterior's mean is linear in `x`, its variance
/// constant.
pub fn new_linear_hierarchical(device: Device) -> LinearGaussian {
    LinearGaussian::new_scalar(1.155, 0.0, 2.43, device)
}

/// The nonlinear model: `z ~ N(0, 1)` and `x ~ N(θ + z + z sin z, e^(2 cos z))`.
///
/// The mean is not monotone in `z`, and the noise depends on `z`: posteriors are skewed, some have two modes,
/// and neither their means nor their variances are linear in `x`. The model is that of the paper's notebook
/// (`nonlinear_prob_model.ipynb`), except that it is normalised: the notebook leaves the term `−cos z` out of
/// `log p(x | z)`, although it depends on `z`, and draws its data with `z ~ N(0, 25)`.
pub struct NonlinearHierarchical {
    offset: Tensor, // θ, [1]
}

const OFFSET_CHECKPOINT_NAME: &str = "nonlinear_hierarchical.offset";

/// The terms of the log joint and the score, `f64`, each `[N, 1]`.
struct JointDensityTerms {
    z: Tensor,
    sine: Tensor,
    cosine: Tensor,
    /// `(x − mean(z)) / std(z)`
    standardized: Tensor,
}

impl NonlinearHierarchical {
    /// The model with this `θ`.
    pub fn new(offset: f64, device: Device) -> Self {
        Self {
            offset: Tensor::from_slice(&[offset as f32]).to_device(device),
        }
    }

    /// The same model with tensors of another kind.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        Self {
            offset: self.offset.to_kind(kind),
        }
    }

    /// Adds the model to `checkpoint`.
    pub fn store(&self, checkpoint: &mut Checkpoint) {
        checkpoint.insert(OFFSET_CHECKPOINT_NAME, &self.offset);
    }

    /// Reads what [`NonlinearHierarchical::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if the checkpoint holds another model, [`CheckpointError::NotFinite`] if the
    /// offset is not finite.
    pub fn restore(checkpoint: &Checkpoint, device: Device) -> Result<Self, CheckpointError> {
        Ok(Self {
            offset: checkpoint.get_weights(OFFSET_CHECKPOINT_NAME, device)?,
        })
    }

    /// The mean of `x` given `z`, in `f64`: `[N, 1] -> [N, 1]`.
    fn observed_mean(&self, z: &Tensor) -> Tensor {
        z + z * z.sin() + self.offset.to_kind(Kind::Double)
    }

    fn joint_density_terms(&self, x: &Tensor, z: &Tensor) -> JointDensityTerms {
        let (x, z) = (x.to_kind(Kind::Double), z.to_kind(Kind::Double));
        let cosine = z.cos();
        JointDensityTerms {
            standardized: (x - self.observed_mean(&z)) * (-&cosine).exp(),
            sine: z.sin(),
            cosine,
            z,
        }
    }

    /// `log p(x, z)`, `f64`: `[N, 1], [N, 1] -> [N, 1]`.
    fn log_joint_rows(&self, x: &Tensor, z: &Tensor) -> Tensor {
        let terms = self.joint_density_terms(x, z);
        let squares = terms.z.square() + terms.standardized.square();
        squares * -0.5 - terms.cosine - TAU.ln()
    }

    /// `∇_z log p(x, z)`, `f64`: `[N, 1], [N, 1] -> [N, 1]`.
    ///
    /// With `r = (x − mean) / std`, `mean' = 1 + sin z + z cos z` and `(log std)' = −sin z`, the score is
    /// `−z + sin z + r mean' / std − r² sin z`.
    fn score_rows(&self, x: &Tensor, z: &Tensor) -> Tensor {
        let JointDensityTerms {
            z,
            sine,
            cosine,
            standardized,
        } = self.joint_density_terms(x, z);
        let slope = (&sine + &z * &cosine + 1.0) * (-&cosine).exp();
        &sine - z + &standardized * slope - standardized.square() * sine
    }

    /// Applies `f` to the rows, in blocks if `z` needs no gradient: `[B, 1], [S, B, 1] -> [S, B, 1]`, `f64`.
    fn map_in_row_blocks(
        &self,
        x: &Tensor,
        z: &Tensor,
        f: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Tensor {
        let [x_rows, z_rows] = [&x.expand_as(z), z].map(|tensor| tensor.reshape([-1, 1]));
        let rows = if z.requires_grad() {
            f(&x_rows, &z_rows)
        } else {
            map_row_blocks(&[&x_rows, &z_rows], |block| f(&block[0], &block[1]))
        };
        rows.view_as(z)
    }
}

impl LatentVariableModel for NonlinearHierarchical {
    fn latent_dim(&self) -> i64 {
        1
    }

    fn observed_dim(&self) -> i64 {
        1
    }

    fn device(&self) -> Device {
        self.offset.device()
    }

    fn kind(&self) -> Kind {
        self.offset.kind()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        check_sizes(self, x, z)?;
        let log_joint = self.map_in_row_blocks(x, z, |x, z| self.log_joint_rows(x, z));
        Ok(log_joint.squeeze_dim(2))
    }

    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        check_sizes(self, x, z)?;
        let _no_grad = tch::no_grad_guard();
        let score = self.map_in_row_blocks(x, &z.detach(), |x, z| self.score_rows(x, z));
        Ok(score.to_kind(self.kind()))
    }

    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let normals = noise.normal(1, 2).squeeze_dim(0); // [B, 2]
        let [z, noise] = [0, 1].map(|column| normals.narrow(1, column, 1).contiguous());
        let x = map_row_blocks(&[&z, &noise], |block| {
            let z = block[0].to_kind(Kind::Double);
            self.observed_mean(&z) + &block[1] * z.cos().exp()
        });
        Ok((x.to_kind(self.kind()), z.to_kind(self.kind())))
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        Likelihood::Gaussian { std: 1.0 }.check_support(x) // Every Gaussian has the same support.
    }
}
