//! How large a plan is: its number of stages, and the memory that its stages need at least. Both are computed
//! from the spec alone, so that a plan that cannot run here is refused before anything is built.
//!
//! Memory is counted from below. Only arrays that certainly exist at the same time are counted, at their least
//! size, so that what is refused would have ended by lack of memory, and whatever can run is not refused.

use super::evidence::{MAX_POINTS_PER_STAGE, calibrated_estimators};
use super::memory::{Array, Key, StageMemory, stage_memories};
use gap_schema::Record;
use gap_spec::{CheckedSpec, Estimator, Problem, Split};

/// The most stages of all plans of an experiment together. A stage takes from milliseconds to minutes.
pub const MAX_STAGES: u64 = 100_000;

/// A plan is too large for this program or for this machine. The message names the key that makes it so.
#[derive(Debug, thiserror::Error)]
pub enum PlanTooLarge {
    /// There would be too many stages.
    #[error(
        "{variant}{key}, and the plan would have {n_stages} stages; a plan has at most {MAX_STAGES}, so use fewer"
    )]
    Stages {
        /// The variant, as it begins a message; empty without variants.
        variant: String,
        /// The key, and its value.
        key: Key,
        /// The number of stages.
        n_stages: u64,
    },
    /// A stage would need more memory than there is.
    #[error(
        "{variant}{key}, with which {work} takes at least {needed} of memory, and there is {available}; use a smaller number, or a machine with more memory"
    )]
    Memory {
        /// The variant, as it begins a message; empty without variants.
        variant: String,
        /// The key that makes the largest array of the stage, and its value.
        key: Key,
        /// What the stage does.
        work: String,
        /// The memory that it needs at least.
        needed: String,
        /// The memory that this process may use.
        available: String,
    },
}

/// The size of the plans of an experiment, which are added one after the other.
pub struct PlanSize {
    /// The memory that this process may use, bytes; `None` if it is not known.
    available_bytes: Option<u64>,
    n_problems: u64,
    n_stages: u64,
    /// The memory of the records of all stages, which are collected at the end.
    records_bytes: f64,
}

impl PlanSize {
    /// The size of no plans. `available_bytes` is the memory that this process may use, if it is known.
    pub const fn new(available_bytes: Option<u64>) -> Self {
        Self {
            available_bytes,
            n_problems: 0,
            n_stages: 0,
            records_bytes: 0.0,
        }
    }

    /// The number of stages of all problems so far.
    pub const fn n_stages(&self) -> u64 {
        self.n_stages
    }

    /// Adds the plan of `problem`.
    ///
    /// # Errors
    ///
    /// [`PlanTooLarge`] if all plans so far have too many stages, or if a stage needs more memory than there
    /// is.
    pub fn add_problem(&mut self, problem: &Problem) -> Result<(), Box<PlanTooLarge>> {
        let variant = problem.variant.as_ref();
        let variant = variant.map_or_else(String::new, |name| format!("variant `{name}`: "));
        let spec = &problem.spec;
        self.n_problems += 1;
        self.n_stages = self.n_stages.saturating_add(n_stages(spec));
        if self.n_stages > MAX_STAGES {
            return Err(Box::new(PlanTooLarge::Stages {
                variant,
                key: self.key_of_most_stages(spec),
                n_stages: self.n_stages,
            }));
        }
        let Some(available) = self.available_bytes else {
            return Ok(());
        };
        let mut stages = stage_memories(spec);
        stages.push(self.add_records(spec));
        let largest = stages
            .into_iter()
            .max_by(|a, b| a.total_bytes().total_cmp(&b.total_bytes()));
        match largest {
            Some(stage) if stage.total_bytes() > available as f64 => {
                Err(Box::new(PlanTooLarge::Memory {
                    variant,
                    key: stage.key_of_largest_array(),
                    needed: bytes_text(stage.total_bytes()),
                    available: bytes_text(available as f64),
                    work: stage.work,
                }))
            }
            _ => Ok(()),
        }
    }

    /// The key with the most entries that multiply the stages: the variants, or a key of the `spec` that was
    /// added last.
    fn key_of_most_stages(&self, spec: &CheckedSpec) -> Key {
        let variants = (
            self.n_problems,
            Key::list("variants", self.n_problems as usize),
        );
        let seeds = (
            spec.seeds.len() as u64,
            Key::list("seeds", spec.seeds.len()),
        );
        let of_seed = stages_per_seed(spec).into_iter();
        let counts = of_seed.chain([seeds, variants]);
        let (_, key) = counts
            .max_by_key(|(n, _)| *n)
            .expect("there are seeds and variants");
        key
    }

    /// Adds the records of all stages of `spec`, and returns the memory that collecting them takes.
    fn add_records(&mut self, spec: &CheckedSpec) -> StageMemory {
        let before = self.records_bytes;
        let seeds = spec.seeds.len() as f64;
        let mut arrays: Vec<Array> = Vec::new();
        for (split, n_per_point) in records_per_point(spec) {
            let Some((name, n)) = points_of_split(spec, split) else {
                continue;
            };
            let bytes = seeds * f64::from(n) * n_per_point * size_of::<Record>() as f64;
            self.records_bytes += bytes;
            arrays.push(Array {
                bytes,
                keys: vec![Key::number(name, n), Key::list("seeds", spec.seeds.len())],
            });
        }
        arrays.push(Array {
            bytes: before,
            keys: vec![Key::list("variants", self.n_problems as usize)],
        });
        StageMemory {
            work: "collecting the records of all stages".to_owned(),
            arrays,
        }
    }
}

