//! Fits networks and decoders by steps of Adam, on the kernels or by libtorch.

mod adam;
mod background;
mod decoder;
mod network;
mod state;

pub use adam::FlatAdam;
pub use decoder::{DecoderLearner, LatentDraws};
pub use network::NetworkLearner;
pub use state::OptimizerState;
