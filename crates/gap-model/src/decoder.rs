//! A decoder network with a likelihood and a standard-normal prior, and its hand-derived score.

use crate::backend::Backend;
use crate::conditioned::ConditionedModel;
use crate::decoder_on_tensors::DecoderOnTensors;
use crate::kernels::{DecoderOnKernels, pack_decoder};
use crate::likelihood::Likelihood;
use crate::model::{LatentVariableModel, check_observed, check_sizes};
use crate::model_error::ModelError;
use crate::network::Network;
use crate::network_blocks::NetworkBlocks;
use crate::standard_normal::log_prior;
use gap_kernel::FusedDecoder;
use gap_torch::checkpoint::{Checkpoint, CheckpointError};
use gap_torch::{
    NoiseStream, block, block_starts, empty_aligned_like, map_row_blocks, pad_to_whole_blocks,
};
use std::cell::OnceCell;
use tch::{Device, Kind, Tensor};

/// A model with `p(z) = N(0, I)` and a likelihood `p(x | z)` whose parameters a network computes from `z`.
pub struct Decoder {
    network: Network,
    likelihood: Likelihood,
    /// The decoder packed for the kernels, made at its first use. The inner `None` means that libtorch computes
    /// this decoder.
    packed: OnceCell<Option<FusedDecoder>>,
}

/// An alias of [`Decoder`], named after its most common network, a perceptron.
pub type MlpDecoder = Decoder;

impl Decoder {
    /// Makes a decoder from its network (`D` inputs, `X` outputs) and its likelihood.
    ///
    /// # Panics
    ///
    /// If the likelihood learns scales, but their number is not that of the network's outputs.
    pub fn new(network: Network, likelihood: Likelihood) -> Self {
        let n_scales = likelihood.n_learned_parameters();
        assert!(
            n_scales == 0 || n_scales == network.output_dim() as u64,
            "a scale for each of {} outputs, not {n_scales}",
            network.output_dim()
        );
        Self {
            network,
            likelihood,
            packed: OnceCell::new(),
        }
    }

    /// The network.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// A clone of the likelihood, which shares its learned parameters with the decoder.
    pub fn likelihood(&self) -> Likelihood {
        self.likelihood.clone()
    }

    /// The network, for fitting. The copy of its weights that was packed for the kernels is discarded.
    pub fn network_mut(&mut self) -> &mut Network {
        self.packed.take();
        &mut self.network
    }

    /// The likelihood, for fitting: its learned parameters are a part of the decoder.
    pub fn likelihood_mut(&mut self) -> &mut Likelihood {
        self.packed.take();
        &mut self.likelihood
    }

    /// The same decoder, computed by `backend` if the kernels support it, and by libtorch otherwise.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self::new(self.network.with_backend(backend), self.likelihood)
    }

    /// The same decoder with tensors of another kind, such as `f64` to test gradients.
    #[must_use]
    pub fn to_kind(&self, kind: Kind) -> Self {
        Self::new(self.network.to_kind(kind), self.likelihood.to_kind(kind))
    }

    /// Adds all learned parameters to `checkpoint`, under names that begin with `prefix`.
    pub fn store(&self, checkpoint: &mut Checkpoint, prefix: &str) {
        self.network.store(checkpoint, prefix);
        self.likelihood.store(checkpoint, prefix);
    }

    /// The same decoder on `device`, with the parameters that [`Decoder::store`] wrote.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Missing`] if a tensor is not there, or has another shape.
    pub fn restored(
        self,
        checkpoint: &Checkpoint,
        prefix: &str,
        device: Device,
    ) -> Result<Self, CheckpointError> {
        Ok(Self::new(
            self.network.restored(checkpoint, prefix, device)?,
            self.likelihood.restored(checkpoint, prefix, device)?,
        ))
    }

    /// The decoder packed for the kernels; `None` if libtorch computes this decoder.
    fn packed_for_kernels(&self) -> Option<&FusedDecoder> {
        let pack = || pack_decoder(&self.network, &self.likelihood);
        self.packed.get_or_init(pack).as_ref()
    }

    /// `log p(x | z)` of rows, `f64`: `[N, X], [N, D] -> [N]`.
    fn log_likelihood_rows(&self, x: &Tensor, z: &Tensor) -> Tensor {
        self.likelihood.log_prob(x, &self.network.forward(z))
    }
}

/// Returns the datapoint that each row belongs to, `[S·B]`, and `z` as rows, `[S·B, D]`. Row `s·B + b` belongs
/// to datapoint `b`.
fn datapoint_index_and_z_rows(x: &Tensor, z: &Tensor, n_samples: i64) -> (Tensor, Tensor) {
    let z_rows = z.reshape([-1, z.size()[2]]);
    let index = Tensor::arange(x.size()[0], (Kind::Int64, x.device())).repeat([n_samples]);
    (index, z_rows)
}

