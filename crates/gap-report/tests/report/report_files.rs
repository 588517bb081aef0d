//! Tests of the files of a report: what they say, and that they are complete.

use crate::by_hand::summary_of;
use crate::files::write_report;
use crate::synthetic::{self, amortized, encoder, free_form, refined};
use gap_report::{Format, ReportContent, main_results_text};
use gap_schema::Summary;
use gap_schema::record::Record;
use gap_schema::results::ResultRows;
use gap_spec::{Method, Split, StopKind};
use std::fs;
use std::path::Path;

/// Returns the records of two seeds with three points each and several starts. For each encoder, there are one
/// negative gap, one unconverged point, one point with different optima and one that is not finite.
fn small_run() -> Vec<Record> {
    let mut records = Vec::new();
    for (seed, shift) in [(0, 0.0), (1, 0.2)] {
        for i in 0..3 {
            let elbo = -18.0 - i as f64;
            records.extend(free_form(seed, Split::Test, i, elbo, elbo + 0.25));
            for (hidden, gap) in [(&[][..], 2.0), (&[64][..], 0.5)] {
                let gap = if i == 0 && seed == 0 {
                    -0.1
                } else {
                    gap + shift
                };
                let encoder = encoder(hidden);
                let rows = amortized(&encoder, seed, Split::Test, i, elbo - gap, elbo + 0.2);
                records.push(refined(10, &rows[0], elbo - 0.1 * gap));
                records.extend(rows);
            }
        }
    }
    for row in &mut records {
        if row.method == Method::FreeForm {
            let apart = row.datapoint == 2 && row.seed == 0;
            row.starts_apart_nats = Some(if apart { 0.4 } else { 0.001 });
        }
        if row.datapoint == 1 && row.seed == 0 && row.method == Method::FreeForm {
            row.stop = StopKind::BudgetSpent;
        }
        if row.datapoint == 2 && row.method == Method::FreeForm && row.seed == 1 {
            row.value_nats = f64::NAN;
        }
    }
    records
}

/// No rows, for reports whose figures are drawn from the summary alone.
static NO_ROWS: ResultRows = ResultRows {
    records: Vec::new(),
    trace: Vec::new(),
    calibration: Vec::new(),
    pictures: Vec::new(),
};

fn content<'a>(summary: &'a Summary, provenance: &'a serde_json::Value) -> ReportContent<'a> {
    ReportContent {
        summary,
        rows: &NO_ROWS,
        question: "Does <b>capacity</b> & width shrink it?",
        surprise: "A gap that \"grows\".",
        provenance,
    }
}

fn write(dir: &Path, records: &[Record], formats: &[Format]) -> Vec<String> {
    write_to(dir, &summary_of("digits-capacity", records), formats)
}

/// Writes the files of a report into `dir`, and returns their names.
pub fn write_to(dir: &Path, summary: &Summary, formats: &[Format]) -> Vec<String> {
    let provenance = serde_json::json!({"commit": "abc<def>", "device": {"threads": 2}});
    write_report(dir, &content(summary, &provenance), formats)
}

