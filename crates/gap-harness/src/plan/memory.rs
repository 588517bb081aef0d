//! The memory that stages need at least, as the arrays that exist at the same time while they run.
//!
//! An array is counted where the code that makes it is certain to, at its least size: evaluations stream over
//! draws, so that `iw_samples` makes only the tail of the weights longer, while the draws of a training step and
//! the chains of annealing exist all at once.

use super::size::points_of_split;
use crate::models;
use crate::work::{CalibratedEstimator, REPLICATES_PER_BATCH};
use gap_estimate::{Estimate, tail_length};
use gap_infer::certificate::draws_per_set;
use gap_infer::{FitCost, StopReason};
use gap_model::ConvShape;
use gap_schema::Record;
use gap_spec::{
    AnnealingSchedule, CheckedSpec, Count, EncoderKind, EncoderSpec, Estimator, Family,
    FloatPrecision, ModelKind, NoiseSource, RefinementSpec, Split, StepRule, TrainingSpec,
};
use std::fmt;

/// Bytes of a number of 32 and of 64 bits.
const F32: f64 = 4.0;
const F64: f64 = 8.0;

/// The arrays in which fitting keeps a weight: its value, its gradient or a transposed copy, and Adam's two
/// moments.
const ARRAYS_PER_LEARNED_WEIGHT: f64 = 4.0;

/// The arrays in which a model that is not fitted, or that was loaded, is kept: as tensors, and packed for the
/// kernels or copied to be stored.
const ARRAYS_PER_FROZEN_WEIGHT: f64 = 2.0;

/// Bytes of the generator of one datapoint's noise, which keeps 64 numbers of 32 bits that are drawn in advance.
const GENERATOR_BYTES: f64 = 256.0;

/// The independent sets of draws whose curvatures a certificate keeps.
const CERTIFICATE_SETS: f64 = 4.0;

/// A key that sets the size of a plan, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    name: String,
    value: u64,
    is_list: bool,
    /// How long the value makes an array: the value itself, or less if something else limits it.
    length: u64,
}

impl Key {
    /// A key whose value is a number.
    pub fn number(name: impl Into<String>, value: u32) -> Self {
        Self {
            name: name.into(),
            value: u64::from(value),
            is_list: false,
            length: u64::from(value),
        }
    }

    /// A key whose value is a list or a table of `n` entries.
    pub fn list(name: impl Into<String>, n: usize) -> Self {
        Self {
            name: name.into(),
            value: n as u64,
            is_list: true,
            length: n as u64,
        }
    }

    fn count(name: impl Into<String>, count: Count) -> Self {
        Self::number(name, count.get())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, .. } = self;
        if self.is_list {
            write!(f, "`{name}` has {value} entries")
        } else {
            write!(f, "`{name}` is {value}")
        }
    }
}

/// An array, and the keys that set its size.
pub struct Array {
    pub bytes: f64,
    pub keys: Vec<Key>,
}

/// The arrays that a stage has in memory at the same time.
pub struct StageMemory {
    /// What the stage does, in words that follow "with which".
    pub work: String,
    pub arrays: Vec<Array>,
}

impl StageMemory {
    pub fn total_bytes(&self) -> f64 {
        self.arrays.iter().map(|array| array.bytes).sum()
    }

    /// Of the keys that set the size of the largest array, the one that makes it longest.
    pub fn key_of_largest_array(&self) -> Key {
        let arrays = self.arrays.iter();
        let largest = arrays.max_by(|a, b| a.bytes.total_cmp(&b.bytes));
        let keys = largest.into_iter().flat_map(|array| &array.keys);
        let key = keys.max_by_key(|key| key.length).cloned();
        key.expect("a stage has an array, and an array has a key that sets its size")
    }
}

