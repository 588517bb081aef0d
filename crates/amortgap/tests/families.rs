//! Families, networks, likelihoods and models from the command line: one small run of each.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, cells, edited, number};
use serde_json::Value;

const FAMILIES: [&str; 6] = [
    "diagonal-gaussian",
    "full-gaussian",
    "affine-flow",
    "auxiliary-flow",
    "planar-flow",
    "gaussian-mixture",
];

/// The small experiment with 20 points of each split, one seed and one encoder, and with `more` appended.
fn small(more: &str) -> String {
    let text = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let text = edited(&text, "measure_train = 40", "measure_train = 20");
    let text = edited(&text, "measure_test = 40", "measure_test = 20");
    let text = edited(&text, "[[encoders]]\nkind = \"linear\"\n\n", "");
    format!("{text}\n{more}")
}

/// Checks that the encoder's `q` is no better than `q*`, up to three standard errors of their difference.
fn assert_ordered(cell: &Value) {
    let gap = number(cell, "/amortization_gap/mean_nats");
    let error = number(cell, "/amortization_gap/std_error_nats");
    let error = error.max(number(cell, "/amortization_gap/mc_std_error_nats"));
    assert!(gap > -3.0 * error, "{cell}");
}

#[test]
fn every_family_is_measured_on_one_decoder_and_none_ends_below_one_that_it_contains() {
    let variants: String = FAMILIES
        .iter()
        .map(|family| format!("[variants.{family}.family]\nkind = \"{family}\"\n"))
        .collect();
    let annealed = "[estimators.annealed]\ntemperatures = 30\nchains = 4\nstart = \"encoder\"\n";
    let bench = Bench::with(&small(&format!("{annealed}{variants}")));
    let summary = bench.summary_of_run("out", &["--set", "free_form.max_steps=1500"]);
    let cells = cells(&summary);
    assert_eq!(cells.len(), 2 * FAMILIES.len());
    let models: Vec<&str> = cells.iter().map(|c| c["model"].as_str().unwrap()).collect();
    assert!(models.iter().all(|model| *model == models[0]));
    for cell in cells {
        let family = cell["family"].as_str().unwrap();
        assert_eq!(cell["variant"], family);
        assert_eq!(number(cell, "/non_finite"), 0.0, "{family}");
        assert_ordered(cell);
        // A diagonal Gaussian has two parameters for each of 4 dimensions; larger families have more.
        let params = number(cell, "/free_form_params") / number(cell, "/n");
        assert_eq!(params > 8.0, family != "diagonal-gaussian", "{family}");
        // The annealed bound belongs to the model: it is the same for all families.
        let annealed = |cell: &Value| {
            let all = cell["evidence"].as_array().unwrap();
            let annealed = all.iter().find(|e| e["estimator"] == "annealed").unwrap();
            number(annealed, "/mean_nats")
        };
        let first = cells.iter().find(|other| other["split"] == cell["split"]);
        assert_eq!(annealed(cell), annealed(first.unwrap()));
    }
    // The diagonal Gaussian is within the five others, and the full Gaussian within four of them, on two
    // splits.
    let nesting = summary["nesting"].as_array().unwrap();
    assert_eq!(nesting.len(), 2 * (5 + 4));
    for pair in nesting {
        assert!(number(pair, "/gain/mean_nats") > -0.02, "{pair}");
    }
}

#[test]
fn convolutions_and_learned_likelihoods_are_fitted_and_measured() {
    for likelihood in ["learned-gaussian", "discretized-logistic"] {
        let text = small("");
        let text = edited(&text, "\"digits-binarized\"", "\"digits\"");
        let text = edited(&text, "\"mlp-decoder\"", "\"conv-decoder\"");
        let text = edited(
            &text,
            "hidden = [16]\nlikelihood",
            "channels = [4, 8]\nlikelihood",
        );
        let text = edited(&text, "\"bernoulli\"", &format!("\"{likelihood}\""));
        let text = edited(
            &text,
            "kind = \"mlp\"\nhidden = [4]",
            "kind = \"conv\"\nchannels = [4, 8]",
        );
        let bench = Bench::with(&text);
        let summary = bench.summary_of_run("out", &[]);
        for cell in cells(&summary) {
            assert_eq!(cell["encoder"]["kind"], "conv");
            assert_eq!(cell["encoder"]["hidden"], serde_json::json!([4, 8]));
            assert_eq!(number(cell, "/non_finite"), 0.0, "{likelihood}");
            assert_ordered(cell);
        }
    }
}

/// The spec of a model with one latent variable, and of `encoders` that are fitted in about a second.
fn of_one_number(kind: &str, encoders: &str) -> String {
    format!(
        "name = \"{kind}\"\nquestion = \"\"\nsurprise = \"\"\nseeds = [0]\n\n\
         [data]\nname = \"synthetic\"\ntrain_points = 2000\nmeasure_train = 50\nmeasure_test = 50\n\n\
         [model]\nkind = \"{kind}\"\nlatent_dim = 1\n\n\
         [encoder_training]\nsteps = 3000\nbatch_size = 100\nlearning_rate = 0.02\nn_samples = 1\n\n\
         [refinement]\nsteps = [1]\n\n{encoders}"
    )
}

#[test]
fn an_encoder_that_does_not_see_the_neighbour_has_a_gap_that_one_that_does_has_not() {
    let encoders = "[[variants.context-1.encoders]]\nkind = \"mlp\"\nhidden = [8]\ncontext = 1\n\n\
                    [[variants.context-2.encoders]]\nkind = \"mlp\"\nhidden = [8]\ncontext = 2\n";
    let bench = Bench::with(&of_one_number("time-series", encoders));
    let summary = bench.summary_of_run("out", &[]);
    let gap = |context: u32, split: &str| {
        let mut cells = cells(&summary).iter();
        let cell = cells.find(|c| c["encoder"]["context"] == context && c["split"] == split);
        number(cell.unwrap(), "/amortization_gap/mean_nats")
    };
    for split in ["train", "test"] {
        let (without, with) = (gap(1, split), gap(2, split));
        assert!(
            without > 0.1 && with < 0.1 * without,
            "{split}: {without} {with}"
        );
    }
}

#[test]
fn hierarchical_models_need_the_encoders_that_their_posteriors_ask_for() {
    let encoders =
        "[[encoders]]\nkind = \"linear\"\n\n[[encoders]]\nkind = \"mlp\"\nhidden = [32]\n";
    for (kind, is_linear) in [
        ("hierarchical-linear", true),
        ("hierarchical-nonlinear", false),
    ] {
        let bench = Bench::with(&of_one_number(kind, encoders));
        let summary = bench.summary_of_run("out", &[]);
        for cell in cells(&summary) {
            let gap = number(cell, "/amortization_gap/mean_nats");
            let std_error = number(cell, "/amortization_gap/std_error_nats");
            assert!(gap > -3.0 * std_error - 0.005, "{cell}");
            let needs_none = is_linear || cell["encoder"]["kind"] == "mlp";
            if cell["encoder"]["kind"] == "linear" {
                assert_eq!(gap < 0.02, is_linear, "{kind}: {gap}");
            }
            assert!(!needs_none || gap < 0.25, "{kind}: {gap}");
        }
    }
}
