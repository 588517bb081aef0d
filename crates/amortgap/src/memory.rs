//! Ends the program with one line if memory runs out, instead of an abort with a backtrace.

use crate::exit;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

/// The system's allocator, except that it never returns a null pointer.
///
/// libtorch allocates by itself. If that fails, only the stage that needed the memory fails.
pub struct AllocatorOrExit;

// SAFETY: every method passes its arguments on to the system's allocator, under the same contract.
unsafe impl GlobalAlloc for AllocatorOrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        exit_if_null(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        exit_if_null(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        exit_if_null(unsafe { System.realloc(old, layout, new_size) }, new_size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

fn exit_if_null(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() {
        exit_without_memory(size);
    }
    memory
}

#[cold]
fn exit_without_memory(size: usize) -> ! {
    // The text is written to the stack, since there is no memory. It fits: a number has at most 20 digits.
    let mut text = [0; 64];
    let mut rest = &mut text[..];
    if size >= BYTES_PER_MIB {
        let _ = write!(rest, " ({} MiB more were needed)", size / BYTES_PER_MIB);
    }
    let n_unused = rest.len();
    let size = str::from_utf8(&text[..text.len() - n_unused]).unwrap_or_default();
    let advice = if exit::is_run() {
        ADVICE_IN_A_RUN
    } else {
        ADVICE
    };
    exit::end_process(&["error: ", advice, size], 1);
    // Another thread is ending the process.
    loop {
        std::thread::yield_now();
    }
}

const BYTES_PER_MIB: usize = 1 << 20;

const ADVICE: &str = "memory ran out; use a higher limit on memory";

#[cfg(feature = "compute")]
const ADVICE_IN_A_RUN: &str = gap_torch::error_message::Shortage::Memory.advice();

#[cfg(not(feature = "compute"))]
const ADVICE_IN_A_RUN: &str = ADVICE;
