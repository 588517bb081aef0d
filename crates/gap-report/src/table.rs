//! Tables, whatever they are about: their content, and its layout as text.

mod by_group;
mod content;
mod cost;
pub(crate) mod layout;
pub(crate) mod number;

pub(crate) use by_group::{encoder_name, table_by_group, table_by_model};
pub(crate) use content::Table;
pub(crate) use cost::{mean_gradients, mean_seconds};
