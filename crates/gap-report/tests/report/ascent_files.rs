//! Tests of the tables and figures of ascents in a report's files.

use crate::files::write_report;
use crate::traces::{comparison, course, point};
use gap_report::{Format, ReportContent, summarize};
use gap_schema::TracePoint;
use gap_schema::results::ResultRows;
use gap_spec::Start;
use std::fs;
use std::path::Path;

fn write(dir: &Path, trace: &[TracePoint], formats: &[Format]) -> Vec<String> {
    let rows = ResultRows {
        trace: trace.to_vec(),
        ..ResultRows::default()
    };
    let content = ReportContent {
        summary: &summarize("ascents", &rows),
        rows: &rows,
        question: "Which ascent is the fastest?",
        surprise: "",
        provenance: &serde_json::json!({}),
    };
    write_report(dir, &content, formats)
}

/// Returns the SVG of the figure of ascents by time.
fn by_time(trace: &[TracePoint]) -> String {
    let dir = tempfile::tempdir().expect("there is room for a folder");
    write(dir.path(), trace, &[Format::Svg]);
    fs::read_to_string(dir.path().join("figures/ascent-by-time.svg")).expect("it was written")
}

#[test]
fn every_variant_has_its_two_figures_with_a_panel_for_each_start() {
    let dir = tempfile::tempdir().unwrap();
    let names = write(dir.path(), &comparison(), &[Format::Svg]);
    assert_eq!(
        names,
        [
            "figures/ascent-by-joint-gradients-digits-z10.svg",
            "figures/ascent-by-joint-gradients-digits-z2.svg",
            "figures/ascent-by-time-digits-z10.svg",
            "figures/ascent-by-time-digits-z2.svg",
        ]
    );
    for name in names {
        let svg = fs::read_to_string(dir.path().join(&name)).unwrap();
        for text in [
            "from the prior",
            "from the encoder",
            "natural-gradient",
            "0.01 nats",
        ] {
            assert!(svg.contains(text), "{name} lacks `{text}`");
        }
    }
}

#[test]
fn a_start_without_points_has_no_panel() {
    let svg = by_time(&course(0, Start::Encoder, "default", &[1.0, 0.1, 0.001]));
    assert!(svg.contains("from the encoder") && !svg.contains("from the prior"));
    assert!(!svg.contains("no place on"), "every point has its place");
    assert!(!svg.contains("run along the bottom"));
}

#[test]
fn the_note_counts_the_points_that_a_logarithmic_axis_has_no_place_for() {
    let mut trace = vec![point(0, Start::Prior, "default", 0, 2.0)];
    let nats = [1.0, f64::NAN, 0.1, -0.002, 0.0, 0.000_001];
    trace.extend(course(0, Start::Prior, "default", &nats));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &trace, &[Format::Html]);
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let note = "Below 0.00001 nats lines run along the bottom. 4 points have no place on a logarithmic \
                axis: 1 before the first step, 2 with zero or fewer nats to go, 1 not finite.";
    assert!(html.contains(note));
}

#[test]
fn an_ascent_of_which_nothing_can_be_drawn_leaves_no_figure() {
    let dir = tempfile::tempdir().unwrap();
    let trace = course(0, Start::Prior, "default", &[f64::NAN, -1.0]);
    let names = write(dir.path(), &trace, &Format::ALL);
    let figures = names.iter().filter(|name| name.starts_with("figures"));
    assert_eq!(figures.count(), 0, "{names:?}");
}

#[test]
fn the_page_and_the_markdown_hold_the_table_with_its_phases() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &comparison(), &[Format::Html, Format::Md]);
    let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let markdown = fs::read_to_string(dir.path().join("summary.md")).unwrap();
    assert!(html.contains("<h2>Ascents</h2>"));
    assert_eq!(html.matches("<svg ").count(), 4);
    for text in [
        "newton-stein/fixed/16",
        "seconds to 0.01 nats",
        "digits-z10",
    ] {
        assert!(markdown.contains(text), "the Markdown lacks `{text}`");
        // minijinja escapes slashes too.
        let escaped = text.replace('/', "&#x2f;");
        assert!(html.contains(&escaped), "the page lacks `{text}`");
    }
    assert!(
        !html.contains("No datapoint has been measured yet"),
        "there are ascents"
    );
}
