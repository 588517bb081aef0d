//! A network that takes its steps on a thread of its own, if it may.

use gap_model::FusedLearner;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Once its gradient went back, what is left of a step is its own affair: it goes up aside, and is waited
/// for when it is needed again.
pub struct Upward {
    /// Here, or on the other thread.
    learner: Option<FusedLearner>,
    aside: Option<Aside>,
}

struct Aside {
    go: Sender<(FusedLearner, f64)>,
    gone: Receiver<FusedLearner>,
}

impl Upward {
    /// `learner`, with a thread of its own or without.
    pub fn new(learner: FusedLearner, on_its_own: bool) -> Self {
        Self {
            learner: Some(learner),
            aside: on_its_own.then(Aside::new),
        }
    }

    /// The network, as it is after its step.
    pub fn get(&mut self) -> &mut FusedLearner {
        let aside = &self.aside;
        self.learner.get_or_insert_with(|| {
            let gone = aside.as_ref().and_then(|aside| aside.gone.recv().ok());
            gone.expect("what is not here is on the other thread, which does not end before it")
        })
    }

    /// Takes the step whose gradient went back.
    pub fn go_up(&mut self, learning_rate: f64) {
        let Some(aside) = &self.aside else {
            return self.get().in_memory().go_up(learning_rate);
        };
        let learner = self.learner.take();
        let learner = learner.expect("its gradient went back here");
        let sent = aside.go.send((learner, learning_rate));
        sent.expect("the other thread goes on as long as this is there");
    }
}

impl Aside {
    fn new() -> Self {
        let (go, told) = channel::<(FusedLearner, f64)>();
        let (done, gone) = channel();
        // It ends by itself when `go` is dropped.
        thread::spawn(move || {
            for (mut learner, learning_rate) in told {
                learner.in_memory().go_up(learning_rate);
                if done.send(learner).is_err() {
                    break;
                }
            }
        });
        Self { go, gone }
    }
}
