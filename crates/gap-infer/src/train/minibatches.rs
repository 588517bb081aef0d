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
    /// Minibatches of `size` out of `n` datapoints, or of all `n` if they are fewer.
    pub fn new(n: usize, size: usize, key: SeedKey) -> Self {
        Self {
            key,
            n,
            size: size.min(n),
            pass: 0,
            order: Vec::new(),
        }
    }

    /// Returns the positions of the next minibatch. The rest of a pass is dropped if it is too short for one.
    pub fn next_positions(&mut self) -> Vec<usize> {
        if self.order.len() < self.size {
            self.order = uniform_permutation(self.key.for_index(self.pass), self.n);
            self.pass += 1;
        }
        self.order.split_off(self.order.len() - self.size)
    }
}
