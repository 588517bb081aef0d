//! What a table holds, whatever it is about; how it looks as text is in `layout`.

/// A row of headings, rows of text, and notes below.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many columns at the start are names, set flush left.
    pub(crate) n_names: usize,
    /// What a reader must know to read the numbers.
    pub(crate) notes: Vec<String>,
}

impl Table {
    /// No rows yet; `n_names` columns at the start are names.
    pub(crate) fn new(n_names: usize, headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(|&heading| heading.to_owned()).collect(),
            rows: Vec::new(),
            n_names,
            notes: Vec::new(),
        }
    }

    /// The table, unless it has no rows.
    pub(crate) fn into_vec_unless_empty(self) -> Vec<Self> {
        (!self.rows.is_empty())
            .then_some(self)
            .into_iter()
            .collect()
    }

    /// The table without the column of this heading.
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
