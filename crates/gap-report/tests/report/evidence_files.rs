//! Tests of what a report's files say of estimates of `log p(x)`, of sandwiches and of calibrations.

use crate::by_hand::summary_of;
use crate::calibration::{calibrated, row};
use crate::files::write_report;
use crate::synthetic::{run, run_with_evidence, simulated};
use gap_report::{Format, ReportContent, main_results_text};
use gap_schema::results::ResultRows;
use gap_schema::{CalibrationRow, Summary};
use gap_spec::{Estimator, Side};
use std::fs;
use std::path::Path;

/// No rows, for reports whose figures are drawn from the summary alone.
static NO_ROWS: ResultRows = ResultRows {
    records: Vec::new(),
    trace: Vec::new(),
    calibration: Vec::new(),
    pictures: Vec::new(),
};

fn write(dir: &Path, summary: &Summary, formats: &[Format]) -> Vec<String> {
    let content = ReportContent {
        summary,
        rows: &NO_ROWS,
        question: "Are the errors true?",
        surprise: "",
        provenance: &serde_json::json!({}),
    };
    write_report(dir, &content, formats)
}

/// Returns the rows of three estimators on two problems with two points each. On the second problem, the
/// importance-weighted estimator reports errors that are too small, and a part of its replicates is marked as
/// unreliable.
pub fn calibration_rows() -> Vec<CalibrationRow> {
    let mut rows = Vec::new();
    for (variant, latent_dim) in [("z2", 2), ("z10", 10)] {
        for datapoint in 0..2 {
            let of = |estimator, side, bias_nats| CalibrationRow {
                variant: Some(variant.to_owned()),
                latent_dim,
                estimator,
                side,
                mean_nats: -20.0 + bias_nats,
                bias_nats,
                ..row(datapoint)
            };
            rows.push(CalibrationRow {
                target_nats: Some(-20.301),
                n_samples: 500.0,
                ..of(Estimator::Elbo, Side::Lower, -0.3)
            });
            let heavy = latent_dim == 10;
            rows.push(CalibrationRow {
                untrusted: if heavy { 50 } else { 0 },
                coverage: if heavy { 0.85 } else { 0.955 },
                coverage_trusted: Some(0.945),
                std_error_nats: if heavy { 0.014 } else { 0.028 },
                ..of(Estimator::ImportanceWeighted, Side::Lower, -0.01)
            });
            rows.push(CalibrationRow {
                n_samples: 16.0,
                n_temperatures: Some(100),
                coverage: 1.0,
                ..of(
                    Estimator::AnnealedReverse,
                    Side::Upper,
                    0.003 - 0.01 * datapoint as f64,
                )
            });
        }
    }
    rows
}

