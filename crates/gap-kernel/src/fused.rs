//! Packed decoders and perceptrons, whichever vector instructions they use.

use crate::instructions::Instructions;
use crate::network::{Layer, Network, check_layers};
use crate::packed::AlignedBuffer;
use crate::paths::{DecoderOutputs, DecoderPath, ForwardPath};
use gap_spec::Activation;
use gap_spec::Precision;
use std::sync::Arc;

/// A decoder, packed once for the kernels; clones share it.
#[derive(Clone)]
pub struct FusedDecoder {
    full: Arc<dyn DecoderPath>,
    /// The decoder with 16-bit factors, if there are instructions for their products.
    half: Option<Arc<dyn DecoderPath>>,
}

impl FusedDecoder {
    /// Packs `network`; `None` if this machine does not support `instructions`.
    ///
    /// # Panics
    ///
    /// If layers are missing, empty, or do not fit each other.
    pub fn new(network: &Network<'_>, instructions: Instructions) -> Option<Self> {
        check_layers(network.layers);
        let path = |precision| build_decoder_path(network, instructions, precision);
        let full = instructions
            .is_supported()
            .then(|| path(Precision::Full))??;
        let half = instructions
            .has_bf16()
            .then(|| path(Precision::Mixed))
            .flatten();
        Some(Self { full, half })
    }

    /// The same decoder, but always in full precision, whatever precision is asked for.
    #[must_use]
    pub fn without_half_precision(self) -> Self {
        Self { half: None, ..self }
    }

    /// The packed decoder for this precision, or for full precision if there is none.
    fn packed_decoder_for(&self, precision: Precision) -> &dyn DecoderPath {
        match (precision, &self.half) {
            (Precision::Mixed, Some(half)) => half.as_ref(),
            _ => self.full.as_ref(),
        }
    }

    /// Fixes the observations that the decoder is then evaluated at: the rows of `x`, `[B, X]`.
    ///
    /// # Panics
    ///
    /// If the length of `x` is not a multiple of the number of outputs.
    pub fn condition(&self, x: &[f32]) -> FusedConditionedDecoder {
        let (dim, width) = (self.full.observed_dim(), self.full.padded_observed_dim());
        assert_eq!(x.len() % dim, 0, "rows of x are as long as the output");
        let n_observations = x.len() / dim;
        let mut padded = AlignedBuffer::zeros(n_observations * width);
        let rows = padded.as_mut_slice().chunks_exact_mut(width);
        for (to, from) in rows.zip(x.chunks_exact(dim)) {
            to[..dim].copy_from_slice(from);
        }
        FusedConditionedDecoder {
            decoder: self.clone(),
            x: padded,
            n_observations,
        }
    }
}

/// A decoder at fixed observations.
pub struct FusedConditionedDecoder {
    decoder: FusedDecoder,
    x: AlignedBuffer<f32>, // [B, X], rows padded with zeros
    n_observations: usize,
}

impl FusedConditionedDecoder {
    /// Computes `outputs` for the rows of `z`, `[N, D]`; row `n` belongs to observation `observations[n]`.
    ///
    /// A row of `z` that contains NaN has NaN as its results, and no row affects another.
    ///
    /// # Panics
    ///
    /// If lengths do not fit, or an observation does not exist.
    pub fn evaluate(&self, observations: &[usize], z: &[f32], outputs: DecoderOutputs<'_>) {
        let path = self.decoder.packed_decoder_for(outputs.precision);
        let (dim, n_rows) = (path.latent_dim(), observations.len());
        let is_there = |&row: &usize| row < self.n_observations;
        assert!(observations.iter().all(is_there), "an observation is there");
        assert_eq!(z.len(), n_rows * dim, "each row has its z");
        if let Some(score) = &outputs.score {
            assert_eq!(score.len(), n_rows * dim, "each row has its score");
        }
        if let Some(values) = &outputs.log_likelihood {
            assert_eq!(values.len(), n_rows, "each row has its log likelihood");
        }
        path.evaluate(&self.x, observations, z, outputs);
    }
}

/// A perceptron, such as an encoder, packed for computing its output; clones share it.
#[derive(Clone)]
pub struct FusedForward {
    path: Arc<dyn ForwardPath>,
}

impl FusedForward {
    /// Packs `layers` with `activation` between them; `None` if this machine does not support `instructions`.
    ///
    /// # Panics
    ///
    /// If layers are missing, empty, or do not fit each other.
    pub fn new(
        layers: &[Layer<'_>],
        activation: Activation,
        instructions: Instructions,
    ) -> Option<Self> {
        check_layers(layers);
        let is_there = instructions.is_supported();
        let path = is_there.then(|| build_forward_path(layers, activation, instructions))?;
        path.map(|path| Self { path })
    }

    /// Returns the output of each row: `[N, in] -> [N, out]`. A row's bits do not depend on the other rows.
    ///
    /// # Panics
    ///
    /// If the length of `input` is not a multiple of the number of inputs.
    pub fn forward(&self, input: &[f32]) -> Vec<f32> {
        let n_inputs = self.path.n_inputs();
        assert_eq!(input.len() % n_inputs, 0, "rows are as long as the input");
        let mut output = vec![0.0; input.len() / n_inputs * self.path.n_outputs()];
        if !input.is_empty() {
            self.path.forward(input, &mut output);
        }
        output
    }
}

#[cfg(target_arch = "x86_64")]
fn build_forward_path(
    layers: &[Layer<'_>],
    activation: Activation,
    instructions: Instructions,
) -> Option<Arc<dyn ForwardPath>> {
    use crate::avx2::Avx2;
    use crate::avx512::Avx512;
    use crate::forward::PackedPerceptron;
    Some(match instructions {
        Instructions::Avx512 => Arc::new(PackedPerceptron::<Avx512>::new(layers, activation)),
        Instructions::Avx2 => Arc::new(PackedPerceptron::<Avx2>::new(layers, activation)),
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn build_forward_path(
    _: &[Layer<'_>],
    _: Activation,
    _: Instructions,
) -> Option<Arc<dyn ForwardPath>> {
    None
}

#[cfg(target_arch = "x86_64")]
fn build_decoder_path(
    network: &Network<'_>,
    instructions: Instructions,
    precision: Precision,
) -> Option<Arc<dyn DecoderPath>> {
    use crate::avx2::Avx2;
    use crate::avx512::{Avx512, Avx512Bf16};
    use crate::decoder::PackedDecoder;
    Some(match (instructions, precision) {
        (Instructions::Avx512, Precision::Full) => Arc::new(PackedDecoder::<Avx512>::new(network)),
        (Instructions::Avx2, Precision::Full) => Arc::new(PackedDecoder::<Avx2>::new(network)),
        (_, Precision::Mixed) if instructions.has_bf16() => {
            Arc::new(PackedDecoder::<Avx512Bf16>::new(network))
        }
        (_, Precision::Mixed) => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn build_decoder_path(
    _: &Network<'_>,
    _: Instructions,
    _: Precision,
) -> Option<Arc<dyn DecoderPath>> {
    None
}
