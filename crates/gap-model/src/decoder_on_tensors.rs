//! A decoder at fixed observations, computed by libtorch without redundant work.
//!
//! Let `l` be the network's output, `h` the input of its last layer and `W` that layer's weight. If the
//! likelihood has a [`CanonicalGradient`], its gradient with respect to `h` is `Wᵀ(x − mean(l)) / dispersion`:
//! `Wᵀx` is computed once for each observation, and an evaluation only adds a multiple of `Wᵀ mean(l)` to it.
//! The value of the likelihood is computed only if asked for, no graph is built, and memory is reused.

use crate::conditioned::{ConditionedModel, JointAndScore, check_observation_rows};
use crate::layer::LayerMap;
use crate::likelihood::{CanonicalGradient, Likelihood};
use crate::model_error::ModelError;
use crate::network::Network;
use crate::network_blocks::NetworkBlocks;
use crate::standard_normal::log_prior;
use gap_torch::{
    block, block_starts, empty_aligned_like, map_row_blocks, matmul_into_aligned_rows,
    pad_to_whole_blocks,
};
use tch::{Kind, Tensor};

/// A decoder's network and likelihood, prepared for some observations.
pub(crate) struct DecoderOnTensors {
    likelihood: Likelihood,
    latent_dim: i64,
    x: Tensor, // [B, X]
    /// `None` unless the likelihood has a canonical gradient and the last layer is affine.
    projection: Option<ProjectedObservations>,
    blocks: NetworkBlocks,
}

/// What the observations contribute to the gradient with respect to the last layer's input.
struct ProjectedObservations {
    projected: Tensor, // Wᵀx / dispersion, [B, H]
    negated: Tensor,   // −W / dispersion, [X, H]
    mean_in_place: fn(&mut Tensor),
}

impl ProjectedObservations {
    fn new(network: &Network, likelihood: &Likelihood, x: &Tensor) -> Option<Self> {
        let layers = network.layers();
        let last = layers.last().expect("a network has a layer");
        let CanonicalGradient {
            dispersion,
            mean_in_place,
        } = likelihood.canonical_gradient()?;
        (last.map == LayerMap::Affine).then(|| {
            let negated = &last.weight * (-1.0 / dispersion);
            Self {
                projected: -map_row_blocks(&[x], |block| {
                    matmul_into_aligned_rows(&block[0], &negated)
                }),
                negated,
                mean_in_place,
            }
        })
    }
}

impl DecoderOnTensors {
    /// Conditions `network` and `likelihood` on the rows of `x`, `[B, X]`, whose sizes the caller has
    /// checked.
    pub(crate) fn new(network: &Network, likelihood: Likelihood, x: &Tensor) -> Self {
        let _no_grad = tch::no_grad_guard();
        Self {
            latent_dim: network.input_dim(),
            x: x.copy(),
            projection: ProjectedObservations::new(network, &likelihood, x),
            blocks: NetworkBlocks::new(network).with_transposed_copies(),
            likelihood,
        }
    }

    /// Computes the log joint and the score, each only if `quantities` asks for it:
    /// `[N], [N, D] -> [N], [N, D]`.
    fn evaluate(
        &mut self,
        observations: &[i64],
        z: &Tensor,
        quantities: RequestedQuantities,
    ) -> Result<(Option<Tensor>, Option<Tensor>), ModelError> {
        let likelihood = &self.likelihood;
        check_observation_rows(self.x.size()[0], self.latent_dim, observations, z)?;
        let _no_grad = tch::no_grad_guard();
        let n_rows = observations.len() as i64;
        let index = pad_to_whole_blocks(&Tensor::from_slice(observations).to_device(z.device()));
        let z = pad_to_whole_blocks(z);
        let mut score = quantities.score.then(|| empty_aligned_like(&z));
        let log_joint = quantities
            .log_joint
            .then(|| Tensor::zeros([z.size()[0]], (Kind::Double, z.device())));
        for start in block_starts(&z) {
            let (index, z) = (block(&index, start), block(&z, start));
            let output = self.blocks.forward(&z);
            // With a projection, the score alone does not need the observations themselves.
            let x = (quantities.log_joint || self.projection.is_none())
                .then(|| self.x.index_select(0, &index));
            if let (Some(log_joint), Some(x)) = (&log_joint, &x) {
                let rows = likelihood.log_prob(x, output) + log_prior(&z);
                block(log_joint, start).copy_(&rows);
            }
            let Some(score) = &score else { continue };
            let mut into = block(score, start);
            if let Some(projection) = &self.projection {
                (projection.mean_in_place)(output);
                self.blocks
                    .pull_back_with_last_layer(&mut into, |mean, into| {
                        let _ = projection.projected.index_select_out(into, 0, &index);
                        let _ = into.addmm_(mean, &projection.negated);
                    });
            } else if let Some(x) = &x {
                likelihood.output_gradient_in_place(x, output);
                self.blocks.pull_back(&into);
            }
        }
        if let Some(score) = &mut score {
            *score -= z;
        }
        let cut = |rows: Tensor| rows.narrow(0, 0, n_rows).contiguous();
        Ok((log_joint.map(cut), score.map(cut)))
    }
}

/// What an evaluation is to compute.
#[derive(Clone, Copy)]
struct RequestedQuantities {
    log_joint: bool,
    score: bool,
}

impl RequestedQuantities {
    const SCORE: Self = Self {
        log_joint: false,
        score: true,
    };
    const LOG_JOINT: Self = Self {
        log_joint: true,
        score: false,
    };
    const BOTH: Self = Self {
        log_joint: true,
        score: true,
    };
}

const EXPECT_COMPUTED_MESSAGE: &str = "it was to be computed";

impl ConditionedModel for DecoderOnTensors {
    fn score(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let (_, score) = self.evaluate(observations, z, RequestedQuantities::SCORE)?;
        Ok(score.expect(EXPECT_COMPUTED_MESSAGE))
    }

    fn log_joint(&mut self, observations: &[i64], z: &Tensor) -> Result<Tensor, ModelError> {
        let (log_joint, _) = self.evaluate(observations, z, RequestedQuantities::LOG_JOINT)?;
        Ok(log_joint.expect(EXPECT_COMPUTED_MESSAGE))
    }

    fn log_joint_and_score(
        &mut self,
        observations: &[i64],
        z: &Tensor,
    ) -> Result<JointAndScore, ModelError> {
        let (log_joint, score) = self.evaluate(observations, z, RequestedQuantities::BOTH)?;
        Ok(JointAndScore {
            log_joint: log_joint.expect(EXPECT_COMPUTED_MESSAGE),
            score: score.expect(EXPECT_COMPUTED_MESSAGE),
        })
    }
}
