//! A named array of observations, in memory, whose rows keep their ids through every selection.

use crate::batch::{Batch, assert_one_row_for_each_id};
use std::sync::OnceLock;
use tch::{Device, Tensor};

/// `N` observations of `X` numbers with their ids, on the CPU.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    ids: Vec<u64>,
    x: Tensor,
    image_shape: Option<[i64; 2]>,
    digest: OnceLock<String>,
}

impl Dataset {
    /// The observations `x [N, X]` of the datapoints `ids`; it is copied to the CPU if it is
    /// elsewhere, and its graph is cut.
    ///
    /// `image_shape` is height and width, in pixels, of data that can be shown as grey images.
    ///
    /// # Panics
    ///
    /// If `x` is not a matrix of `f32` with one row for each id, or its rows do not fill an image.
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

    /// The name: another one for every transformation of the observations.
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

    /// Height and width in pixels, where rows are images.
    pub fn image_shape(&self) -> Option<[i64; 2]> {
        self.image_shape
    }

    /// How many numbers an observation has, `X`.
    pub fn observed_dim(&self) -> i64 {
        self.x.size()[1]
    }

    /// How many datapoints there are, `N`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// BLAKE3 of shape, ids and observations, as hexadecimal digits; the name is not part of it.
    ///
    /// Computed when it is first asked for, and kept.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            for size in self.x.size() {
                hasher.update(&size.to_le_bytes());
            }
            for id in &self.ids {
                hasher.update(&id.to_le_bytes());
            }
            // In blocks of rows, so that a large array is not held three times.
            let (rows, block) = (self.x.size()[0], 4096);
            for start in (0..rows).step_by(block) {
                let part = self.x.narrow(0, start, (rows - start).min(block as i64));
                let values =
                    Vec::<f32>::try_from(part.reshape([-1])).expect("a data set is f32 on the CPU");
                let bytes: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                hasher.update(&bytes);
            }
            hasher.finalize().to_hex().to_string()
        })
    }

    /// The rows at `positions`, in that order, under the same name and with their own ids.
    ///
    /// # Panics
    ///
    /// If a position is not below [`Dataset::len`].
    pub fn select(&self, positions: &[usize]) -> Self {
        let batch = self.batch_at(positions, Device::Cpu);
        let (ids, x) = (batch.ids().to_vec(), batch.x().shallow_clone());
        Self::new(self.name.as_str(), ids, x, self.image_shape)
    }

    /// The first `n` rows, under the same name.
    ///
    /// # Panics
    ///
    /// If there are fewer.
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

    /// All rows in order, at most `batch_size` at a time, on `device`; the last batch may be smaller.
    ///
    /// # Panics
    ///
    /// If `batch_size` is 0.
    pub fn batches(&self, batch_size: usize, device: Device) -> impl Iterator<Item = Batch> {
        assert!(batch_size > 0, "a batch has at least one datapoint");
        (0..self.len()).step_by(batch_size).map(move |start| {
            let n = batch_size.min(self.len() - start);
            // A view of the rows where they already are on the device: nobody writes to them.
            let x = self.x.narrow(0, start as i64, n as i64).to_device(device);
            Batch::new(self.ids[start..start + n].to_vec(), x)
        })
    }

    /// The rows at `positions`, in that order, on `device`.
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