/// The memory of the stages of `spec`; none if its data set is unknown, which is refused elsewhere.
pub(super) fn stage_memories(spec: &CheckedSpec) -> Vec<StageMemory> {
    let Some(sizes) = Sizes::new(spec) else {
        return Vec::new();
    };
    let mut stages = vec![sizes.model_stage()];
    for (i, encoder) in spec.encoders.iter().enumerate() {
        stages.push(sizes.encoder_stage(i, encoder));
    }
    for split in [Split::Train, Split::Test, Split::Simulated] {
        if let Some((key, n)) = points_of_split(spec, split) {
            let chunk_size = spec.evaluation.chunk_size;
            let (key, n) = if split != Split::Simulated && n > chunk_size.get() {
                let key = Key::count("evaluation.chunk_size", chunk_size);
                (key, chunk_size.get())
            } else {
                (Key::number(key, n), n)
            };
            stages.extend(sizes.stages_of_points(split, &key, n));
        }
    }
    stages.extend(sizes.calibration_stages());
    stages.extend(sizes.ascent_stages());
    stages
}

/// The sizes that the arrays of a spec have.
struct Sizes<'a> {
    spec: &'a CheckedSpec,
    /// `D`
    latent_dim: f64,
    /// `X`
    observed_dim: f64,
    /// Pixels along a side, if observations are square images.
    side: Option<i64>,
    /// The number of training points, and a key that sets it.
    train_points: (f64, Key),
}

/// The weights of a network, and the numbers in its layers for one row, with the key of its widest layer.
struct NetworkSize {
    n_weights: f64,
    n_values: f64,
    widest: Key,
}

impl NetworkSize {
    /// A perceptron with these numbers of inputs, hidden units and outputs. Without hidden units its size is
    /// set by `otherwise`.
    fn perceptron(
        inputs: f64,
        (hidden, key): (&[Count], &str),
        outputs: f64,
        otherwise: Key,
    ) -> Self {
        let mut widths = vec![inputs];
        widths.extend(hidden.iter().map(|width| f64::from(width.get())));
        widths.push(outputs);
        let widest = (0..hidden.len()).max_by_key(|&i| hidden[i].get());
        Self {
            n_weights: widths
                .windows(2)
                .map(|pair| (pair[0] + 1.0) * pair[1])
                .sum(),
            n_values: widths.iter().sum(),
            widest: widest.map_or(otherwise, |i| Key::count(format!("{key}[{i}]"), hidden[i])),
        }
    }

    /// A network of two strided convolutions, or of their transposes, and a dense layer of `n_dense` outputs or
    /// inputs.
    fn convolutional(side: i64, channels: [Count; 2], n_dense: f64, key: &str) -> Self {
        let counts = channels.map(|count| f64::from(count.get()));
        let shape = ConvShape::with_stride_two(side, channels.map(|count| i64::from(count.get())));
        let window = (shape.kernel * shape.kernel) as f64;
        let halved = |side: f64| (side / shape.stride as f64).floor();
        let sides = [halved(side as f64), halved(halved(side as f64))];
        let pixels = [counts[0] * sides[0].powi(2), counts[1] * sides[1].powi(2)];
        let widest = usize::from(channels[1] > channels[0]);
        Self {
            n_weights: window * counts[0] * (1.0 + counts[1]) + pixels[1] * n_dense,
            n_values: (side * side) as f64 + pixels[0] + pixels[1] + n_dense,
            widest: Key::count(format!("{key}[{widest}]"), channels[widest]),
        }
    }

    /// The memory of the weights, in so many arrays, one of whose sides is as long as the value of `side_key`.
    fn weights(&self, n_arrays: f64, side_key: Option<Key>) -> Array {
        Array {
            bytes: n_arrays * F32 * self.n_weights,
            keys: std::iter::once(self.widest.clone())
                .chain(side_key)
                .collect(),
        }
    }

    /// The memory of all layers' values for so many rows, whose number `keys` set.
    fn values(&self, n_rows: f64, keys: Vec<Key>) -> Array {
        Array {
            bytes: F32 * n_rows * self.n_values,
            keys: keys.into_iter().chain([self.widest.clone()]).collect(),
        }
    }
}

