//! A learner on the kernels that can take its Adam steps on another thread.

use crate::kernels::KernelLearner;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{io, thread};

/// A learner on the kernels. Once its backward pass is done, the caller has all it needs, so the Adam step can
/// be taken on another thread. The next use of the learner waits for that step.
pub(super) struct BackgroundLearner {
    /// `None` while the learner is on the other thread.
    learner: Option<KernelLearner>,
    has_thread: bool,
    /// The other thread, which is started at the first step.
    thread: Option<StepThread>,
}

struct StepThread {
    to_step: Sender<(KernelLearner, f64)>,
    stepped: Receiver<KernelLearner>,
}

impl BackgroundLearner {
    /// Wraps `learner`; if `has_thread`, its pending steps are taken on another thread.
    pub(super) const fn new(learner: KernelLearner, has_thread: bool) -> Self {
        Self {
            learner: Some(learner),
            has_thread,
            thread: None,
        }
    }

    /// Waits for the step on the other thread, if any, and returns the learner.
    pub(super) fn wait_for_learner(&mut self) -> &mut KernelLearner {
        let thread = &self.thread;
        self.learner.get_or_insert_with(|| {
            let stepped = thread
                .as_ref()
                .and_then(|thread| thread.stepped.recv().ok());
            stepped.expect("what is not here is on the other thread, which does not end before it")
        })
    }

    /// Takes the Adam step whose backward pass is done: on the other thread, without waiting, if there is
    /// one.
    pub(super) fn take_pending_step(&mut self, learning_rate: f64) {
        if self.has_thread && self.thread.is_none() {
            self.thread = StepThread::spawn().ok();
            // Under a limit on memory or threads, the step is taken here.
            self.has_thread = self.thread.is_some();
        }
        let Some(thread) = &self.thread else {
            return self
                .wait_for_learner()
                .training_mut()
                .take_pending_step(learning_rate);
        };
        let learner = self.learner.take();
        let learner = learner.expect("its gradient went back here");
        let sent = thread.to_step.send((learner, learning_rate));
        sent.expect("the other thread goes on as long as this is there");
    }
}

impl StepThread {
    fn spawn() -> io::Result<Self> {
        let (to_step, received) = channel::<(KernelLearner, f64)>();
        let (done, stepped) = channel();
        // The thread ends by itself when `to_step` is dropped.
        thread::Builder::new().spawn(move || {
            for (mut learner, learning_rate) in received {
                learner.training_mut().take_pending_step(learning_rate);
                if done.send(learner).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { to_step, stepped })
    }
}
