//! Checks the standard errors of many estimates of one number against the spread of the estimates.

use gap_estimate::Estimate;
use gap_spec::Trust;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::statistics::Statistics;
use std::collections::HashMap;

/// The fraction of intervals that should contain their target.
const CONFIDENCE_LEVEL: f64 = 0.95;

/// The most draws for which intervals use Student's t distribution; with more they use the normal distribution.
const MAX_STUDENT_T_SAMPLES: u64 = 1000;

/// Coverage and bias of an estimator, from replicates of one estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// The number of replicates whose estimate is not finite; all other fields leave them out.
    pub non_finite: u64,
    /// The number of replicates whose standard error is marked as unreliable.
    pub untrusted: u64,
    pub n_samples: f64,
    pub mean_nats: f64,
    pub mean_std_error_nats: f64,
    /// The standard deviation of the estimates.
    pub spread_nats: f64,
    /// The root mean square of the standard errors that the replicates report.
    pub std_error_nats: f64,
    /// The fraction of intervals that contain the target.
    pub coverage: f64,
    /// The same fraction among replicates that are not marked as unreliable; `None` if there are none.
    pub coverage_trusted: Option<f64>,
    pub seconds: f64,
    pub joint_evaluations: f64,
}

impl Coverage {
    /// The coverage and bias of `replicates`, whose intervals should contain `target_nats`, or their own mean
    /// if there is no target.
    pub fn new(replicates: &[Estimate], target_nats: Option<f64>) -> Self {
        let is_finite = |estimate: &&Estimate| estimate.value_nats.is_finite();
        let finite: Vec<&Estimate> = replicates.iter().filter(is_finite).collect();
        let mean_of = |f: &dyn Fn(&Estimate) -> f64| finite.iter().map(|e| f(e)).mean();
        let mean_nats = mean_of(&|e| e.value_nats);
        let spread_nats = finite.iter().map(|e| e.value_nats).std_dev();
        let target = target_nats.unwrap_or(mean_nats);
        let mut quantiles = HashMap::new();
        let mut holds = |e: &Estimate| {
            let quantile = quantiles
                .entry(e.n_samples)
                .or_insert_with(|| interval_quantile(e.n_samples));
            (e.value_nats - target).abs() <= *quantile * e.std_error_nats
        };
        let (mut held, mut held_trusted, mut trusted) = (0.0, 0.0, 0.0);
        for e in &finite {
            let hit = f64::from(u8::from(holds(e)));
            held += hit;
            if e.trust == Trust::Ok {
                trusted += 1.0;
                held_trusted += hit;
            }
        }
        let n = finite.len() as f64;
        Self {
            non_finite: (replicates.len() - finite.len()) as u64,
            untrusted: (n - trusted) as u64,
            n_samples: mean_of(&|e| e.n_samples as f64),
            mean_nats,
            mean_std_error_nats: spread_nats / n.sqrt(),
            spread_nats,
            std_error_nats: mean_of(&|e| e.std_error_nats.powi(2)).sqrt(),
            coverage: held / n,
            coverage_trusted: (trusted > 0.0).then(|| held_trusted / trusted),
            seconds: mean_of(&|e| e.diagnostics.seconds),
            joint_evaluations: mean_of(&|e| e.diagnostics.joint_evaluations as f64),
        }
    }
}

/// The half-width of an interval, in standard errors. With few draws (or chains) the standard error is itself
/// uncertain, which Student's t distribution takes into account.
fn interval_quantile(n_samples: u64) -> f64 {
    let upper = 0.5 + 0.5 * CONFIDENCE_LEVEL;
    if n_samples > MAX_STUDENT_T_SAMPLES {
        return Normal::standard().inverse_cdf(upper);
    }
    let freedom = n_samples.saturating_sub(1).max(1) as f64;
    let student = StudentsT::new(0.0, 1.0, freedom);
    student
        .expect("a positive number of degrees of freedom is allowed")
        .inverse_cdf(upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gap_torch::{NoiseStream, SeedKey};

    /// `n` means of `size` normal draws around 3; each reports its standard error times `honesty`.
    fn means(n: usize, size: usize, honesty: f64) -> Vec<Estimate> {
        let ids: Vec<u64> = (0..n as u64).collect();
        let draws = NoiseStream::first_normals(SeedKey::root(1), &ids, size);
        let draw_estimator = |own: &[f32]| {
            let own = own.iter().map(|&v| f64::from(v) + 3.0);
            let std_error = own.clone().std_dev() / (size as f64).sqrt();
            Estimate {
                std_error_nats: honesty * std_error,
                n_samples: size as u64,
                ..Estimate::exact(own.mean())
            }
        };
        draws.chunks_exact(size).map(draw_estimator).collect()
    }

    /// Five binomial standard errors of a coverage near 0.95.
    fn slack(n: usize) -> f64 {
        5.0 * (0.95 * 0.05 / n as f64).sqrt()
    }

    #[test]
    fn intervals_of_normal_means_hold_their_target_95_times_in_100() {
        // With 4 draws, an interval of 1.96 standard errors would contain the target only 85 times in 100.
        for size in [4, 16, 2000] {
            let n = 2000;
            for target in [Some(3.0), None] {
                let measured = Coverage::new(&means(n, size, 1.0), target);
                let off = (measured.coverage - 0.95).abs();
                assert!(off < slack(n), "{size}: {}", measured.coverage);
                assert_eq!(measured.coverage_trusted, Some(measured.coverage));
                let honest = measured.std_error_nats / measured.spread_nats;
                // The spread of 2000 estimates has a relative standard error of 1/63.
                assert!((honest - 1.0).abs() < 0.08, "{honest}");
            }
        }
    }

    #[test]
    fn understated_errors_and_wrong_targets_show() {
        let halved = Coverage::new(&means(2000, 100, 0.5), None);
        // One standard error to either side contains the target 68 times in 100.
        assert!(
            (0.64..0.72).contains(&halved.coverage),
            "{}",
            halved.coverage
        );
        let ratio = halved.spread_nats / halved.std_error_nats;
        assert!((1.85..2.15).contains(&ratio), "{ratio}");
        let off = Coverage::new(&means(2000, 100, 1.0), Some(3.3));
        // The target is three standard errors away.
        assert!((0.1..0.2).contains(&off.coverage), "{}", off.coverage);
        let doubled = Coverage::new(&means(2000, 100, 2.0), None);
        assert!(doubled.coverage > 0.99);
    }

    #[test]
    fn what_is_not_finite_or_not_trusted_is_counted_apart() {
        let mut replicates = means(100, 50, 1.0);
        let clean = Coverage::new(&replicates, None);
        replicates.push(Estimate::exact(f64::NAN));
        replicates.push(Estimate::exact(f64::NEG_INFINITY));
        let measured = Coverage::new(&replicates, None);
        assert_eq!(measured.non_finite, 2);
        assert_eq!(
            (measured.mean_nats, measured.coverage),
            (clean.mean_nats, clean.coverage)
        );
        for replicate in &mut replicates[..100] {
            replicate.trust = Trust::LowAcceptance;
        }
        // A replicate that is trusted and equal to the mean.
        replicates.push(Estimate {
            std_error_nats: 1.0,
            ..Estimate::exact(clean.mean_nats)
        });
        let measured = Coverage::new(&replicates, None);
        assert_eq!(
            (measured.untrusted, measured.coverage_trusted),
            (100, Some(1.0))
        );
        let none = Coverage::new(&replicates[100..102], None);
        assert_eq!((none.non_finite, none.coverage_trusted), (2, None));
        assert!(none.mean_nats.is_nan());
    }
}
