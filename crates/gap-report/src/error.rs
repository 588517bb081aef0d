//! What goes wrong when a report is rendered.

/// A file of a report cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct RenderError {
    file: String,
    message: String,
}

/// The content cannot be put into the form of `file`.
pub(crate) fn render_error<E: std::fmt::Display>(file: &str) -> impl FnOnce(E) -> RenderError + '_ {
    move |error| RenderError {
        file: file.to_owned(),
        message: error.to_string(),
    }
}
