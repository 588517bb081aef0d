//! Shows the progress of a run on stderr: with bars on a terminal, with one line per stage elsewhere.

use crate::console;
use gap_harness::{Observer, Outcome, Plan, Stage, StageId};
use gap_store::FileFault;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shows the progress of a run.
pub struct Progress {
    n_stages: usize,
    state: Mutex<StageProgressState>,
    bars: Option<ProgressBars>,
}

#[derive(Default)]
struct StageProgressState {
    ended: usize,
    running: HashMap<StageId, ProgressBar>,
}

struct ProgressBars {
    all: MultiProgress,
    total: ProgressBar,
}

/// The number of ticks of a stage's bar.
const STAGE_BAR_TICKS: u64 = 1000;

impl Progress {
    /// Starts a display for the stages of all `plans`.
    pub fn new_for_plans(plans: &[Plan]) -> Self {
        let n_stages = plans.iter().map(|plan| plan.stages().len()).sum();
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let total = all.add(ProgressBar::new(n_stages as u64));
            total.set_style(progress_bar_style("stages {bar:40} {pos}/{len}  {elapsed}"));
            ProgressBars { all, total }
        });
        Self {
            n_stages,
            state: Mutex::default(),
            bars,
        }
    }

    /// The observer of the stages of one variant.
    pub fn for_variant<'a>(&'a self, variant: Option<&'a str>) -> VariantProgress<'a> {
        VariantProgress {
            progress: self,
            variant,
        }
    }

    /// Prints a line on stderr, above the bars if there are some.
    fn print_line(&self, line: &str) {
        match &self.bars {
            None => console::notify(format_args!("{line}")),
            Some(bars) => bars
                .total
                .suspend(|| console::notify(format_args!("{line}"))),
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, StageProgressState> {
        // Progress can still be shown after a worker panicked while it held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress_bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

/// Observes the stages of one variant.
pub struct VariantProgress<'a> {
    progress: &'a Progress,
    variant: Option<&'a str>,
}

impl VariantProgress<'_> {
    fn stage_title(&self, stage: &Stage) -> String {
        match self.variant {
            Some(variant) => format!("{variant}: {}", stage.title()),
            None => stage.title(),
        }
    }
}

impl Observer for VariantProgress<'_> {
    fn stage_started(&self, id: &StageId, stage: &Stage) {
        if let Some(bars) = &self.progress.bars {
            let bar = bars
                .all
                .insert_before(&bars.total, ProgressBar::new(STAGE_BAR_TICKS));
            bar.set_style(progress_bar_style("  {bar:20} {elapsed:>4}  {msg}"));
            bar.set_message(self.stage_title(stage));
            self.progress.lock_state().running.insert(id.clone(), bar);
        }
    }

    fn stage_progressed(&self, id: &StageId, fraction: f64) {
        if let Some(bar) = self.progress.lock_state().running.get(id) {
            bar.set_position((fraction * STAGE_BAR_TICKS as f64) as u64);
        }
    }

    fn stage_set_aside(&self, _: &StageId, stage: &Stage, fault: &FileFault, place: &Path) {
        self.progress.print_line(&format!(
            "{fault}; the stage is set aside in {} and executed again ({})",
            place.display(),
            self.stage_title(stage)
        ));
    }

    fn stage_awaited(&self, _: &StageId, stage: &Stage) {
        let title = self.stage_title(stage);
        self.progress.print_line(&format!(
            "{title}: another run executes it, and is waited for"
        ));
    }

    fn stage_finished(&self, id: &StageId, stage: &Stage, outcome: &Outcome) {
        let mut state = self.progress.lock_state();
        state.ended += 1;
        let (ended, n) = (state.ended, self.progress.n_stages);
        let title = self.stage_title(stage);
        let line = match outcome {
            Outcome::Cached => None,
            Outcome::Done { seconds } => Some(format!("[{ended}/{n}] {title} ({seconds:.1} s)")),
            Outcome::Failed { message } => Some(format!("[{ended}/{n}] {title} FAILED: {message}")),
            Outcome::Skipped => Some(format!(
                "[{ended}/{n}] {title} skipped: it needs a stage that failed"
            )),
        };
        match &self.progress.bars {
            None => line.into_iter().for_each(console::notify),
            Some(bars) => {
                if let Some(bar) = state.running.remove(id) {
                    bar.finish_and_clear();
                }
                bars.total.inc(1);
                if !matches!(outcome, Outcome::Done { .. })
                    && let Some(line) = line
                {
                    // `suspend` would panic if the terminal is gone.
                    let _ = bars.all.println(line);
                }
                if ended == n {
                    bars.total.finish_and_clear();
                }
            }
        }
    }
}
