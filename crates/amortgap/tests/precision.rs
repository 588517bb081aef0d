//! `precision = "double"` from the command line: numbers that 32 bits do not resolve.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number, refusal};
use serde_json::Value;

/// A model whose posterior is in the family, so that every importance weight of `q*` is `p(x)`.
const LINEAR_GAUSSIAN: &str = r#"name = "precise"
question = "Are 64 bits enough?"
surprise = "They are not."
seeds = [0]
precision = "double"

[data]
name = "synthetic"
train_points = 100
measure_train = 10
measure_test = 20

[model]
kind = "linear-gaussian"
latent_dim = 13
observed_dim = 40
condition_number = 1e6
noise_std = 1.0

[family]
kind = "full-gaussian"

[[encoders]]
kind = "linear"

[encoder_training]
steps = 50
batch_size = 50
learning_rate = 0.01
n_samples = 1

[refinement]
steps = [1]

[estimators]
elbo_samples = 100
iw_samples = 100
"#;

const SINGLE: [&str; 2] = ["--set", "precision=single"];

/// The largest of the means and of the standard errors of `key` over the cells of a summary.
fn largest_error(summary: &Value, key: &str) -> f64 {
    let cells = cells(summary).iter();
    let errors = cells.flat_map(|cell| {
        ["mean_nats", "std_error_nats"].map(|part| number(cell, &format!("/oracle/{key}/{part}")))
    });
    errors.fold(0.0, |worst, error| worst.max(error.abs()))
}

#[test]
fn elbo_and_optimum_are_exact_to_a_millionth_of_a_nat_at_condition_number_1e6() {
    let bench = Bench::with(LINEAR_GAUSSIAN);
    let double = bench.summary_of_run("double", &[]);
    for key in ["elbo_error", "log_evidence_error", "free_form_shortfall"] {
        let error = largest_error(&double, key);
        assert!(error < 1e-6, "{key}: {error}");
    }
    for cell in cells(&double) {
        assert_eq!(cell["unconverged"], 0);
        assert!(number(cell, "/max_remaining_bound_nats") < 1e-6);
    }
    let single = bench.summary_of_run("single", &SINGLE);
    for key in ["elbo_error", "log_evidence_error"] {
        let errors = [&single, &double].map(|summary| largest_error(summary, key));
        assert!(errors[0] > 1e3 * errors[1], "{key}: {errors:?}");
    }
}

#[test]
fn noise_that_32_bits_do_not_resolve_is_refused_there_and_right_in_64() {
    let sharp = edited(
        LINEAR_GAUSSIAN,
        "condition_number = 1e6",
        "condition_number = 2",
    );
    let sharp = edited(
        &sharp,
        "latent_dim = 13\nobserved_dim = 40",
        "latent_dim = 2\nobserved_dim = 50",
    );
    let bench = Bench::with(&sharp);
    for noise_std in ["1e-7", "1e-9"] {
        let set = format!("model.noise_std={noise_std}");
        let set = ["--set", set.as_str()];
        let message = refusal(&mut bench.run("single", &[set, SINGLE].concat()));
        assert!(message.contains("`model.noise_std` is"), "{message}");
        assert!(message.contains("`precision = \"double\"`"), "{message}");
        let summary = bench.summary_of_run(noise_std, &set);
        // A residual of size 1e-9 between numbers of size 1 has a relative error of 1e-7. (The estimate of `log p(x)` is
        // the highest lower bound, which may be that of an encoder's `q`, with the noise of its weights.)
        for key in ["elbo_error", "free_form_shortfall"] {
            let error = largest_error(&summary, key);
            assert!(error < 1e-5, "{noise_std}, {key}: {error}");
        }
        for cell in cells(&summary) {
            assert_eq!(cell["unconverged"], 0, "{noise_std}");
            assert_eq!(cell["negative_gaps"], 0, "{noise_std}");
        }
    }
}

/// What the two precisions have in common they agree on: fits are the same, and so are measurements up to rounding.
#[test]
fn a_fitted_decoder_is_measured_to_the_same_numbers_in_both_precisions() {
    let bench = Bench::with(&edited(DIGITS, "seeds = [0, 1]", "seeds = [0]"));
    let single = bench.summary_of_run("single", &[]);
    let double = bench.summary_of_run("double", &["--set", "precision=double"]);
    for (single, double) in cells(&single).iter().zip(cells(&double)) {
        for (key, most) in [
            ("/amortization_gap/mean_nats", 0.02),
            ("/log_evidence/mean_nats", 0.1),
        ] {
            let [single, double] = [single, double].map(|cell| number(cell, key));
            assert!(single.to_bits() != double.to_bits(), "{key}: {single}");
            assert!((single - double).abs() < most, "{key}: {single}, {double}");
        }
    }
}
