//! Which datapoints each step learns from.

use gap_torch::{SeedKey, uniform_permutation};

/// Minibatches without replacement, in a new random order in each pass over the data.
pub struct Minibatches {
    key: SeedKey,
    n: usize,
    size: usize,
    pass: u64,
    order: Vec<usize>,
}

impl Minibatches {
    /// Of `size` out of `n` datapoints, or of all of them if they are fewer.
    pub fn new(n: usize, size: usize, key: SeedKey) -> Self {
        Self {
            key,
            n,
            size: size.min(n),
            pass: 0,
            order: Vec::new(),
        }
    }

    /// Positions of the next minibatch; what is left of a pass that is too short is dropped.
    pub fn next_positions(&mut self) -> Vec<usize> {
        if self.order.len() < self.size {
            self.order = uniform_permutation(self.key.for_index(self.pass), self.n);
            self.pass += 1;
        }
        self.order.split_off(self.order.len() - self.size)
    }
}
