//! A fit that is killed goes on from its latest checkpoint to the same weights, to the last bit.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gap_data::{Dataset, LoadOptions};
use gap_infer::family::PlanarFlow;
use gap_infer::train::{FitContext, TrainingCost, fit_decoder_and_encoder, fit_encoder};
use gap_infer::{DiagonalGaussian, Encoder, InferError, VariationalFamily};
use gap_model::likelihood::{LearnedGaussian, LearnedScale};
use gap_model::{Activation, Likelihood, Mlp, MlpDecoder};
use gap_spec::{Count, ObjectiveKind, ObjectiveSpec, Positive, Precision, TrainingSpec};
use gap_torch::SeedKey;
use std::cell::{Cell, RefCell};
use tch::{Device, Tensor};

const TRAINING: TrainingSpec = TrainingSpec {
    steps: Count::new(1000),
    batch_size: Count::new(50),
    learning_rate: Positive::new(5e-3),
    n_samples: Count::new(2),
    precision: Precision::Mixed,
};

/// A place for checkpoints. The fit that uses it is killed as it saves one, some steps after the previous one.
struct InterruptedFits {
    latest: RefCell<Option<Vec<u8>>>,
    saves_left: Cell<u32>,
    progress: RefCell<Vec<f64>>,
}

impl InterruptedFits {
    const fn after(saves: u32) -> Self {
        Self {
            latest: RefCell::new(None),
            saves_left: Cell::new(saves),
            progress: RefCell::new(Vec::new()),
        }
    }
}

impl FitContext for InterruptedFits {
    fn report_progress(&self, fraction: f64) {
        self.progress.borrow_mut().push(fraction);
    }

    fn load_checkpoint(&self) -> Option<Vec<u8>> {
        self.latest.borrow().clone()
    }

    fn is_checkpoint_due(&self) -> bool {
        true
    }

    fn save_checkpoint(&self, checkpoint: &[u8]) -> Result<(), InferError> {
        let left = self.saves_left.get();
        if left == 0 {
            return Err(InferError::Checkpoint {
                message: "killed".to_owned(),
            });
        }
        self.saves_left.set(left - 1);
        *self.latest.borrow_mut() = Some(checkpoint.to_vec());
        Ok(())
    }
}

fn digits() -> Dataset {
    let digits = gap_data::load("digits-binarized", &LoadOptions::default());
    digits.unwrap().train.first(300)
}

fn network(widths: &[i64]) -> Mlp {
    Mlp::random_perceptron(widths, Activation::Tanh, SeedKey::root(1), Device::Cpu)
}

fn encoder(family: &dyn VariationalFamily) -> Encoder {
    let key = SeedKey::root(2);
    Encoder::with_random_layers(64, &[32], family, Activation::Tanh, key, Device::Cpu)
}

/// Fits undisturbed; then as `fit` is killed again and again, `saves` checkpoints later each time, and compares the
/// parameters, and the progress that was reported.
fn check(fit: impl Fn(&dyn FitContext) -> Result<(Vec<Tensor>, TrainingCost), InferError>) {
    let (undisturbed, _) = fit(&|_: f64| ()).unwrap();
    for saves in [1, 2, 4] {
        let context = InterruptedFits::after(saves);
        let mut deaths = 0;
        let resumed = loop {
            match fit(&context) {
                Ok((resumed, _)) => break resumed,
                Err(InferError::Checkpoint { .. }) => context.saves_left.set(saves),
                Err(error) => panic!("{error}"),
            }
            deaths += 1;
        };
        // 9 checkpoints, of which one more is wanted at each death.
        assert_eq!(deaths, 9 / saves - u32::from(9 % saves == 0), "{saves}");
        let repeated = context
            .progress
            .borrow()
            .windows(2)
            .filter(|w| w[1] <= w[0])
            .count();
        assert_eq!(
            repeated as u32, deaths,
            "only what came after a checkpoint is repeated"
        );
        for (one, other) in undisturbed.iter().zip(&resumed) {
            assert!(one.equal(other), "{saves}");
        }
    }
    // What is no checkpoint of this fit is passed over.
    let other = InterruptedFits::after(1);
    let _ = fit(&other);
    let whole = other.latest.borrow().clone().unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"nonsense"] {
        let context = InterruptedFits::after(100);
        *context.latest.borrow_mut() = Some(damaged.to_vec());
        let (resumed, _) = fit(&context).unwrap();
        assert!(
            (context.progress.borrow()[0] - 0.1).abs() < 1e-12,
            "it begins anew"
        );
        assert!(
            undisturbed
                .iter()
                .zip(&resumed)
                .all(|(one, other)| one.equal(other))
        );
    }
}