impl<'a> Sizes<'a> {
    fn new(spec: &'a CheckedSpec) -> Option<Self> {
        let data = &spec.data;
        let written = data.train_points;
        let key = match written {
            Some(n) => Key::count("data.train_points", n),
            None => Key::count("data.measure_train", data.measure_train),
        };
        let latent_dim = f64::from(spec.model.latent_dim.get());
        if data.is_synthetic() {
            let n = written.unwrap_or(data.measure_train).get();
            return Some(Self {
                spec,
                latent_dim,
                observed_dim: models::observed_dim(&spec.model) as f64,
                side: None,
                train_points: (f64::from(n), key),
            });
        }
        let entry = gap_data::entry(&data.name).ok()?;
        let n = written.map_or(entry.n_train, |n| entry.n_train.min(n.get() as usize));
        Some(Self {
            spec,
            latent_dim,
            observed_dim: entry.observed_dim as f64,
            side: entry.image_shape.map(|[height, _]| height),
            train_points: (n as f64, key),
        })
    }

    /// The family that the spec measures.
    fn family(&self) -> Family {
        self.spec.family.kind
    }

    fn params(&self, family: Family) -> f64 {
        family.param_dim(self.latent_dim as usize) as f64
    }

    /// Bytes of a number that is inferred or measured with. Fits have 32 bits in any case.
    fn number_bytes(&self) -> f64 {
        match self.spec.precision {
            FloatPrecision::Single => F32,
            FloatPrecision::Double => F64,
        }
    }

    /// The weights of the model in a stage that measures with it.
    fn frozen_decoder(&self) -> Array {
        let n_arrays = ARRAYS_PER_FROZEN_WEIGHT * self.number_bytes() / F32;
        self.decoder().weights(n_arrays, self.observed_key())
    }

    fn latent_key(&self) -> Key {
        Key::count("model.latent_dim", self.spec.model.latent_dim)
    }

    fn observed_key(&self) -> Option<Key> {
        let written = self.spec.model.observed_dim;
        written.map(|dim| Key::count("model.observed_dim", dim))
    }

    /// The key that sets the size of the batches of `n` points.
    fn batch_key(&self, n: f64) -> Key {
        Key {
            length: self.batch(n) as u64,
            ..Key::count("evaluation.batch_size", self.spec.evaluation.batch_size)
        }
    }

    /// The number of datapoints that are inferred together, of `n`.
    fn batch(&self, n: f64) -> f64 {
        n.min(f64::from(self.spec.evaluation.batch_size.get()))
    }

    /// The decoder's network; that of a linear-Gaussian model is one layer.
    fn decoder(&self) -> NetworkSize {
        let model = &self.spec.model;
        match (model.kind, model.channels, self.side) {
            (ModelKind::ConvDecoder, Some(channels), Some(side)) => {
                NetworkSize::convolutional(side, channels, self.latent_dim, "model.channels")
            }
            _ => NetworkSize::perceptron(
                self.latent_dim,
                (model.hidden.as_deref().unwrap_or_default(), "model.hidden"),
                self.observed_dim,
                self.latent_key(),
            ),
        }
    }

    fn encoder(&self, encoder: &EncoderSpec, family: Family, key: &str) -> NetworkSize {
        let outputs = self.params(family);
        let inputs = match self.spec.model.kind {
            // An encoder of a series may see the datapoint's own observation alone.
            ModelKind::TimeSeries => 1.0,
            _ => self.observed_dim,
        };
        match (encoder.kind, encoder.channels, self.side) {
            (EncoderKind::Conv, Some(channels), Some(side)) => {
                let key = format!("{key}.channels");
                NetworkSize::convolutional(side, channels, outputs, &key)
            }
            _ => NetworkSize::perceptron(
                inputs,
                (
                    encoder.hidden.as_deref().unwrap_or_default(),
                    &format!("{key}.hidden"),
                ),
                outputs,
                self.latent_key(),
            ),
        }
    }

