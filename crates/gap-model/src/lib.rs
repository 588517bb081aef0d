//! Latent-variable models p(x, z), frozen.