fn joint_fit(
    likelihood: impl Fn() -> Likelihood,
    threads: usize,
) -> impl Fn(&dyn FitContext) -> Result<(Vec<Tensor>, TrainingCost), InferError> {
    move |context| {
        let family = DiagonalGaussian::new(4);
        let mut decoder = MlpDecoder::new(network(&[4, 32, 64]), likelihood());
        let mut encoder = encoder(&family);
        let plan = (&TRAINING, threads);
        let (data, key) = (digits(), SeedKey::root(4));
        let cost = fit_decoder_and_encoder(
            &mut decoder,
            &family,
            &mut encoder,
            &data,
            plan,
            key,
            context,
        )?;
        let x = data.batches(50, Device::Cpu).next().unwrap();
        let mut learned = decoder.network().parameters();
        learned.push(encoder.encode(x.x()).0);
        let likelihood = decoder.likelihood();
        learned.extend(
            likelihood
                .learned_scale()
                .map(|scale| scale.log_scale().copy()),
        );
        Ok((learned, cost))
    }
}

#[test]
fn a_joint_fit_on_the_kernels_goes_on_bit_for_bit() {
    for threads in [1, 2] {
        check(joint_fit(|| Likelihood::Bernoulli, threads));
    }
}

#[test]
fn a_joint_fit_with_a_learned_scale_goes_on_bit_for_bit() {
    check(joint_fit(
        || {
            let std = LearnedScale::new(64, 0.5, 0.02, Device::Cpu);
            Likelihood::LearnedGaussian(LearnedGaussian { std })
        },
        1,
    ));
}

/// Checks the fit of an encoder to a frozen decoder by this objective.
fn check_encoder_fit(family: &dyn VariationalFamily, objective: ObjectiveSpec) {
    let model = MlpDecoder::new(network(&[4, 32, 64]), Likelihood::Bernoulli);
    check(|context| {
        let mut encoder = encoder(family);
        let (data, key) = (digits(), SeedKey::root(5));
        let cost = fit_encoder(
            &model,
            family,
            &mut encoder,
            &data,
            (&TRAINING, &objective),
            key,
            context,
        )?;
        let x = data.batches(50, Device::Cpu).next().unwrap();
        Ok((vec![encoder.encode(x.x()).0], cost))
    });
}

#[test]
fn the_fit_of_a_flows_encoder_goes_on_bit_for_bit() {
    check_encoder_fit(&PlanarFlow::new(4), ObjectiveSpec::ELBO);
}

#[test]
fn a_fit_by_an_objective_that_weighs_draws_goes_on_bit_for_bit() {
    let objective = ObjectiveSpec {
        kind: ObjectiveKind::ImportanceWeighted,
        n_importance: Some(Count::new(3)),
    };
    check_encoder_fit(&DiagonalGaussian::new(4), objective);
}

#[test]
fn the_checkpoint_of_another_network_is_passed_over() {
    let fit = |hidden: i64, context: &dyn FitContext| {
        let family = DiagonalGaussian::new(4);
        let mut decoder = MlpDecoder::new(network(&[4, hidden, 64]), Likelihood::Bernoulli);
        let mut encoder = encoder(&family);
        let plan = (&TRAINING, 1);
        let (data, key) = (digits(), SeedKey::root(4));
        let fitted = fit_decoder_and_encoder(
            &mut decoder,
            &family,
            &mut encoder,
            &data,
            plan,
            key,
            context,
        );
        fitted.map(|_| decoder.network().parameters())
    };
    let context = InterruptedFits::after(5);
    fit(16, &context).unwrap_err();
    context.saves_left.set(100);
    context.progress.borrow_mut().clear();
    let after_another = fit(32, &context).unwrap();
    assert!(
        (context.progress.borrow()[0] - 0.1).abs() < 1e-12,
        "it begins anew"
    );
    let undisturbed = fit(32, &|_: f64| ()).unwrap();
    assert!(
        undisturbed
            .iter()
            .zip(&after_another)
            .all(|(one, other)| one.equal(other))
    );
}
