//! The content of a table, whatever it is about; `layout` turns it into text.

/// A row of headings, rows of text, and notes below.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// The number of columns at the start that are names; these are aligned to the left.
    pub(crate) n_names: usize,
    /// Explanations of the numbers.
    pub(crate) notes: Vec<String>,
}

impl Table {
    /// Returns a table without rows, whose first `n_names` columns are names.
    pub(crate) fn new(n_names: usize, headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|&heading| heading.to_owned()).collect(),
            rows: Vec::new(),
            n_names,
            notes: Vec::new(),
        }
    }

    /// Returns the table alone, or nothing if it has no rows.
    pub(crate) fn into_vec_unless_empty(self) -> Vec<Self> {
        (!self.rows.is_empty())
            .then_some(self)
            .into_iter()
            .collect()
    }

    /// Removes the column with this heading, if there is one.
    pub(crate) fn without_column(mut self, heading: &str) -> Self {
        if let Some(column) = self.headings.iter().position(|h| h == heading) {
            self.headings.remove(column);
            for row in &mut self.rows {
                row.remove(column);
            }
            self.n_names -= usize::from(column < self.n_names);
        }
        self
    }
}