    /// The draws of a training step: noise, `z` and the score at it.
    fn training_draws(&self, training: &TrainingSpec, family: Family, key: &str) -> Array {
        let noise_dim = family.noise_dim(self.latent_dim as usize) as f64;
        Array {
            bytes: F32 * self.n_training_draws(training) * (noise_dim + 2.0 * self.latent_dim),
            keys: self.training_keys(training, key),
        }
    }

    fn training_rows(&self, training: &TrainingSpec) -> f64 {
        self.train_points
            .0
            .min(f64::from(training.batch_size.get()))
    }

    fn n_training_draws(&self, training: &TrainingSpec) -> f64 {
        self.training_rows(training) * f64::from(training.n_samples.get())
    }

    fn training_keys(&self, training: &TrainingSpec, key: &str) -> Vec<Key> {
        vec![
            Key::count(format!("{key}.n_samples"), training.n_samples),
            Key::count(format!("{key}.batch_size"), training.batch_size),
        ]
    }

    /// A decoder that is fitted with an encoder, or a model that is not fitted.
    fn model_stage(&self) -> StageMemory {
        let decoder = self.decoder();
        let Some(training) = &self.spec.model.training else {
            return StageMemory {
                work: "making the model".to_owned(),
                arrays: vec![self.frozen_decoder()],
            };
        };
        let key = "model.training";
        let optimizer = training.optimizer();
        let hidden = training.encoder_hidden.as_deref().unwrap_or_default();
        let encoder = NetworkSize::perceptron(
            self.observed_dim,
            (hidden, "model.training.encoder_hidden"),
            self.params(Family::DiagonalGaussian),
            self.latent_key(),
        );
        let draws = self.n_training_draws(&optimizer);
        let rows = self.training_rows(&optimizer);
        StageMemory {
            work: "fitting the decoder".to_owned(),
            arrays: vec![
                self.training_draws(&optimizer, Family::DiagonalGaussian, key),
                decoder.weights(ARRAYS_PER_LEARNED_WEIGHT, None),
                decoder.values(draws, self.training_keys(&optimizer, key)),
                encoder.weights(ARRAYS_PER_LEARNED_WEIGHT, None),
                encoder.values(rows, self.training_keys(&optimizer, key)),
            ],
        }
    }

    /// An encoder that is fitted to a frozen model, or jointly with a decoder.
    fn encoder_stage(&self, i: usize, encoder: &EncoderSpec) -> StageMemory {
        let network = self.encoder(encoder, self.family(), &format!("encoders[{i}]"));
        let (training, key) = match (&self.spec.encoder_training, &self.spec.model.training) {
            (Some(training), _) => (*training, "encoder_training"),
            (None, Some(training)) => (training.optimizer(), "model.training"),
            (None, None) => unreachable!("a checked spec fits its encoders"),
        };
        let rows = self.training_rows(&training);
        let mut draws = self.training_draws(&training, self.family(), key);
        if let Some(n_importance) = encoder.objective.n_importance {
            draws.bytes *= f64::from(encoder.objective.draws_per_estimate());
            let key = format!("encoders[{i}].objective.n_importance");
            draws.keys.push(Key::count(key, n_importance));
        }
        let mut arrays = vec![
            draws,
            network.weights(ARRAYS_PER_LEARNED_WEIGHT, self.observed_key()),
            network.values(rows, self.training_keys(&training, key)),
            self.decoder()
                .weights(ARRAYS_PER_FROZEN_WEIGHT, self.observed_key()),
        ];
        if self.spec.data.is_synthetic() {
            let (n, key) = &self.train_points;
            arrays.push(self.drawn_points(*n, F32, vec![key.clone()]));
        }
        StageMemory {
            work: format!("fitting {}", encoder.name()),
            arrays,
        }
    }