#[test]
fn an_experiment_of_calibrations_alone_has_its_table() {
    insta::assert_snapshot!(main_results_text(&calibrated(&calibration_rows())), @r#"
    variant  dimensions  estimator            draws  temperatures  points  replicates             coverage          band  coverage, trusted  error / spread       bias (nats)  − own expectation     side holds  untrusted  non-finite  seconds
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    z2       2           elbo                   500             –       2         400    95.0% (92.4–96.7)        inside  95.0% (92.4–96.7)   0.950 ± 0.034  -0.3000 ± 0.0014    0.0010 ± 0.0014  lower: 2 of 2          0           0   0.0100
    z2       2           importance-weighted  1,000             –       2         400    95.5% (93.0–97.1)        inside  94.5% (91.8–96.3)   1.000 ± 0.035  -0.0100 ± 0.0014                  –  lower: 2 of 2          0           0   0.0100
    z2       2           annealed-reverse        16           100       2         400  100.0% (99.0–100.0)         above  95.0% (92.4–96.7)   0.950 ± 0.034  -0.0020 ± 0.0014                  –  upper: 1 of 2          0           0   0.0100
    z10      10          elbo                   500             –       2         400    95.0% (92.4–96.7)        inside  95.0% (92.4–96.7)   0.950 ± 0.034  -0.3000 ± 0.0014    0.0010 ± 0.0014  lower: 2 of 2          0           0   0.0100
    z10      10          importance-weighted  1,000             –       2         400    85.0% (81.2–88.2)  below, 2 low  94.5% (91.3–96.6)   0.500 ± 0.018  -0.0100 ± 0.0014                  –  lower: 2 of 2      25.0%           0   0.0100
    z10      10          annealed-reverse        16           100       2         400  100.0% (99.0–100.0)         above  95.0% (92.4–96.7)   0.950 ± 0.034  -0.0020 ± 0.0014                  –  upper: 1 of 2          0           0   0.0100
    Each datapoint was estimated 200 times, with draws of its own; means over datapoints, ± and intervals from the replicates alone.
    coverage: replicates whose 95% interval holds the estimator's own mean, which for a bound is not log p(x) (95% interval of Wilson); band: all points together against 93–97%, and how many are low by themselves, their whole interval below.
    error / spread: reported standard error over the standard deviation of the replicates, 1 if true. bias: mean estimate minus the exact log p(x). side holds: datapoints where the bias is on the estimator's side, up to 3 standard errors.
    "#);
}

#[test]
fn an_experiment_of_calibrations_alone_has_all_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let names = write(dir.path(), &calibrated(&calibration_rows()), &Format::ALL);
    assert_eq!(
        names,
        [
            "figures/calibration-bias.png",
            "figures/calibration-bias.svg",
            "figures/calibration-coverage.png",
            "figures/calibration-coverage.svg",
            "report.html",
            "summary.csv",
            "summary.json",
            "summary.md",
            "summary.tex",
        ]
    );
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let html = read("report.html");
    assert!(html.contains("are the reported errors true?") && html.contains("coverage below"));
    assert_eq!(html.matches("<svg ").count(), 2);
    for absent in ["<h2>Gaps", "<h2>Sandwich", "<h2>Evidence", "No datapoint"] {
        assert!(!html.contains(absent), "the page has `{absent}`");
    }
    assert!(read("summary.md").starts_with("| variant | dimensions | estimator |"));
    assert!(read("summary.tex").contains("importance-weighted & 1,000"));
    let csv = read("summary.csv");
    assert_eq!(csv.lines().count(), 1 + 12);
    assert!(csv.starts_with("variant,seed,datapoint,") && csv.contains(",side_holds"));
}

#[test]
fn open_markers_stand_for_trusted_replicates_where_some_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let coverage = |rows: &[CalibrationRow]| {
        write(dir.path(), &calibrated(rows), &[Format::Svg]);
        fs::read_to_string(dir.path().join("figures/calibration-coverage.svg")).unwrap()
    };
    let squares = |svg: &str| svg.matches("<polygon").count();
    let mut rows = calibration_rows();
    let with_untrusted = squares(&coverage(&rows));
    for row in &mut rows {
        row.untrusted = 0;
    }
    // The open marker adds two polygons: its ring and its hole.
    assert_eq!(with_untrusted, squares(&coverage(&rows)) + 2);
}

#[test]
fn several_settings_of_an_estimator_are_told_apart() {
    let mut rows = vec![row(0)];
    rows.push(CalibrationRow {
        n_samples: 10.0,
        ..row(0)
    });
    // The number of draws that an adaptive estimator took is not a setting.
    for n_samples in [1500.0, 2500.0] {
        rows.push(CalibrationRow {
            estimator: Estimator::AdaptiveImportanceWeighted,
            n_samples,
            ..row(0)
        });
    }
    let summary = calibrated(&rows);
    let table = main_results_text(&summary);
    let lines = table.lines().filter(|line| line.starts_with("10 "));
    assert_eq!(lines.count(), 3, "{table}");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &summary, &[Format::Svg]);
    let svg = fs::read_to_string(dir.path().join("figures/calibration-bias.svg")).unwrap();
    for label in [
        "importance-weighted, 10",
        "importance-weighted, 1,000",
        "importance-weighted-adaptive",
    ] {
        assert!(svg.contains(label), "the legend lacks `{label}`");
    }
}