#[test]
fn the_text_table_reads_well() {
    let summary = summary_of("digits-capacity", &small_run());
    insta::assert_snapshot!(main_results_text(&summary), @r#"
    encoder  split  weights  n  seeds             evidence  approximation  amortization  one optimum     refined (steps)      IW gap    inference  neg/unconv/diff-opt/non-fin/heavy
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    linear   test     1,300  3      2  importance-weighted      0.250 ± 0   1.75 ± 0.45    1.0 ± 1.2  0.175 ± 0.045 (10)  0.0500 ± 0  2.00 ± 0.45                          1/1/1/1/0
    mlp-64   test     5,460  3      2  importance-weighted      0.250 ± 0   0.50 ± 0.20  0.30 ± 0.40  0.050 ± 0.020 (10)  0.0500 ± 0  0.75 ± 0.20                          1/1/1/1/0
    Gaps in nats per datapoint, means over seeds; ± is one standard error over 2 seeds, from the spread of the seeds' means.
    Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima (more than 0.01 nats apart), non-finite points, points with a heavy tail of weights.
    evidence: where log p̂(x) is from, the exact value or the lower bound with the highest mean.
    one optimum: the amortization gap over converged points whose starts agree.
    Monte Carlo error apart from that: at most 0.0065 nats on an amortization gap.
    "#);
}

#[test]
fn a_name_is_neither_a_formula_nor_markup_in_any_file() {
    let mut records = small_run();
    for record in &mut records {
        record.variant = Some("=1+1|*a*_b_`c`<b>\n&d".to_owned());
    }
    let dir = tempfile::tempdir().unwrap();
    let formats = [
        Format::Csv,
        Format::Md,
        Format::Tex,
        Format::Html,
        Format::Json,
    ];
    write(dir.path(), &records, &formats);
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let csv = text("summary.csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "variant");
    for row in reader.records() {
        assert_eq!(&row.unwrap()[column.unwrap()], "'=1+1|*a*_b_`c`<b>\n&d");
    }
    let markdown = text("summary.md");
    let escaped = r"=1+1\|\*a\*\_b\_\`c\`\<b\> \&d";
    assert!(
        markdown.contains(&format!("\n| {escaped} | linear |")),
        "{markdown}"
    );
    assert!(
        markdown.starts_with(&format!("- {escaped}: from linear to")),
        "{markdown}"
    );
    let latex = text("summary.tex");
    let escaped = r"=1+1\textbar{}{*}a{*}\_b\_\textasciigrave{}c\textasciigrave{}\textless{}b\textgreater{} \&d";
    assert!(
        latex.contains(&format!("\n{escaped} & linear &")),
        "{latex}"
    );
    assert!(!text("report.html").contains("<b>"));
    assert!(text("summary.json").contains(r#""variant": "=1+1|*a*_b_`c`<b>\n&d""#));
}

#[test]
fn the_markdown_table_reads_well() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &small_run(), &[Format::Md]);
    let text = fs::read_to_string(dir.path().join("summary.md")).unwrap();
    insta::assert_snapshot!(text, @r#"
    - From linear to mlp-64 the amortization gap on test points goes from 1.75 ± 0.45 to 0.50 ± 0.20 nats, 29% of it. With mlp-64 the approximation gap is 0.250 ± 0 nats, 33% of the inference gap.
    - None of 8 mean gaps (amortization, and after each number of refinement steps) is below zero by more than 3 standard errors.

    | encoder | split | weights | n | seeds | evidence | approximation | amortization | one optimum | refined (steps) | IW gap | inference | neg/unconv/diff-opt/non-fin/heavy |
    | :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
    | linear | test | 1,300 | 3 | 2 | importance-weighted | 0.250 ± 0 | 1.75 ± 0.45 | 1.0 ± 1.2 | 0.175 ± 0.045 (10) | 0.0500 ± 0 | 2.00 ± 0.45 | 1/1/1/1/0 |
    | mlp-64 | test | 5,460 | 3 | 2 | importance-weighted | 0.250 ± 0 | 0.50 ± 0.20 | 0.30 ± 0.40 | 0.050 ± 0.020 (10) | 0.0500 ± 0 | 0.75 ± 0.20 | 1/1/1/1/0 |

    Gaps in nats per datapoint, means over seeds; ± is one standard error over 2 seeds, from the spread of the seeds' means.

    Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima (more than 0.01 nats apart), non-finite points, points with a heavy tail of weights.

    evidence: where log p̂(x) is from, the exact value or the lower bound with the highest mean.

    one optimum: the amortization gap over converged points whose starts agree.

    Monte Carlo error apart from that: at most 0.0065 nats on an amortization gap.
    "#);
}

#[test]
fn one_seed_has_the_error_over_its_datapoints_and_says_so() {
    let mut records = small_run();
    records.retain(|r| r.seed == 0);
    let text = main_results_text(&summary_of("one-seed", &records));
    // The gaps are −0.1, 2 and 2, so their mean is 1.3 and its standard error 0.7.
    assert!(text.contains("1.30 ± 0.70"), "{text}");
    assert!(
        text.contains("one standard error over datapoints"),
        "{text}"
    );
}

#[test]
fn every_format_is_written_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = write(dir.path(), &synthetic::run(2), &Format::ALL);
    names.sort();
    assert_eq!(
        names,
        [
            "figures/amortization-gap-by-encoder.png",
            "figures/amortization-gap-by-encoder.svg",
            "figures/gap-by-refinement-steps.png",
            "figures/gap-by-refinement-steps.svg",
            "report.html",
            "summary.csv",
            "summary.json",
            "summary.md",
            "summary.tex",
        ]
    );
    for name in &names {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        let whole = match name.rsplit('.').next().unwrap() {
            "png" => bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"IEND\xaeB\x60\x82"),
            "svg" => bytes.starts_with(b"<svg") && bytes.trim_ascii_end().ends_with(b"</svg>"),
            "html" => bytes.trim_ascii_end().ends_with(b"</html>"),
            "tex" => bytes.ends_with(b"\\end{tabular}\n"),
            _ => bytes.ends_with(b"\n"),
        };
        assert!(whole, "{name} is cut short");
    }
    let in_folder = |folder: &Path| fs::read_dir(folder).unwrap().count();
    let left = in_folder(dir.path()) + in_folder(&dir.path().join("figures"));
    assert_eq!(left, names.len() + 1, "no temporary file is left");
}

#[test]
fn the_page_loads_nothing_and_escapes_what_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &synthetic::run(2), &[Format::Html]);
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    for loaded in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!html.contains(loaded), "the page has `{loaded}`");
    }
    assert!(!html.contains("<b>capacity") && html.contains("&lt;b&gt;capacity"));
    assert!(!html.contains("abc<def>") && html.contains("abc&lt;def&gt;"));
    assert_eq!(html.matches("<svg ").count(), 2);
    assert!(
        html.contains("device.threads"),
        "provenance has a row for each value"
    );
}