/// The number of stages of the plan of `spec`, as [`super::Plan::new`] makes it.
fn n_stages(spec: &CheckedSpec) -> u64 {
    let per_seed: u64 = stages_per_seed(spec)
        .into_iter()
        .fold(0, |sum, (n, _)| sum.saturating_add(n));
    (spec.seeds.len() as u64).saturating_mul(per_seed)
}

/// The numbers of stages that one seed has, each with the key that sets it.
fn stages_per_seed(spec: &CheckedSpec) -> Vec<(u64, Key)> {
    let n_encoders = spec.encoders.len();
    let shared = spec.model.has_shared_decoder();
    let n_models = if shared { 1 } else { n_encoders as u64 };
    let encoders_key = || Key::list("encoders", n_encoders);
    // A model, and an encoder of a shared decoder.
    let of_encoder = u64::from(shared);
    let mut counts = vec![
        (n_models, encoders_key()),
        (of_encoder * n_encoders as u64, encoders_key()),
    ];
    let chunk_size = spec.evaluation.chunk_size.get();
    let annealed = spec.estimators.annealed.is_some();
    // `q*` of the points of each chunk, and adaptive estimates; `q` of each encoder; the protocols; and
    // annealing.
    let of_model = 1 + u64::from(spec.estimators.adaptive.is_some());
    let of_chunk = n_models * of_model + n_encoders as u64;
    let n_protocols = spec.protocols.len();
    for split in [Split::Train, Split::Test, Split::Simulated] {
        let Some((name, n)) = points_of_split(spec, split) else {
            continue;
        };
        let key = || Key::number(name, n);
        if split == Split::Simulated {
            let chunks = u64::from(n.div_ceil(MAX_POINTS_PER_STAGE));
            counts.push((n_models * chunks, key()));
            continue;
        }
        let n_chunks = u64::from(n.div_ceil(chunk_size));
        counts.push((of_chunk * n_chunks, key()));
        counts.push((
            n_models * n_protocols as u64 * n_chunks,
            Key::list("protocols", n_protocols),
        ));
        if annealed {
            let of_whole_chunk = chunk_size.div_ceil(MAX_POINTS_PER_STAGE);
            let of_rest = (n % chunk_size).div_ceil(MAX_POINTS_PER_STAGE);
            let whole = u64::from(n / chunk_size) * u64::from(of_whole_chunk);
            counts.push((n_models * (whole + u64::from(of_rest)), key()));
        }
    }
    if spec.pictures.is_some() {
        counts.push((1, encoders_key()));
    }
    if let (Some(calibration), true) = (&spec.calibration, shared) {
        let points = calibration.points.get();
        let n_estimators = calibrated_estimators(spec).len() as u64;
        counts.push((
            u64::from(points) * n_estimators,
            Key::number("calibration.points", points),
        ));
    }
    if !spec.ascents.is_empty() && shared {
        let n = spec.ascents.len();
        counts.push((1 + n as u64, Key::list("ascents", n)));
    }
    counts
}

/// The number of points of a part of the data that are measured, with its key; `None` for simulated points if
/// there are none.
pub(super) fn points_of_split(spec: &CheckedSpec, split: Split) -> Option<(&'static str, u32)> {
    match split {
        Split::Train => Some(("data.measure_train", spec.data.measure_train.get())),
        Split::Test => Some(("data.measure_test", spec.data.measure_test.get())),
        Split::Simulated => {
            let annealed = spec.estimators.annealed.as_ref()?;
            let points = annealed.simulated_points?.get();
            Some(("estimators.annealed.simulated_points", points))
        }
    }
}

/// The records that one seed has of each point of a part of the data, at least.
fn records_per_point(spec: &CheckedSpec) -> [(Split, f64); 3] {
    let fitted = Estimator::for_fitted_q(true).count() as f64;
    let n_models = if spec.model.has_shared_decoder() {
        1.0
    } else {
        spec.encoders.len() as f64
    };
    let of_refinements = spec.all_refinements().map(|(_, refinement)| {
        // After the last number of steps there are all bounds, and after the others the ELBO alone.
        fitted + refinement.steps.len() as f64 - 1.0
    });
    let of_encoder = fitted + of_refinements.sum::<f64>();
    let annealed = f64::from(u8::from(spec.estimators.annealed.is_some()));
    let of_model = fitted * (1.0 + spec.protocols.len() as f64) + annealed;
    let measured = n_models * of_model + spec.encoders.len() as f64 * of_encoder;
    [
        (Split::Train, measured),
        (Split::Test, measured),
        (Split::Simulated, n_models * (fitted + 2.0)),
    ]
}

/// A number of bytes with three significant digits at most, such as `25.2 GB`.
fn bytes_text(bytes: f64) -> String {
    const UNITS: [&str; 7] = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let decimals = if value < 9.995 {
        2
    } else {
        usize::from(value < 99.95)
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}
