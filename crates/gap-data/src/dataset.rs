//! A named array of observations in memory; its rows keep their ids when some of them are selected.

use crate::batch::{Batch, assert_one_row_for_each_id};
use gap_torch::{to_f32_values, to_f64_values};
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor};

/// `N` observations of `X` values each, and their ids, on the CPU.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    ids: Vec<u64>,
    x: Tensor,
    image_shape: Option<[i64; 2]>,
    digest: OnceLock<String>,
}

impl Dataset {
    /// A data set of the datapoints `ids` with the observations `x`, `[N, X]`, which are moved to the CPU and
    /// detached from their autograd graph.
    ///
    /// `image_shape` is the height and width, in pixels, of observations that can be shown as grey images.
    ///
    /// # Panics
    ///
    /// If `x` is not a matrix of `f32` or `f64` with one row for each id, or if `X` is not height times width.
    pub fn new(
        name: impl Into<String>,
        ids: Vec<u64>,
        x: Tensor,
        image_shape: Option<[i64; 2]>,
    ) -> Self {
        assert_one_row_for_each_id("a data set", &ids, &x);
        let observed_dim = x.size()[1];
        if let Some([height, width]) = image_shape {
            assert_eq!(
                height * width,
                observed_dim,
                "a row of X numbers fills an image of {height}x{width} pixels"
            );
        }
        Self {
            name: name.into(),
            ids,
            x: x.detach().to_device(Device::Cpu).contiguous(),
            image_shape,
            digest: OnceLock::new(),
        }
    }

    /// The name; transformed observations have a different name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The observations, `[N, X]`, on the CPU.
    pub fn x(&self) -> &Tensor {
        &self.x
    }

    /// Height and width of an image, in pixels; `None` if observations are not images.
    pub fn image_shape(&self) -> Option<[i64; 2]> {
        self.image_shape
    }

    /// The number of values in an observation, `X`.
    pub fn observed_dim(&self) -> i64 {
        self.x.size()[1]
    }

    /// The number of datapoints, `N`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the data set has no datapoints.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// BLAKE3 digest of shape, ids and observations, as hexadecimal digits; it does not depend on the name.
    ///
    /// It is computed by the first call and cached.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            for size in self.x.size() {
                hasher.update(&size.to_le_bytes());
            }
            for id in &self.ids {
                hasher.update(&id.to_le_bytes());
            }
            // Hashing copies the values twice, as numbers and as bytes; a block at a time keeps the copies small.
            let (rows, block) = (self.x.size()[0], 4096);
            for start in (0..rows).step_by(block) {
                let part = self.x.narrow(0, start, (rows - start).min(block as i64));
                let bytes: Vec<u8> = match self.x.kind() {
                    Kind::Double => {
                        let values = to_f64_values(&part).into_iter();
                        values.flat_map(f64::to_le_bytes).collect()
                    }
                    _ => {
                        let values = to_f32_values(&part).into_iter();
                        values.flat_map(f32::to_le_bytes).collect()
                    }
                };
                hasher.update(&bytes);
            }
            hasher.finalize().to_hex().to_string()
        })
    }

    /// A data set of the rows at `positions`, in that order. Rows keep their ids, and the name stays the same.
    ///
    /// # Panics
    ///
    /// If a position is not below [`Dataset::len`].
    pub fn select(&self, positions: &[usize]) -> Self {
        let batch = self.batch_at(positions, Device::Cpu);
        let (ids, x) = (batch.ids().to_vec(), batch.x().shallow_clone());
        Self::new(self.name.as_str(), ids, x, self.image_shape)
    }

    /// The same observations with numbers of another kind.
    #[must_use]
    pub fn to_kind(self, kind: Kind) -> Self {
        if self.x.kind() == kind {
            return self;
        }
        Self::new(self.name, self.ids, self.x.to_kind(kind), self.image_shape)
    }

    /// A data set of the first `n` rows, with the same name.
    ///
    /// # Panics
    ///
    /// If there are fewer than `n` rows.
    pub fn first(&self, n: usize) -> Self {
        assert!(
            n <= self.len(),
            "the first {n} of `{}`, which has {} rows",
            self.name,
            self.len()
        );
        let x = self.x.narrow(0, 0, n as i64).copy();
        Self::new(
            self.name.as_str(),
            self.ids[..n].to_vec(),
            x,
            self.image_shape,
        )
    }

    /// Iterates over all rows in order, in batches of `batch_size` rows on `device`; the last batch may be
    /// smaller.
    ///
    /// # Panics
    ///
    /// If `batch_size` is 0.
    pub fn batches(&self, batch_size: usize, device: Device) -> impl Iterator<Item = Batch> {
        self.batches_from(0, batch_size, device)
    }

    /// As [`Dataset::batches`], of the rows from position `first` on.
    ///
    /// # Panics
    ///
    /// If `batch_size` is 0.
    pub fn batches_from(
        &self,
        first: usize,
        batch_size: usize,
        device: Device,
    ) -> impl Iterator<Item = Batch> {
        assert!(batch_size > 0, "a batch has at least one datapoint");
        (first..self.len()).step_by(batch_size).map(move |start| {
            let n = batch_size.min(self.len() - start);
            // On the CPU this is a view of the data set's own memory, which is safe: nothing writes to batches.
            let x = self.x.narrow(0, start as i64, n as i64).to_device(device);
            Batch::new(self.ids[start..start + n].to_vec(), x)
        })
    }

    /// A batch of the rows at `positions`, in that order, on `device`.
    ///
    /// # Panics
    ///
    /// If a position is not below [`Dataset::len`].
    pub fn batch_at(&self, positions: &[usize], device: Device) -> Batch {
        let ids = positions
            .iter()
            .map(|&position| self.ids[position])
            .collect();
        let index: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
        let x = self.x.index_select(0, &Tensor::from_slice(&index));
        Batch::new(ids, x.to_device(device))
    }
}
