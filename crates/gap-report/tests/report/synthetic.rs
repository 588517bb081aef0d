//! Records of made-up runs with known gaps.

use gap_schema::record::Record;
use gap_spec::{
    Diagnostics, EncoderKind, EncoderLabel, Estimator, Family, Method, Side, Split, StopKind, Trust,
};

/// Returns the label of an encoder from 64 pixels to 10 latent dimensions.
pub fn encoder(hidden: &[u32]) -> EncoderLabel {
    let widths: Vec<u64> = [64]
        .into_iter()
        .chain(hidden.iter().map(|&width| u64::from(width)))
        .chain([20])
        .collect();
    EncoderLabel {
        kind: if hidden.is_empty() {
            EncoderKind::Linear
        } else {
            EncoderKind::Mlp
        },
        hidden: hidden.to_vec(),
        weights: widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum(),
        context: 1,
        objective: None,
    }
}

/// Returns the record of a free-form ELBO of `value_nats`. Tests change the fields that matter to them.
pub fn record(seed: u64, split: Split, datapoint: u64, value_nats: f64) -> Record {
    Record {
        variant: None,
        dataset: "digits".to_owned(),
        split,
        datapoint,
        seed,
        model: format!("decoder-{seed}"),
        family: Family::DiagonalGaussian,
        family_params: 20,
        encoder: None,
        method: Method::FreeForm,
        method_name: None,
        refinement_steps: None,
        estimator: Estimator::Elbo,
        n_samples: 1000,
        value_nats,
        std_error_nats: 0.01,
        side: Side::Lower,
        trust: Trust::Ok,
        diagnostics: Diagnostics::default(),
        stop: StopKind::Converged,
        stop_steps: 300,
        remaining_nats: Some(0.001),
        remaining_std_error_nats: Some(0.0005),
        remaining_bound_nats: Some(0.004),
        starts_apart_nats: None,
        start: Some("prior".to_owned()),
        start_optima: None,
        optima_apart_stds: None,
        optima_apart_nats: None,
        seconds: 0.5,
        joint_gradients: 4800,
        fit_seconds: 0.0,
        fit_joint_gradients: 0,
        constant_inputs: 0,
    }
}

/// Returns the rows of one datapoint for the free-form `q*`: an ELBO and an importance-weighted bound.
pub fn free_form(seed: u64, split: Split, datapoint: u64, elbo: f64, iw: f64) -> Vec<Record> {
    let elbo = record(seed, split, datapoint, elbo);
    let iw = Record {
        estimator: Estimator::ImportanceWeighted,
        value_nats: iw,
        ..elbo.clone()
    };
    vec![elbo, iw]
}

/// Returns the rows of one datapoint for an encoder's `q`: an ELBO and an importance-weighted bound.
pub fn amortized(
    encoder: &EncoderLabel,
    seed: u64,
    split: Split,
    datapoint: u64,
    elbo: f64,
    iw: f64,
) -> Vec<Record> {
    let rows = free_form(seed, split, datapoint, elbo, iw).into_iter();
    rows.map(|row| Record {
        encoder: Some(encoder.clone()),
        method: Method::Amortized,
        stop: StopKind::Direct,
        stop_steps: 0,
        remaining_nats: None,
        remaining_std_error_nats: None,
        remaining_bound_nats: None,
        starts_apart_nats: None,
        start: None,
        start_optima: None,
        optima_apart_stds: None,
        optima_apart_nats: None,
        seconds: 0.0001,
        joint_gradients: 0,
        fit_seconds: 12.0,
        fit_joint_gradients: 200_000,
        ..row
    })
    .collect()
}

/// Returns a row that belongs to the model alone, on the datapoint of `free_form`.
pub fn of_model(estimator: Estimator, free_form: &Record, value_nats: f64) -> Record {
    let is_annealed = [Estimator::Annealed, Estimator::AnnealedReverse].contains(&estimator);
    let (side, n_samples, std_error_nats) = match estimator {
        Estimator::ClosedForm => (Side::Exact, 0, 0.0),
        Estimator::AnnealedReverse => (Side::Upper, 16, 0.02),
        _ => (Side::Lower, 16, 0.02),
    };
    Record {
        method: Method::Model,
        estimator,
        n_samples,
        value_nats,
        std_error_nats,
        side,
        diagnostics: Diagnostics {
            acceptance: is_annealed.then_some(0.7),
            n_temperatures: is_annealed.then_some(100),
            seconds: 0.25,
            joint_evaluations: 8000,
            ..Diagnostics::default()
        },
        stop: StopKind::Direct,
        remaining_nats: None,
        remaining_std_error_nats: None,
        remaining_bound_nats: None,
        start: None,
        start_optima: None,
        optima_apart_stds: None,
        optima_apart_nats: None,
        seconds: 0.0,
        joint_gradients: 0,
        ..free_form.clone()
    }
}

