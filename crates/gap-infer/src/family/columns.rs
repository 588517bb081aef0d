//! Draws of one datapoint, stored feature after feature, so that loops over draws read contiguous memory.

use super::number::FloatNumber;
use std::ops::Range;

/// A column of `S` draws for each of `F` features: `[F, S]`.
#[derive(Clone, Debug, Default)]
pub struct FeatureColumns<T> {
    values: Vec<T>,
    n_samples: usize,
}

impl<T: FloatNumber> FeatureColumns<T> {
    /// Columns of zeros.
    pub fn zeros(n_features: usize, n_samples: usize) -> Self {
        Self {
            values: vec![T::default(); n_features * n_samples],
            n_samples,
        }
    }

    /// Columns with the values of `rows`, which are `[S, F]`, draw after draw.
    pub fn from_rows(rows: &[T], n_features: usize) -> Self {
        let n_samples = rows.len() / n_features;
        let mut columns = Self::zeros(n_features, n_samples);
        for (s, row) in rows.chunks_exact(n_features).enumerate() {
            for (feature, &value) in row.iter().enumerate() {
                columns.values[feature * n_samples + s] = value;
            }
        }
        columns
    }

    /// Writes the values to `rows` as `[S, F]`, draw after draw.
    pub fn write_rows(&self, rows: &mut [T]) {
        let n_features = self.n_features();
        for (s, row) in rows.chunks_exact_mut(n_features).enumerate() {
            for (feature, value) in row.iter_mut().enumerate() {
                *value = self.values[feature * self.n_samples + s];
            }
        }
    }

    /// The number of draws, `S`.
    pub const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// The number of features, `F`; 0 if there are no draws.
    pub const fn n_features(&self) -> usize {
        if self.n_samples == 0 {
            return 0;
        }
        self.values.len() / self.n_samples
    }

    /// A copy of the draw at the position `s`.
    pub fn one_draw(&self, s: usize) -> Self {
        let n_samples = self.n_samples.max(1);
        Self {
            values: self
                .values
                .iter()
                .skip(s)
                .step_by(n_samples)
                .copied()
                .collect(),
            n_samples: 1,
        }
    }

    /// A copy of some of the features.
    pub fn select_features(&self, features: Range<usize>) -> Self {
        let values = features.start * self.n_samples..features.end * self.n_samples;
        Self {
            values: self.values[values].to_vec(),
            n_samples: self.n_samples,
        }
    }

    /// These features, and then those of `other`.
    pub fn concat_features(mut self, other: &Self) -> Self {
        self.values.extend_from_slice(&other.values);
        self
    }

    /// All values, feature after feature.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Subtracts `other`, which must have the same shape.
    pub fn subtract(&mut self, other: &Self) {
        for (value, &other) in self.values.iter_mut().zip(&other.values) {
            *value -= other;
        }
    }

    /// The draws of a feature: `[S]`.
    pub fn feature(&self, feature: usize) -> &[T] {
        &self.values[feature * self.n_samples..][..self.n_samples]
    }

    /// The draws of a feature, mutably: `[S]`.
    pub fn feature_mut(&mut self, feature: usize) -> &mut [T] {
        &mut self.values[feature * self.n_samples..][..self.n_samples]
    }

    /// Iterates over the features; each item has a feature's draws, `[S]`.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        // Chunks of length 0 would panic; without draws there are no values, so any length gives no chunk.
        self.values.chunks_exact(self.n_samples.max(1))
    }

    /// Iterates mutably over the features, as [`Self::iter`] does.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        self.values.chunks_exact_mut(self.n_samples.max(1))
    }
}