    /// Points that are drawn from the model: their numbers, generators, observations and latent variables, where an
    /// observed or latent number has so many bytes.
    fn drawn_points(&self, n: f64, number_bytes: f64, mut keys: Vec<Key>) -> Array {
        keys.extend(self.observed_key());
        // A series is drawn from its beginning, with one generator after the other.
        let generator = match self.spec.model.kind {
            ModelKind::TimeSeries => 0.0,
            _ => GENERATOR_BYTES,
        };
        Array {
            bytes: n * (F64 + generator + number_bytes * (self.observed_dim + self.latent_dim)),
            keys,
        }
    }

    /// What every stage has that measures `n` points of a part of the data: the model, and the points.
    fn points_under_model(&self, split: Split, key: &Key, n: f64) -> Vec<Array> {
        let mut arrays = vec![self.frozen_decoder()];
        if self.spec.data.is_synthetic() || split == Split::Simulated {
            arrays.push(self.drawn_points(n, self.number_bytes(), vec![key.clone()]));
        }
        if self.spec.model.kind == ModelKind::TimeSeries && split == Split::Test {
            // A series that begins with the training points: their numbers, and two normals for each.
            let (n, key) = &self.train_points;
            arrays.push(Array {
                bytes: n * (F64 + 2.0 * F32),
                keys: vec![key.clone()],
            });
        }
        arrays
    }

    /// The covariance of `x` and its factor, from which the evidence of a linear-Gaussian model is computed.
    fn closed_forms(&self) -> Option<Array> {
        (self.spec.model.kind == ModelKind::LinearGaussian).then(|| Array {
            bytes: 2.0 * F64 * self.observed_dim.powi(2),
            keys: vec![self.observed_key().unwrap_or_else(|| self.latent_key())],
        })
    }

    /// An evaluation of `n_samples` draws for each of `n` datapoints at once: `z`, the score, the score in whitened
    /// coordinates, the log joint, and two numbers that belong to a row.
    fn evaluation(&self, n: f64, n_samples: f64, keys: Vec<Key>) -> Array {
        Array {
            bytes: n
                * n_samples
                * ((2.0 * self.number_bytes() + F64) * self.latent_dim + 3.0 * F64),
            keys,
        }
    }

    /// The certificate of a search for `n` datapoints at once, and their parameters.
    fn search(&self, n: f64, keys: &[Key]) -> Vec<Array> {
        let n_samples = draws_per_set(self.latent_dim as usize, 0) as f64;
        let curvature = CERTIFICATE_SETS * F64 * self.latent_dim.powi(2);
        let params = F64 * self.params(self.family());
        vec![
            self.evaluation(n, n_samples, keys.to_vec()),
            Array {
                bytes: n * (curvature + params),
                keys: keys.to_vec(),
            },
        ]
    }

    /// The tails of the weights of `n` datapoints, for the bounds that need them.
    fn weight_tails(&self, n: f64, mut keys: Vec<Key>) -> Array {
        let draws = self.spec.estimators.iw_samples;
        keys.push(Key::count("estimators.iw_samples", draws));
        let tail = tail_length(u64::from(draws.get())) as f64;
        // The importance-weighted bound and the Pareto-smoothed estimate.
        Array {
            bytes: n * 2.0 * F64 * tail,
            keys,
        }
    }

    fn records(&self, n: f64, n_per_point: usize, keys: Vec<Key>) -> Array {
        Array {
            bytes: n * n_per_point as f64 * size_of::<Record>() as f64,
            keys,
        }
    }

