//! A network on the kernels that may take its steps on a thread of its own.

use crate::kernels::KernelLearner;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// A network whose gradient, once it went back to the input, is needed by nobody else: its step may then
/// be taken on another thread, and is waited for when the network is next asked.
pub(super) struct BackgroundLearner {
    /// Here, or on the other thread.
    learner: Option<KernelLearner>,
    has_thread: bool,
    /// Started by the first step that is left to it.
    thread: Option<StepThread>,
}

struct StepThread {
    to_step: Sender<(KernelLearner, f64)>,
    stepped: Receiver<KernelLearner>,
}

impl BackgroundLearner {
    /// `learner`, whose steps have a thread of their own or not.
    pub(super) const fn new(learner: KernelLearner, has_thread: bool) -> Self {
        Self {
            learner: Some(learner),
            has_thread,
            thread: None,
        }
    }

    /// The network, as it is after its step.
    pub(super) fn wait_for_learner(&mut self) -> &mut KernelLearner {
        let thread = &self.thread;
        self.learner.get_or_insert_with(|| {
            let stepped = thread
                .as_ref()
                .and_then(|thread| thread.stepped.recv().ok());
            stepped.expect("what is not here is on the other thread, which does not end before it")
        })
    }

    /// Takes the step whose gradient went back.
    pub(super) fn take_pending_step(&mut self, learning_rate: f64) {
        if !self.has_thread {
            return self
                .wait_for_learner()
                .training_mut()
                .take_pending_step(learning_rate);
        }
        let learner = self.learner.take();
        let learner = learner.expect("its gradient went back here");
        let thread = self.thread.get_or_insert_with(StepThread::spawn);
        let sent = thread.to_step.send((learner, learning_rate));
        sent.expect("the other thread goes on as long as this is there");
    }
}

impl StepThread {
    fn spawn() -> Self {
        let (to_step, received) = channel::<(KernelLearner, f64)>();
        let (done, stepped) = channel();
        // It ends by itself when `to_step` is dropped.
        thread::spawn(move || {
            for (mut learner, learning_rate) in received {
                learner.training_mut().take_pending_step(learning_rate);
                if done.send(learner).is_err() {
                    break;
                }
            }
        });
        Self { to_step, stepped }
    }
}
