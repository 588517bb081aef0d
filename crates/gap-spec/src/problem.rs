//! An experiment: one question, put to one problem or to several.

use crate::check::CheckedSpec;

/// What a spec file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name, also of its folder of results.
    pub name: String,
    /// The question that it answers.
    pub question: String,
    /// The answer that would surprise.
    pub surprise: String,
    /// The problems, in the order of the file; at least one.
    pub problems: Vec<Problem>,
    /// See [`crate::document::write`].
    pub(crate) as_file: String,
}

/// What a question is put to: data, model and methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its name in `[variants]`; the only problem of a file without them has none.
    pub variant: Option<String>,
    /// The file's keys, with the variant's own in their place.
    pub spec: CheckedSpec,
}

impl Experiment {
    /// The problem of this name, or that of an experiment without variants.
    pub fn problem(&self, variant: Option<&str>) -> Option<&Problem> {
        let mut problems = self.problems.iter();
        problems.find(|problem| problem.variant.as_deref() == variant)
    }
}