    /// Chains of annealing for `n` datapoints at once, and the temperatures of their path.
    fn chains(&self, n: f64) -> Vec<Array> {
        let Some(annealed) = &self.spec.estimators.annealed else {
            return Vec::new();
        };
        let chains = f64::from(annealed.chains.get());
        // Positions and scores of two states, momenta and z; and what belongs to a chain.
        let bytes_per_chain = 6.0 * self.number_bytes() * self.latent_dim + 5.0 * F64;
        let mut arrays = vec![Array {
            bytes: n * chains * bytes_per_chain,
            keys: vec![Key::count("estimators.annealed.chains", annealed.chains)],
        }];
        if let (AnnealingSchedule::Shape(_), Some(temperatures)) =
            (&annealed.schedule, annealed.temperatures)
        {
            arrays.push(Array {
                bytes: F64 * f64::from(temperatures.get()),
                keys: vec![Key::count("estimators.annealed.temperatures", temperatures)],
            });
        }
        arrays
    }

    /// The stages that measure `n` points of a part of the data at once, whose number `key` sets.
    fn stages_of_points(&self, split: Split, key: &Key, n: u32) -> Vec<StageMemory> {
        let n = f64::from(n);
        let chunk = n.min(f64::from(super::evidence::MAX_POINTS_PER_STAGE));
        let fitted = Estimator::for_fitted_q(true).count();
        let mut stages = Vec::new();
        if split != Split::Simulated {
            let batch = self.batch(n);
            let mut arrays = self.points_under_model(split, key, n);
            arrays.extend(self.search(batch, &[self.batch_key(n)]));
            arrays.push(self.records(n, fitted, vec![key.clone()]));
            arrays.push(Array {
                bytes: 2.0 * self.number_bytes() * n * self.params(self.family()),
                keys: vec![key.clone()],
            });
            stages.push(StageMemory {
                work: format!("finding `q*` of {split} points"),
                arrays,
            });
            let mut arrays = self.points_under_model(split, key, n);
            arrays.push(self.weight_tails(batch, vec![self.batch_key(n)]));
            arrays.extend(self.closed_forms());
            stages.push(StageMemory {
                work: format!("estimating bounds of {split} points"),
                arrays,
            });
            stages.extend(self.refinement_stage(split, key, n));
        }
        if self.spec.estimators.annealed.is_some() {
            let mut arrays = self.points_under_model(split, key, chunk);
            arrays.extend(self.chains(self.batch(chunk)));
            stages.push(StageMemory {
                work: format!("annealing {split} points"),
                arrays,
            });
        }
        stages
    }

    /// The stage that refines an encoder's `q` of `n` points by each refinement, with the arrays of the one
    /// that takes the most memory while it runs.
    fn refinement_stage(&self, split: Split, key: &Key, n: f64) -> Option<StageMemory> {
        let refinements = self.spec.all_refinements();
        let refinements: Vec<(String, &RefinementSpec)> = refinements.collect();
        let fitted = Estimator::for_fitted_q(true).count();
        let mut arrays = self.points_under_model(split, key, n);
        arrays.push(self.records(n, fitted, vec![key.clone()]));
        for (section, refinement) in &refinements {
            arrays.extend(self.refined_path(section, refinement, key, n));
        }
        let at_once = refinements.iter();
        let at_once = at_once.filter_map(|(section, r)| self.refining_draws(section, r, n));
        arrays.extend(at_once.max_by(|a, b| a.bytes.total_cmp(&b.bytes)));
        (!refinements.is_empty()).then(|| StageMemory {
            work: format!("refining `q` of {split} points"),
            arrays,
        })
    }

    /// What a refinement leaves of `n` points: records, and the parameters after each number of steps.
    fn refined_path(
        &self,
        section: &str,
        refinement: &RefinementSpec,
        key: &Key,
        n: f64,
    ) -> [Array; 2] {
        let n_counts = refinement.steps.len();
        let steps = Key::list(format!("{section}.steps"), n_counts);
        let of_count = self.number_bytes() * self.params(self.family())
            + size_of::<StopReason>() as f64
            + size_of::<FitCost>() as f64;
        let fitted = Estimator::for_fitted_q(true).count();
        [
            self.records(n, fitted + n_counts - 1, vec![key.clone(), steps.clone()]),
            Array {
                bytes: self.batch(n) * n_counts as f64 * of_count,
                keys: vec![self.batch_key(n), steps],
            },
        ]
    }

