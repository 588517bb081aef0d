//! Trace points of made-up ascents.

use gap_schema::TracePoint;
use gap_spec::Split;
use gap_spec::Start;

/// Returns a point of an ascent with 16 joint gradients per step, each of which takes a millisecond. Tests
/// change the fields that matter to them.
pub fn point(seed: u64, start: Start, ascent: &str, steps: u32, nats_to_go: f64) -> TracePoint {
    let joint_gradients = 16.0 * f64::from(steps);
    TracePoint {
        variant: None,
        dataset: "digits".to_owned(),
        split: Split::Test,
        seed,
        model: format!("decoder-{seed}"),
        latent_dim: 10,
        ascent: ascent.to_owned(),
        phases: "newton-stein/fixed/16".to_owned(),
        start,
        n: 200,
        steps,
        joint_gradients,
        seconds: 0.001 * joint_gradients,
        climbing: 2,
        nats_to_go,
        nats_to_go_std_error: 0.1 * nats_to_go.abs(),
        nats_to_go_median: nats_to_go,
        nats_to_go_worst: 3.0 * nats_to_go,
        above_tolerance: 3,
        other_optimum: 1,
        other_optimum_nats: 0.004,
        non_finite: 0,
        reference_joint_gradients: 5000.0,
    }
}

/// Returns the points of an ascent after 1, 2, 4, … steps.
pub fn course(seed: u64, start: Start, ascent: &str, nats_to_go: &[f64]) -> Vec<TracePoint> {
    let steps = (0..).map(|i| 1 << i);
    let points = steps.zip(nats_to_go);
    points
        .map(|(steps, &nats)| point(seed, start, ascent, steps, nats))
        .collect()
}

/// Returns the trace of a made-up experiment with two variants, two starts, three seeds and nine ascents.
pub fn comparison() -> Vec<TracePoint> {
    let names = [
        "default",
        "adam",
        "adam-cremer-2018",
        "adam-fresh-averaged",
        "averaged-newton",
        "lbfgs",
        "natural-gradient",
        "newton-stein",
        "newton-stein-64",
    ];
    let mut trace = Vec::new();
    for (variant, scale) in [("digits-z10", 9.0), ("digits-z2", 3.0)] {
        for (start, nearer) in [(Start::Prior, 1.0), (Start::Encoder, 0.2)] {
            for seed in 0..3 {
                for (i, name) in names.iter().enumerate() {
                    let rate = 1.2 + 0.15 * i as f64 + 0.05 * seed as f64;
                    for step in 0..30u32 {
                        let steps = (1.4f64.powi(step as i32) - 1.0) as u32;
                        let left = scale * nearer * (1.0 + f64::from(steps)).powf(-rate);
                        let noise = if i % 3 == 1 { 3e-6 } else { -3e-6 };
                        let mut point = point(seed, start, name, steps, left + noise);
                        point.variant = Some(variant.to_owned());
                        point.seconds *= 1.0 + 0.3 * i as f64;
                        trace.push(point);
                    }
                }
            }
        }
    }
    trace
}