/// The datapoint that each row belongs to: row `s·B + b` belongs to datapoint `b`.
fn datapoint_of_each_row(n_samples: i64, batch: i64) -> Vec<usize> {
    let rows = 0..(n_samples * batch) as usize;
    rows.map(|row| row % batch.max(1) as usize).collect()
}

impl LatentVariableModel for Decoder {
    fn latent_dim(&self) -> i64 {
        self.network.input_dim()
    }

    fn observed_dim(&self) -> i64 {
        self.network.output_dim()
    }

    fn device(&self) -> Device {
        self.network.device()
    }

    fn kind(&self) -> Kind {
        self.network.kind()
    }

    fn is_on_kernels(&self) -> bool {
        self.packed_for_kernels().is_some()
    }

    fn log_joint(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let [n_samples, batch] = check_sizes(self, x, z)?;
        let (index, z_rows) = datapoint_index_and_z_rows(x, z, n_samples);
        let log_likelihood = if z.requires_grad() {
            // The whole batch is one graph, without blocks.
            self.log_likelihood_rows(&x.index_select(0, &index), &z_rows)
        } else if let Some(packed) = self.packed_for_kernels() {
            let conditioned = DecoderOnKernels::new(packed, self.latent_dim(), x);
            conditioned.log_likelihood_rows(&datapoint_of_each_row(n_samples, batch), &z_rows)
        } else {
            map_row_blocks(&[&index, &z_rows], |block| {
                self.log_likelihood_rows(&x.index_select(0, &block[0]), &block[1])
            })
        };
        Ok(log_likelihood.view([n_samples, batch]) + log_prior(z))
    }

    /// The likelihood's gradient with respect to the network's output is pulled back through the layers by
    /// hand; the prior adds `∇_z log N(z; 0, I) = −z`.
    fn score(&self, x: &Tensor, z: &Tensor) -> Result<Tensor, ModelError> {
        let [n_samples, batch] = check_sizes(self, x, z)?;
        let _no_grad = tch::no_grad_guard();
        if let Some(packed) = self.packed_for_kernels() {
            let conditioned = DecoderOnKernels::new(packed, self.latent_dim(), x);
            let rows = z.reshape([-1, self.latent_dim()]);
            let score = conditioned.score_rows(&datapoint_of_each_row(n_samples, batch), &rows);
            return Ok(score.view([n_samples, batch, self.latent_dim()]));
        }
        let z_blocks = pad_to_whole_blocks(&z.reshape([-1, self.latent_dim()]));
        // Row s·B + b belongs to datapoint b. The rows that pad the last block may belong to any datapoint,
        // since their scores are cut off.
        let index =
            Tensor::arange(z_blocks.size()[0], (Kind::Int64, x.device())).remainder(batch.max(1));
        let mut blocks = NetworkBlocks::new(&self.network);
        let mut score = empty_aligned_like(&z_blocks);
        for start in block_starts(&z_blocks) {
            let output = blocks.forward(&block(&z_blocks, start));
            let x = x.index_select(0, &block(&index, start));
            self.likelihood.output_gradient_in_place(&x, output);
            // A conditioned decoder projects x once for all evaluations; for a single evaluation that would not
            // pay off.
            blocks.pull_back(&block(&score, start));
        }
        score -= z_blocks;
        let score = score.narrow(0, 0, n_samples * batch).contiguous();
        Ok(score.view([n_samples, batch, self.latent_dim()]))
    }

    fn condition<'a>(&'a self, x: &Tensor) -> Result<Box<dyn ConditionedModel + 'a>, ModelError> {
        check_observed(self, x)?;
        Ok(match self.packed_for_kernels() {
            Some(packed) => Box::new(DecoderOnKernels::new(packed, self.latent_dim(), x)),
            None => Box::new(DecoderOnTensors::new(&self.network, self.likelihood(), x)),
        })
    }

    fn sample_joint(&self, noise: &mut NoiseStream) -> Result<(Tensor, Tensor), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let z = noise
            .normal(1, self.latent_dim())
            .squeeze_dim(0)
            .to_kind(self.kind());
        let output = map_row_blocks(&[&z], |block| self.network.forward(&block[0]));
        Ok((self.likelihood.sample(&output, noise), z))
    }

    fn check_support(&self, x: &Tensor) -> Result<(), ModelError> {
        self.likelihood.check_support(x)
    }
}