#[test]
fn the_tables_show_every_estimate_and_the_sandwich() {
    let mut records = run_with_evidence(2);
    let few = ["linear", "mlp-64"];
    records.retain(|r| {
        r.encoder
            .as_ref()
            .is_none_or(|e| few.contains(&&*e.short_name()))
    });
    insta::assert_snapshot!(main_results_text(&summary_of("evidence", &records)), @r#"
    encoder  split  weights   n  seeds  evidence    approximation   amortization  one optimum         refined (steps)           IW gap      inference  neg/unconv/diff-opt/non-fin/heavy
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    linear   train    1,300  20      2  annealed  0.3627 ± 0.0018    6.47 ± 0.57            –    0.0350 ± 0.0022 (50)    0.647 ± 0.057    6.83 ± 0.57                          0/0/0/0/2
    linear   test     1,300  20      2  annealed  0.3601 ± 0.0070    9.06 ± 0.57            –    0.0450 ± 0.0022 (50)    0.906 ± 0.057    9.42 ± 0.57                          0/0/0/0/2
    mlp-64   train    5,460  20      2  annealed  0.3627 ± 0.0018  0.959 ± 0.045            –  0.01371 ± 0.00017 (50)  0.0959 ± 0.0045  1.322 ± 0.046                          0/0/0/0/2
    mlp-64   test     5,460  20      2  annealed  0.3601 ± 0.0070  1.246 ± 0.057            –  0.01482 ± 0.00022 (50)  0.1246 ± 0.0057  1.606 ± 0.064                          0/0/0/0/2
    Gaps in nats per datapoint, means over seeds; ± is one standard error over 2 seeds, from the spread of the seeds' means.
    Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima (more than 0.01 nats apart), non-finite points, points with a heavy tail of weights.
    evidence: where log p̂(x) is from, the exact value or the lower bound with the highest mean.
    one optimum: the amortization gap over converged points whose starts agree.
    Monte Carlo error apart from that: at most 0.0022 nats on an amortization gap.

    split  estimator                        side         log p(x)         − log p̂(x)  draws  temperatures  acceptance   sandwich width  agrees with annealed         untrusted  seconds  evaluations/point
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    train  elbo of q*                      lower  -19.032 ± 0.090    -0.3627 ± 0.0018  1,000             –           –                –                     –                 0        0                  0
    train  importance-weighted of q*       lower  -18.679 ± 0.088  -0.01018 ± 0.00030  1,000             –           –                –         40 of 40 (40)                 0        0                  0
    train  pareto-smoothed of q*         neither  -18.677 ± 0.088  -0.00817 ± 0.00024  1,000             –           –                –                     –      heavy-tail 2        0                  0
    train  importance-weighted-adaptive    lower  -18.675 ± 0.088  -0.00605 ± 0.00018  3,750             –           –                –         40 of 40 (40)                 0     5.00              8,000
    train  annealed                        lower  -18.669 ± 0.089               0 ± 0     16           100        0.70  0.0175 ± 0.0019                     –  low-acceptance 2     5.00              8,000
    test   elbo of q*                      lower  -18.957 ± 0.090    -0.3601 ± 0.0070  1,000             –           –                –                     –                 0        0                  0
    test   importance-weighted of q*       lower  -18.607 ± 0.083  -0.01018 ± 0.00030  1,000             –           –                –         40 of 40 (40)                 0        0                  0
    test   pareto-smoothed of q*         neither  -18.605 ± 0.083  -0.00817 ± 0.00024  1,000             –           –                –                     –      heavy-tail 2        0                  0
    test   importance-weighted-adaptive    lower  -18.603 ± 0.083  -0.00605 ± 0.00018  3,750             –           –                –         40 of 40 (40)                 0     5.00              8,000
    test   annealed                        lower  -18.596 ± 0.083               0 ± 0     16           100        0.70  0.0175 ± 0.0019                     –  low-acceptance 2     5.00              8,000
    Estimates of log p(x) in nats per datapoint, all on the same points; ± is one standard error over 2 seeds, from the spread of the seeds' means.
    − log p̂(x): paired difference to the estimate that gaps are taken from. sandwich width: mean upper minus lower bound on points that the same model drew, which bounds an annealed number's error there.
    agrees with annealed: points where the difference of the two is within its own 95% interval, of those whose importance weights are trusted (in parentheses, where their 95% intervals overlap); true errors would make it 95% of them, and where it is fewer, the lower one has missed something. untrusted: points whose standard error is marked as unreliable, by the reason.
    Seconds are of all points together; estimators that share their draws each have the time of all of them.

    data    models  points          lower          upper            width          L[q*]         IW[q*]  PSIS[q*]  upper < lower  non-finite  untrusted  acceptance  chains × temperatures  seconds
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    digits       2      12  -19.00 ± 0.31  -18.99 ± 0.31  0.0175 ± 0.0019  -19.50 ± 0.31  -19.10 ± 0.31         –              4           0          0        0.70               16 × 100     6.00
    Sandwich: annealed importance sampling forwards (lower) and backwards from a draw of the posterior (upper), in nats, on points that the model drew itself; ± is one standard error over models, from the spread of their means; over points where there is one model.
    upper < lower: points whose bounds crossed, which Monte Carlo error alone does; they are in the width.
    "#);
}

#[test]
fn the_evidence_has_a_figure_where_something_beyond_plain_draws_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let figures = |summary: &Summary| {
        let names = write(dir.path(), summary, &[Format::Svg]).into_iter();
        let names = names.filter(|name| name.contains("evidence"));
        names.collect::<Vec<_>>()
    };
    assert!(figures(&summary_of("plain", &run(2))).is_empty());
    let summary = summary_of("evidence", &run_with_evidence(2));
    assert_eq!(figures(&summary), ["figures/evidence.svg"]);
    let svg = fs::read_to_string(dir.path().join("figures/evidence.svg")).unwrap();
    for text in [
        "annealed",
        "smoothed",
        "adaptive",
        "seed 1",
        "training points",
    ] {
        let text = text.replace("training", "train");
        assert!(svg.contains(&text), "the figure lacks `{text}`");
    }
    // There is one model for each seed, whatever the encoder.
    assert!(!svg.contains("mlp-64"), "the encoders share their models");
}

