//! Reads the messages of libtorch's errors: leaves out their backtraces, and recognizes those that say that
//! memory or threads ran out.
//!
//! tch's functions panic with libtorch's errors, so that a message can also be that of a panic, which quotes
//! it. Panics of the standard library and of rayon say that threads ran out.

/// The first line of an error message, without libtorch's C++ backtrace.
///
/// The backtrace is in further lines, whose line breaks are escaped if a panic quotes the error.
pub fn without_backtrace(message: &str) -> &str {
    let first_line = message.lines().next().unwrap_or_default();
    let backtrace = ["\\nframe #", "\\nException raised from "]
        .iter()
        .filter_map(|start| first_line.find(start))
        .min();
    &first_line[..backtrace.unwrap_or(first_line.len())]
}

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Memory, of the machine, of a GPU, or up to a limit that is set for the process.
    Memory,
    /// Threads, which need memory for their stacks, and whose number can be limited.
    Threads,
}

impl Shortage {
    /// What ran out according to an error message.
    pub fn in_message(message: &str) -> Option<Self> {
        let contains = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if contains(&OUT_OF_MEMORY) {
            Some(Self::Memory)
        } else if contains(&OUT_OF_THREADS) {
            Some(Self::Threads)
        } else {
            None
        }
    }

    /// What ran out, and what to do about it in a run.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Memory => {
                "memory ran out; use `--jobs 1`, a smaller `evaluation.batch_size`, or a higher limit on memory"
            }
            Self::Threads => {
                "a thread cannot be started; use `--jobs 1`, or higher limits on memory and processes"
            }
        }
    }
}

/// The words of libtorch's allocators for the CPU and the GPU, of C++, and of the system; the second-last is
/// what libtorch says if it lacks the memory even for its message.
const OUT_OF_MEMORY: [&str; 6] = [
    "can't allocate memory",
    "out of memory",
    "std::bad_alloc",
    "memory allocation failed",
    "<Error computing Error::what()>",
    "Cannot allocate memory",
];

/// The words of the standard library and of rayon.
const OUT_OF_THREADS: [&str; 2] = ["failed to spawn thread", "ThreadPoolBuildError"];

#[cfg(test)]
mod tests {
    use super::*;

    /// A size that no machine has: 4 EiB.
    #[test]
    fn an_allocation_of_libtorch_that_fails_is_a_shortage_of_memory() {
        let tensor = tch::Tensor::f_empty([1 << 60], (tch::Kind::Float, tch::Device::Cpu));
        let message = tensor.unwrap_err().to_string();
        assert_eq!(
            Shortage::in_message(&message),
            Some(Shortage::Memory),
            "{message}"
        );
    }

    #[test]
    fn a_mistake_in_a_shape_is_no_shortage_and_has_one_line() {
        let tensor = tch::Tensor::from_slice(&[1.0, 2.0]);
        let message = tensor.f_reshape([3]).unwrap_err().to_string();
        assert_eq!(Shortage::in_message(&message), None, "{message}");
        let expected = "shape '[3]' is invalid for input of size 2";
        let found = without_backtrace(&message);
        assert!(found.ends_with(expected), "{found}");
    }

    #[test]
    fn a_backtrace_is_left_out_of_a_quoted_message_too() {
        let message = "no memory\nException raised from f at g.cpp:1\nframe #0: f";
        assert_eq!(without_backtrace(message), "no memory");
        let quoted = format!("`unwrap` on an `Err` value: Torch({message:?})");
        assert_eq!(
            without_backtrace(&quoted),
            "`unwrap` on an `Err` value: Torch(\"no memory"
        );
    }

    #[test]
    fn a_pool_that_cannot_be_started_is_a_shortage_of_threads() {
        let message =
            "could not spawn threads: ThreadPoolBuildError { kind: IOError(Os { code: 11 }) }";
        assert_eq!(Shortage::in_message(message), Some(Shortage::Threads));
    }
}
