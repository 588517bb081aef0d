//! A few datapoints that are processed together, each with its id, which selects its stream of random draws.

use tch::{Kind, Tensor};

/// Some rows of a data set and their ids: `B` ids, and observations `x`, `[B, X]`, `f32` or `f64`.
#[derive(Debug)]
pub struct Batch {
    ids: Vec<u64>,
    x: Tensor,
}

impl Batch {
    /// A batch of the datapoints `ids` with the observations `x`, `[B, X]`.
    ///
    /// # Panics
    ///
    /// If `x` is not a matrix of `f32` or `f64` with one row for each id.
    pub fn new(ids: Vec<u64>, x: Tensor) -> Self {
        assert_one_row_for_each_id("a batch", &ids, &x);
        Self { ids, x }
    }

    /// The ids, in the order of the rows.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The observations, `[B, X]`.
    pub fn x(&self) -> &Tensor {
        &self.x
    }

    /// The number of datapoints, `B`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the batch has no datapoints.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Panics unless `x` is a matrix of `f32` or `f64` with one row for each id.
pub(crate) fn assert_one_row_for_each_id(holder: &str, ids: &[u64], x: &Tensor) {
    let shape = x.size();
    assert!(
        shape.len() == 2 && usize::try_from(shape[0]) == Ok(ids.len()),
        "{holder} has one row of x [B, X] for each id: {} ids, x has shape {shape:?}",
        ids.len()
    );
    let kind = x.kind();
    assert!(
        matches!(kind, Kind::Float | Kind::Double),
        "{holder} holds f32 or f64, not {kind:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    #[should_panic(expected = "2 ids, x has shape [3, 4]")]
    fn a_row_without_an_id_is_refused() {
        Batch::new(
            vec![0, 1],
            Tensor::zeros([3, 4], (Kind::Float, Device::Cpu)),
        );
    }

    #[test]
    #[should_panic(expected = "a batch holds f32 or f64, not Int")]
    fn another_kind_of_number_is_refused() {
        Batch::new(vec![0], Tensor::zeros([1, 4], (Kind::Int, Device::Cpu)));
    }
}
