//! Worker threads that each hold a share of a workload, and run their shares at the same time.

use crate::work::Work;
use crate::workload::{Share, Workload};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A workload on one or more threads. Each thread sets up its own networks, so that no tensor is used by two
/// threads.
pub struct WorkerPool {
    workers: Vec<Worker>,
    n_threads: u64,
}

struct Worker {
    start: Sender<()>,
    finished: Receiver<f64>,
}

impl WorkerPool {
    /// Divides `work` among `n_threads` threads. Work that cannot be divided uses at most `n_threads` and
    /// [`Work::max_internal_threads`] threads.
    pub fn new(work: Work, n_threads: u64) -> Self {
        let of = if work.is_divisible() { n_threads } else { 1 };
        let own_threads = (n_threads / of).min(work.max_internal_threads());
        let workers = (0..of).map(|part| Worker::new(work, Share { part, of }, own_threads));
        Self {
            workers: workers.collect(),
            n_threads: of * own_threads,
        }
    }

    /// The number of threads that the workload uses.
    pub const fn n_threads(&self) -> u64 {
        self.n_threads
    }

    /// Runs every share once, and returns the sum of their results.
    ///
    /// # Panics
    ///
    /// If a share panics. Workloads return no errors, so that would be a bug.
    pub fn run(&self) -> f64 {
        for worker in &self.workers {
            worker
                .start
                .send(())
                .expect("a member works until it is told nothing more");
        }
        let finished = |worker: &Worker| worker.finished.recv().expect("a share runs to its end");
        self.workers.iter().map(finished).sum()
    }
}

impl Worker {
    fn new(work: Work, share: Share, own_threads: u64) -> Self {
        let (start, told) = channel();
        let (finish, finished) = channel();
        // The thread ends when the pool is dropped: that drops `start`, and `told.recv()` fails.
        thread::spawn(move || {
            let mut workload = Workload::share(work, share, own_threads);
            while told.recv().is_ok() {
                if finish.send(workload.run()).is_err() {
                    break;
                }
            }
        });
        Self { start, finished }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_do_the_same_work_as_one() {
        let work: Work = "W2_batch1000".parse().unwrap();
        let [one, two] = [1, 2].map(|n| WorkerPool::new(work, n));
        assert_eq!((one.n_threads(), two.n_threads()), (1, 2));
        let (one, two) = (one.run(), two.run());
        assert!((one - two).abs() < 1e-6 * one.abs().max(1.0), "{one} {two}");
    }

    #[test]
    fn what_cannot_be_divided_takes_the_threads_that_it_can_use() {
        let work: Work = "W5_B100".parse().unwrap();
        let [one, two] = [1, 4].map(|n| WorkerPool::new(work, n));
        assert_eq!((one.n_threads(), two.n_threads()), (1, 2));
        assert_eq!(one.run().to_bits(), two.run().to_bits());
    }
}