#[test]
fn the_page_has_the_width_beside_the_annealed_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let summary = summary_of("evidence", &run_with_evidence(2));
    write(dir.path(), &summary, &[Format::Html, Format::Csv]);
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let place = |heading: &str| html.find(&format!("<h2>{heading}</h2>")).expect(heading);
    assert!(place("Gaps") < place("Evidence") && place("Evidence") < place("Sandwich"));
    assert_eq!(html.matches("<h2>Sandwich").count(), 1);
    assert!(
        html.contains("lower, annealed, sandwich "),
        "beside the winner"
    );
    for counted in ["heavy-tail 2", "low-acceptance 2"] {
        assert!(html.contains(counted), "the page lacks `{counted}`");
    }
    let csv = fs::read_to_string(dir.path().join("summary.csv")).unwrap();
    for column in [
        "evidence.model.annealed.mean_nats",
        "untrusted_by_reason.heavy-tail",
    ] {
        assert!(csv.contains(column), "no column is called `{column}`");
    }
}

#[test]
fn a_run_of_simulated_points_alone_has_a_report() {
    let records: Vec<_> = (0..3)
        .flat_map(|i| simulated(0, i, [-10.0, -9.9], Some(-9.95)))
        .collect();
    let summary = summary_of("simulated", &records);
    let table = main_results_text(&summary);
    assert!(
        table.contains("3 of 3") && table.contains("one model"),
        "{table}"
    );
    let dir = tempfile::tempdir().unwrap();
    let names = write(dir.path(), &summary, &Format::ALL);
    assert_eq!(names.len(), 5, "no figures: {names:?}");
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("<h2>Sandwich</h2>") && !html.contains("<h2>Gaps"));
}