#[test]
fn the_figure_shows_every_point_of_every_series() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &synthetic::run(2), &[Format::Svg]);
    let path = dir.path().join("figures/amortization-gap-by-encoder.svg");
    let svg = fs::read_to_string(path).unwrap();
    // Circles mark the amortization gaps: for each of six encoders, one for test points and two (ring and hole)
    // for training points. The legend has three more.
    assert_eq!(svg.matches("<circle").count(), 6 + 2 * 6 + 1 + 2);
    for label in ["mlp-256-256", "87,572", "nats per datapoint", "2 seeds"] {
        assert!(svg.contains(label), "the figure lacks `{label}`");
    }
}

#[test]
fn summary_json_is_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &synthetic::run(2), &[Format::Json]);
    let text = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    let read: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(read, summary_of("digits-capacity", &synthetic::run(2)));
}

#[test]
fn the_csv_has_a_line_for_each_cell_and_the_keys_of_the_json() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &small_run(), &[Format::Csv]);
    let text = fs::read_to_string(dir.path().join("summary.csv")).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 4);
    let column = |name: &str| lines[0].iter().position(|&n| n == name).expect(name);
    assert_eq!(lines[1][column("encoder")], "linear");
    assert_eq!(lines[2][column("encoder")], "mlp-64");
    assert_eq!(lines[3][column("non_finite")], "1");
    assert_eq!(lines[1][column("different_optima")], "1");
    assert_eq!(lines[1][column("max_remaining_bound_nats")], "0.004");
    assert!(!text.contains("different_optima_points"));
    let gap: f64 = lines[1][column("amortization_gap.mean_nats")]
        .parse()
        .unwrap();
    assert!((gap - 1.3).abs() < 1e-12, "{gap}");
    let gap: f64 = lines[2][column("refinement.10.gap.mean_nats")]
        .parse()
        .unwrap();
    assert!((gap - 0.03).abs() < 1e-12, "{gap}");
}

#[test]
fn a_run_with_nothing_measured_yet_still_has_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let names = write(dir.path(), &[], &Format::ALL);
    assert_eq!(names.len(), 5, "no figures: {names:?}");
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("No datapoint has been measured yet"));
}

#[test]
fn formats_are_read_as_they_are_written() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "pdf".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("`pdf`") && error.contains("html"), "{error}");
}