    /// The draws of a refinement's step, if all of them exist at once.
    fn refining_draws(&self, section: &str, refinement: &RefinementSpec, n: f64) -> Option<Array> {
        // Other families, and Adam in all but the diagonal Gaussian, evaluate a few thousand draws at a time.
        let at_once = match self.family() {
            Family::DiagonalGaussian => true,
            Family::FullGaussian => {
                refinement.step_rule_for(Family::FullGaussian) != StepRule::Adam
            }
            _ => false,
        };
        at_once.then(|| {
            let n_samples = refinement.n_samples;
            let keys = vec![
                self.batch_key(n),
                Key::count(format!("{section}.n_samples"), n_samples),
            ];
            self.evaluation(self.batch(n), f64::from(n_samples.get()), keys)
        })
    }

    /// The stages that check standard errors.
    fn calibration_stages(&self) -> Vec<StageMemory> {
        let Some(calibration) = &self.spec.calibration else {
            return Vec::new();
        };
        let replicates = f64::from(calibration.replicates.get());
        let together = replicates.min(REPLICATES_PER_BATCH as f64);
        let estimates = || Array {
            bytes: replicates * size_of::<Estimate>() as f64,
            keys: vec![Key::count("calibration.replicates", calibration.replicates)],
        };
        let estimators = super::evidence::calibrated_estimators(self.spec);
        let stage = |estimator: CalibratedEstimator| {
            let mut arrays = vec![estimates()];
            arrays.extend(self.closed_forms());
            match estimator {
                CalibratedEstimator::Annealed(_) | CalibratedEstimator::AnnealedReverse(_) => {
                    arrays.extend(self.chains(together));
                }
                CalibratedEstimator::FromDraws { .. } | CalibratedEstimator::Adaptive(_) => {}
            }
            StageMemory {
                work: format!("calibrating {}", estimator.estimator()),
                arrays,
            }
        };
        estimators.into_iter().map(stage).collect()
    }

    /// The stages that follow ascents, each of all test points at once.
    fn ascent_stages(&self) -> Vec<StageMemory> {
        let (name, n) = ("data.measure_test", self.spec.data.measure_test);
        let points = f64::from(n.get());
        let looks = self.spec.estimators.elbo_samples;
        let ascents = self.spec.ascents.iter().map(|(ascent, settings)| {
            let test = || Key::count(name, n);
            let mut arrays = self.points_under_model(Split::Test, &test(), points);
            arrays.push(self.evaluation(
                points,
                f64::from(looks.get()),
                vec![test(), Key::count("estimators.elbo_samples", looks)],
            ));
            if let Some(n_samples) = settings.n_samples {
                let draws = f64::from(n_samples.get());
                let keys = || {
                    let key = format!("ascents.{ascent}.n_samples");
                    vec![test(), Key::count(key, n_samples)]
                };
                arrays.push(self.evaluation(points, draws, keys()));
                if settings.noise == Some(NoiseSource::Independent) {
                    arrays.push(Array {
                        bytes: self.number_bytes() * points * draws * self.latent_dim,
                        keys: keys(),
                    });
                }
            }
            StageMemory {
                work: format!("following ascent {ascent}"),
                arrays,
            }
        });
        let mut stages: Vec<StageMemory> = ascents.collect();
        if !stages.is_empty() {
            let key = Key::count(name, n);
            let mut arrays = self.points_under_model(Split::Test, &key, points);
            arrays.extend(self.search(points, &[key]));
            stages.push(StageMemory {
                work: "finding the optima of ascents".to_owned(),
                arrays,
            });
        }
        stages
    }
}
