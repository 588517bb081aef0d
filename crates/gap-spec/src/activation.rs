//! The nonlinearity between the layers of a network.

use crate::named_enum;

named_enum! {
    /// The nonlinearity between layers.
    Activation {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Rectifier.
        Relu = "relu",
        /// Exponential linear unit with `α = 1`.
        Elu = "elu",
    }
}
