//! Draws of one datapoint, feature after feature: loops over draws are then loops over memory.

use super::number::FloatNumber;
use std::ops::Range;

/// `[F, S]`: a column of `S` draws for each of `F` features.
#[derive(Clone, Debug, Default)]
pub struct FeatureColumns<T> {
    values: Vec<T>,
    n_samples: usize,
}

impl<T: FloatNumber> FeatureColumns<T> {
    /// Zeros.
    pub fn zeros(n_features: usize, n_samples: usize) -> Self {
        Self {
            values: vec![T::default(); n_features * n_samples],
            n_samples,
        }
    }

    /// Of `[S, F]`, draw after draw.
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

    /// Writes `[S, F]`, draw after draw.
    pub fn write_rows(&self, rows: &mut [T]) {
        let n_features = self.n_features();
        for (s, row) in rows.chunks_exact_mut(n_features).enumerate() {
            for (feature, value) in row.iter_mut().enumerate() {
                *value = self.values[feature * self.n_samples + s];
            }
        }
    }

    /// `S`.
    pub const fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// `F`.
    pub const fn n_features(&self) -> usize {
        if self.n_samples == 0 {
            return 0;
        }
        self.values.len() / self.n_samples
    }

    /// Some of the features.
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

    /// All values.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Takes `other`, of the same shape, away.
    pub fn subtract(&mut self, other: &Self) {
        for (value, &other) in self.values.iter_mut().zip(&other.values) {
            *value -= other;
        }
    }

    /// The draws of a feature: `[S]`.
    pub fn feature(&self, feature: usize) -> &[T] {
        &self.values[feature * self.n_samples..][..self.n_samples]
    }

    /// The draws of a feature: `[S]`.
    pub fn feature_mut(&mut self, feature: usize) -> &mut [T] {
        &mut self.values[feature * self.n_samples..][..self.n_samples]
    }

    /// The draws of the features, one after another.
    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        // A chunk of length 0 is not allowed, and there are none then.
        self.values.chunks_exact(self.n_samples.max(1))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        self.values.chunks_exact_mut(self.n_samples.max(1))
    }
}
