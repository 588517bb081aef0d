//! An experiment: one question that is answered on one problem or on several.

use crate::check::CheckedSpec;

/// The content of a checked spec file.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// The name of the experiment and of its results folder.
    pub name: String,
    /// The question that it answers.
    pub question: String,
    /// The answer that would contradict expectations.
    pub surprise: String,
    /// The problems, in the order of the file; at least one.
    pub problems: Vec<Problem>,
    /// The text that [`crate::document::write`] returns.
    pub(crate) as_file: String,
}

/// What a question is answered on: data, model and methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its name in `[variants]`; `None` for the only problem of a file without variants.
    pub variant: Option<String>,
    /// The keys of the file, overridden by those of the variant.
    pub spec: CheckedSpec,
}

impl Experiment {
    /// The problem of this variant; `None` asks for the problem of an experiment without variants.
    pub fn problem(&self, variant: Option<&str>) -> Option<&Problem> {
        let mut problems = self.problems.iter();
        problems.find(|problem| problem.variant.as_deref() == variant)
    }
}
