//! What the program does when it receives a signal.
//!
//! A signal that was ignored when the program started stays ignored: `nohup` ignores SIGHUP, and shells without
//! job control ignore SIGINT for commands in the background.

#[cfg(feature = "compute")]
use crate::exit;

/// Makes writing beyond a limit on the size of files an error instead of the end of the program. So is writing
/// to a pipe that nobody reads, since Rust programs ignore SIGPIPE.
pub fn set_signals_of_writing() {
    #[cfg(unix)]
    // SAFETY: no other thread runs yet, and the disposition calls no code of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Ends the program as SIGPIPE does: without a message, and with the status that shells expect.
pub fn end_because_nobody_reads() {
    #[cfg(unix)]
    // SAFETY: the default disposition calls no code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::raise(libc::SIGPIPE);
    }
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end the program at once with status 130. Finished stages are published
/// completely, so none is lost.
#[cfg(feature = "compute")]
pub fn exit_on_interrupt_signals() {
    #[cfg(unix)]
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the actions are valid, and the handler does only what is allowed in a signal handler.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
            if known && action.sa_sigaction != libc::SIG_IGN {
                let handler: extern "C" fn(libc::c_int) = exit_because_interrupted;
                action.sa_sigaction = handler as libc::sighandler_t;
                action.sa_flags = libc::SA_RESTART;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

#[cfg(all(feature = "compute", unix))]
extern "C" fn exit_because_interrupted(_: libc::c_int) {
    exit::end_process(&["interrupted"], 130);
}
