//! Lets the program start in a working folder that was deleted, or whose path is too long for the system.
//!
//! When libtorch is initialized, before `main`, its math library MKL asks for the path of the working folder,
//! and ends the process if the system does not answer. MKL does not need the answer, since the dynamic linker
//! finds libtorch by an absolute path. Therefore the process is elsewhere while its libraries are initialized,
//! and then goes back. In a deleted folder absolute paths work as usual, and relative ones are not found.

use std::sync::atomic::{AtomicI32, Ordering};

/// The working folder, while the process is elsewhere; -1 otherwise.
static WORKING_FOLDER: AtomicI32 = AtomicI32::new(-1);

/// The dynamic linker calls these functions before it initializes the shared libraries.
#[used]
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBRARIES: extern "C" fn() = leave_deleted_folder;

/// The dynamic linker calls these functions after it initialized the shared libraries.
#[used]
#[unsafe(link_section = ".init_array")]
static AFTER_LIBRARIES: extern "C" fn() = return_to_deleted_folder;

extern "C" fn leave_deleted_folder() {
    let mut path = [0; libc::PATH_MAX as usize];
    // SAFETY: the pointers are valid, and the C library is ready for these system calls.
    unsafe {
        if !libc::getcwd(path.as_mut_ptr(), path.len()).is_null() {
            return;
        }
        let folder = libc::open(c".".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        // A number above those of stdin, stdout and stderr, which may be closed.
        let kept = libc::fcntl(folder, libc::F_DUPFD_CLOEXEC, 3);
        libc::close(folder);
        if kept >= 0 && libc::chdir(c"/".as_ptr()) == 0 {
            WORKING_FOLDER.store(kept, Ordering::Relaxed);
        }
    }
}

extern "C" fn return_to_deleted_folder() {
    let folder = WORKING_FOLDER.swap(-1, Ordering::Relaxed);
    if folder < 0 {
        return;
    }
    // SAFETY: the descriptor is open, and nobody else uses it. If the process cannot go back, it must not take
    // relative paths to begin at the root.
    unsafe {
        if libc::fchdir(folder) != 0 {
            let line = "error: the working folder does not exist any more; change to another\n";
            libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
            libc::_exit(2);
        }
        libc::close(folder);
    }
}