/// Returns the rows of one simulated point, with its exact value if one is given.
pub fn simulated(seed: u64, datapoint: u64, bounds: [f64; 2], exact: Option<f64>) -> Vec<Record> {
    let [lower, upper] = bounds;
    let mut rows = free_form(seed, Split::Simulated, datapoint, lower - 0.5, lower - 0.1);
    let model = |estimator, value| of_model(estimator, &rows[0], value);
    let annealed = [
        model(Estimator::Annealed, lower),
        model(Estimator::AnnealedReverse, upper),
    ];
    let exact = exact.map(|value| model(Estimator::ClosedForm, value));
    rows.extend(annealed.into_iter().chain(exact));
    rows
}

/// Returns the row of a refined `q`'s ELBO.
pub fn refined(steps: u32, amortized: &Record, elbo: f64) -> Record {
    Record {
        method: Method::Refined,
        method_name: None,
        refinement_steps: Some(steps),
        value_nats: elbo,
        stop_steps: steps,
        seconds: 0.0001 + 0.002 * f64::from(steps),
        joint_gradients: 16 * u64::from(steps),
        ..amortized.clone()
    }
}

/// Returns a number in [-1, 1] that looks random, but depends on the arguments alone.
fn wobble(a: u64, b: u64, c: u64) -> f64 {
    let mixed = (a * 7919 + b * 104_729 + c * 1_299_709 + 17) * 2_654_435_761 % 1_000_003;
    2.0 * mixed as f64 / 1_000_003.0 - 1.0
}

/// Returns a run with `seeds` seeds, 20 points per split, and gaps that shrink with the encoder's weights and
/// with refinement steps.
pub fn run(seeds: u64) -> Vec<Record> {
    let capacities: [&[u32]; 6] = [&[], &[4], &[16], &[64], &[256], &[256, 256]];
    let base = [6.5, 9.0, 3.1, 1.1, 0.45, 0.3];
    let mut records = Vec::new();
    for seed in 0..seeds {
        for (split, factor) in [(Split::Train, 1.0), (Split::Test, 1.35)] {
            for datapoint in 0..20 {
                let noise = |i: u64| wobble(seed, datapoint + 1000 * u64::from(factor > 1.0), i);
                let elbo = -19.0 + 3.0 * noise(0);
                let evidence = elbo + 0.35 * (1.0 + 0.3 * noise(1));
                records.extend(free_form(seed, split, datapoint, elbo, evidence));
                for (i, hidden) in capacities.iter().enumerate() {
                    let id = i as u64 + 10;
                    let seed_effect = 1.0 + 0.2 * wobble(seed, 0, id);
                    let gap = base[i] * factor * seed_effect * (1.0 + 0.5 * noise(id));
                    let iw = evidence - 0.1 * gap;
                    let rows = amortized(&encoder(hidden), seed, split, datapoint, elbo - gap, iw);
                    for steps in [1, 2, 5, 10, 20, 50] {
                        let left = gap * (-f64::from(steps) / 9.0).exp() + 0.01;
                        records.push(refined(steps, &rows[0], elbo - left));
                    }
                    records.extend(rows);
                }
            }
        }
    }
    records
}

/// Returns [`run`] with estimates of `log p(x)` by smoothing, adaptive draws and annealing, and with simulated
/// points.
pub fn run_with_evidence(seeds: u64) -> Vec<Record> {
    let mut records = run(seeds);
    let weighted: Vec<Record> = records
        .iter()
        .filter(|r| r.method == Method::FreeForm && r.estimator == Estimator::ImportanceWeighted)
        .cloned()
        .collect();
    for row in &weighted {
        let off = |id, scale: f64| scale * (1.0 + wobble(row.seed, row.datapoint, id));
        let adaptive = Estimator::AdaptiveImportanceWeighted;
        let mut adaptive = of_model(adaptive, row, row.value_nats + off(70, 0.004));
        adaptive.n_samples = 1000 << (row.datapoint % 4);
        records.push(adaptive);
        let annealed = row.value_nats + off(71, 0.01);
        let mut annealed = of_model(Estimator::Annealed, row, annealed);
        if row.datapoint == 3 {
            annealed.trust = Trust::LowAcceptance;
        }
        records.push(annealed);
        let heavy = row.datapoint == 7;
        let trust = if heavy { Trust::HeavyTail } else { Trust::Ok };
        records.push(Record {
            estimator: Estimator::ParetoSmoothed,
            side: Side::Neither,
            value_nats: row.value_nats + off(72, 0.002),
            trust,
            ..row.clone()
        });
    }
    for seed in 0..seeds {
        for i in 0..12 {
            let lower = -19.0 + 3.0 * wobble(seed, i, 80);
            let width = 0.02 + 0.03 * wobble(seed, i, 81);
            records.extend(simulated(seed, i, [lower, lower + width], None));
        }
    }
    records
}
