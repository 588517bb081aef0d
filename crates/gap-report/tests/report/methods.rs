//! Tests of several refinements, protocols and objectives in one report: each is measured against `q*`, and
//! none takes the place of another.

use crate::by_hand::{assert_mean, assert_near, by_hand, only_cell, summary_of, text};
use crate::report_files::write_to;
use crate::synthetic::free_form;
use gap_report::{Format, main_results_text};
use gap_schema::record::Record;
use gap_schema::summary::Cell;
use gap_spec::{EncoderLabel, Estimator, Method, Split, StopKind, Trust};
use std::fs;

/// Returns the rows of what a protocol found: `left` nats below each `L[q*]` of the run by hand.
fn protocol(name: &str, left: [f64; 3]) -> Vec<Record> {
    let points = (0..3).zip(left);
    let rows = points.flat_map(|(i, left)| {
        let elbo = -10.0 * (i as f64 + 1.0) - left;
        free_form(0, Split::Test, i, elbo, elbo + 0.4)
    });
    rows.map(|row| Record {
        method_name: Some(name.to_owned()),
        stop: StopKind::BudgetSpent,
        remaining_bound_nats: Some(0.5),
        starts_apart_nats: None,
        joint_gradients: 70,
        ..row
    })
    .collect()
}

/// Returns the rows of a refinement that leaves `left` nats after 2 steps, and half of them after 5.
fn refinement(name: &str, left: [f64; 3]) -> Vec<Record> {
    let rows = by_hand().into_iter();
    let rows = rows.filter(|row| row.method == Method::Refined);
    let rows: Vec<Record> = rows
        .zip(left)
        .flat_map(|(row, left)| {
            let elbo = -10.0 * (row.datapoint as f64 + 1.0);
            [(2, left), (5, left / 2.0)].map(|(steps, left)| Record {
                method_name: Some(name.to_owned()),
                refinement_steps: Some(steps),
                value_nats: elbo - left,
                joint_gradients: 1000 + u64::from(steps),
                ..row.clone()
            })
        })
        .collect();
    rows
}

/// Returns the run by hand with two more refinements and two protocols.
fn all_methods() -> Vec<Record> {
    [
        by_hand(),
        refinement("adam", [0.8, 1.0, 1.2]),
        refinement("newton", [0.2, 0.4, 0.6]),
        protocol("published", [0.1, 0.4, 0.7]),
        // It found a better optimum at the last point, by more than `q*` may be off.
        protocol("restarts", [0.0, 0.0, -2.0]),
    ]
    .concat()
}

fn cell(records: &[Record]) -> Cell {
    only_cell(summary_of("methods", records))
}

#[test]
fn a_protocol_and_a_refinement_have_paired_gaps_to_q_star() {
    let cell = cell(&all_methods());
    let [published, restarts] = &cell.protocols[..] else {
        panic!("{:?}", cell.protocols);
    };
    assert_eq!(
        (&*published.name, &*restarts.name),
        ("published", "restarts")
    );
    // The differences are 0.1, 0.4 and 0.7: their mean is 0.4 and its standard error 0.3 / √3. Unpaired it
    // would be the spread of the ELBOs, above 5 nats.
    let mc = published.optimisation_gap.mc_std_error_nats;
    let gap = published.optimisation_gap;
    assert_mean(gap, 0.4, 0.3 / 3.0_f64.sqrt(), mc, "published");
    assert_near(published.elbo.mean_nats, -20.4, "L[q_p]");
    assert_eq!(
        (published.unconverged, published.cost.joint_gradients),
        (3, 70.0)
    );
    assert_eq!(published.mean_remaining_bound_nats, Some(0.5));
    assert_eq!(published.unexplained_negative_gaps, 0);
    assert_eq!(restarts.unexplained_negative_gaps, 1);

    let [adam, newton] = &cell.refinements[..] else {
        panic!("{:?}", cell.refinements);
    };
    assert_eq!((&*adam.name, &*newton.name), ("adam", "newton"));
    let gaps = |points: &[gap_schema::summary::RefinementPoint]| -> Vec<(u32, f64)> {
        let rounded = |nats: f64| (nats * 1e9).round() / 1e9;
        let points = points.iter();
        points
            .map(|p| (p.steps, rounded(p.gap.mean_nats)))
            .collect()
    };
    assert_eq!(gaps(&adam.points), [(2, 1.0), (5, 0.5)]);
    assert_eq!(gaps(&newton.points), [(2, 0.4), (5, 0.2)]);
    assert_eq!(adam.points[1].joint_gradients, 1005.0);
    assert_eq!(newton.elbo.steps, 5);
    assert_near(newton.elbo.mean.mean_nats, -20.2, "L[q_r] of newton");
}

#[test]
fn further_methods_change_nothing_of_the_others() {
    let [mut more, fewer] =
        [all_methods(), by_hand()].map(|records| summary_of("methods", &records));
    let cell = &mut more.cells[0];
    // All weights are trusted here, so that the counts of untrusted estimates stay as they are too.
    (cell.protocols, cell.refinements) = (Vec::new(), Vec::new());
    assert_eq!(text(&more), text(&fewer));
}

#[test]
fn a_protocol_that_fails_at_a_point_changes_nothing_of_the_others() {
    let mut records = all_methods();
    let failing = records
        .iter_mut()
        .filter(|r| r.method_name.as_deref() == Some("published") && r.datapoint == 2);
    for record in failing {
        (record.value_nats, record.stop) = (f64::NAN, StopKind::NonFinite);
        record.trust = Trust::HeavyTail;
    }
    let [mut more, fewer] = [records, by_hand()].map(|records| summary_of("methods", &records));
    let cell = &mut more.cells[0];
    let (protocols, refinements) = (
        std::mem::take(&mut cell.protocols),
        std::mem::take(&mut cell.refinements),
    );
    assert_eq!(text(&more), text(&fewer));
    // Its own means are over the two points that are left.
    let [published, restarts] = &protocols[..] else {
        panic!("{protocols:?}");
    };
    assert_eq!((published.non_finite, restarts.non_finite), (1, 0));
    assert_near(
        published.optimisation_gap.mean_nats,
        0.25,
        "over two points",
    );
    assert_near(
        restarts.optimisation_gap.mean_nats,
        -2.0 / 3.0,
        "over three",
    );
    assert!(
        refinements
            .iter()
            .all(|refinement| refinement.non_finite == 0)
    );
}

#[test]
fn without_an_unnamed_refinement_the_first_by_name_is_the_refined_gap() {
    let mut records = all_methods();
    records.retain(|r| r.method != Method::Refined || r.method_name.is_some());
    let cell = cell(&records);
    assert!(cell.refinement.is_empty());
    assert_eq!(cell.refinements.len(), 2);
    assert_eq!(cell.refined_gap, Some(cell.refinements[0].points[1].gap));
    assert_eq!(cell.elbo_refined, Some(cell.refinements[0].elbo));
    assert_eq!(cell.cost.refined.unwrap().joint_gradients, 1005.0);
    let text = main_results_text(&summary_of("methods", &records));
    let headings = "one optimum  refined, adam (steps)  refined, newton (steps)       IW gap";
    assert!(text.contains(headings), "{text}");
}

#[test]
fn the_text_tables_have_a_row_for_each_protocol() {
    insta::assert_snapshot!(main_results_text(&summary_of("methods", &all_methods())), @r"
    encoder  split  weights  n  seeds             evidence  approximation  amortization  one optimum  refined (steps)  refined, adam (steps)  refined, newton (steps)       IW gap  inference  neg/unconv/diff-opt/non-fin/heavy
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    mlp-4    test       360  3      1  importance-weighted    0.60 ± 0.10     3.0 ± 1.5            –  0.50 ± 0.29 (5)      0.500 ± 0.058 (5)        0.200 ± 0.058 (5)  0.30 ± 0.10  3.6 ± 1.6                          0/0/0/0/0
    Gaps in nats per datapoint, means over seeds; ± is one standard error over datapoints; there is one seed, so it says nothing about the spread over fits.
    Counted at the end: negative gaps, unconverged ascents, starts that ended at different optima (more than 0.01 nats apart), non-finite points, points with a heavy tail of weights.
    evidence: where log p̂(x) is from, the exact value or the lower bound with the highest mean.
    one optimum: the amortization gap over converged points whose starts agree.
    Monte Carlo error apart from that: at most 0.0082 nats on an amortization gap.

    split  protocol        L[q_p]  L[q*] − L[q_p]  Monte Carlo error  certified to  unconverged  above q*  seconds  gradients/point
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    test   published  -20.4 ± 5.9     0.40 ± 0.17             0.0082          0.50            3         0     1.50               70
    test   restarts   -19.3 ± 5.2    -0.67 ± 0.67             0.0082          0.50            3         1     1.50               70
    Free-form protocols beside that of q*, in nats per datapoint on the same points and draws; ± is one standard error over datapoints; there is one seed, so it says nothing about the spread over fits.
    q_p: what the protocol found. A gap that is measured from q_p in place of q* is smaller by L[q*] − L[q_p].
    certified to: mean bound on how far q_p is below an optimum. unconverged: points where it is above the protocol's own tolerance. above q*: points where the protocol found a better optimum than q*.
    ");
}

#[test]
fn every_method_is_in_the_page_the_figures_and_the_csv() {
    let dir = tempfile::tempdir().unwrap();
    let formats = [Format::Html, Format::Svg, Format::Csv, Format::Md];
    write_to(dir.path(), &summary_of("methods", &all_methods()), &formats);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let page = read("report.html").replace(" class=\"name\"", "");
    for row in [
        "<td>mlp-4</td><td>test</td><td>(unnamed)</td><td>5</td><td>0.50 ± 0.29</td>",
        "<td>adam</td><td>2</td><td>1.00 ± 0.12</td>",
        "<td>adam</td><td>5</td><td>0.500 ± 0.058</td>",
        "<td>newton</td><td>2</td><td>0.40 ± 0.12</td>",
        "<td>newton</td><td>5</td><td>0.200 ± 0.058</td>",
        "<td>published</td><td>-20.4 ± 5.9</td><td>0.40 ± 0.17</td>",
        "optimisation gap = L[q*] − L[q_p]",
    ] {
        assert!(page.contains(row), "{row} is not in {page}");
    }
    let by_encoder = read("figures/amortization-gap-by-encoder.svg");
    for label in [
        "amortization, test",
        "approximation, test",
        "after refinement, test",
        "after refinement, adam, test",
        "after refinement, newton, test",
        "optimisation, published, test",
        "optimisation, restarts, test",
    ] {
        assert!(by_encoder.contains(&format!("\n{label}\n")), "{label}");
    }
    let by_steps = read("figures/gap-by-refinement-steps.svg");
    for label in ["mlp-4", "mlp-4, adam", "mlp-4, newton"] {
        assert!(by_steps.contains(&format!("\n{label}\n")), "{label}");
    }
    let csv = read("summary.csv");
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    for column in [
        "refinement.5.gap.mean_nats",
        "refinements.adam.points.2.gap.mean_nats",
        "refinements.newton.points.5.gap.std_error_nats",
        "protocols.published.optimisation_gap.mean_nats",
        "protocols.restarts.optimisation_gap.std_error_nats",
    ] {
        assert!(columns.contains(&column), "{column} is not in {columns:?}");
    }
    let text = read("summary.md").replace('\\', "");
    let sentence = "The optimisation gap of protocol published, L[q*] − L[q_p], is 0.40 ± 0.17 nats on test points.";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn a_bound_that_was_estimated_below_zero_makes_no_gap_negative() {
    let mut records = [by_hand(), protocol("again", [0.0; 3])].concat();
    for record in &mut records {
        record.std_error_nats = 0.0;
        if record.method == Method::FreeForm && record.method_name.is_none() {
            record.remaining_bound_nats = Some(-0.01);
        }
    }
    let cell = cell(&records);
    // One gap after refinement is zero, and so are those of the protocol.
    assert_eq!(cell.unexplained_negative_gaps, 0);
    assert_eq!(cell.protocols[0].unexplained_negative_gaps, 0);
}

/// Returns the run by hand, with a second encoder of the same network that was fitted by another objective and
/// has half of the gaps.
fn two_objectives() -> Vec<Record> {
    let weighted = by_hand().into_iter().filter_map(|row| {
        let q_star = -10.0 * (row.datapoint as f64 + 1.0);
        let is_elbo = row.estimator == Estimator::Elbo;
        let encoder = EncoderLabel {
            objective: Some("importance-weighted-5".to_owned()),
            ..row.encoder.clone()?
        };
        Some(Record {
            encoder: Some(encoder),
            value_nats: if is_elbo {
                0.5 * (row.value_nats + q_star)
            } else {
                row.value_nats
            },
            ..row
        })
    });
    by_hand().into_iter().chain(weighted).collect()
}

#[test]
fn encoders_of_one_network_and_two_objectives_are_two_cells() {
    let mut records = two_objectives();
    let other_seed = records.iter().map(|row| Record {
        seed: 1,
        ..row.clone()
    });
    records.extend(other_seed.collect::<Vec<_>>());
    let summary = summary_of("methods", &records);
    let names: Vec<&str> = summary
        .cells
        .iter()
        .map(|cell| cell.cell.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "seed=0/encoder=mlp-4/split=test",
            "seed=0/encoder=mlp-4-importance-weighted-5/split=test",
            "seed=1/encoder=mlp-4/split=test",
            "seed=1/encoder=mlp-4-importance-weighted-5/split=test",
        ]
    );
    let gaps = summary
        .cells
        .iter()
        .map(|cell| cell.amortization_gap.unwrap().mean_nats);
    assert_eq!(gaps.collect::<Vec<f64>>(), [3.0, 1.5, 3.0, 1.5]);
    let text = main_results_text(&summary);
    // One row for the two seeds of each; merged they would be one row, of four seeds.
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("mlp-4"))
        .collect();
    assert!(
        rows.len() == 2 && rows[1].starts_with("mlp-4-importance-weighted-5  test"),
        "{text}"
    );

    let dir = tempfile::tempdir().unwrap();
    let formats = [Format::Json, Format::Md, Format::Svg, Format::Csv];
    write_to(dir.path(), &summary, &formats);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&read("summary.json")).unwrap();
    assert_eq!(json["cells"][0]["encoder"].get("objective"), None);
    assert_eq!(
        json["cells"][1]["encoder"]["objective"],
        "importance-weighted-5"
    );
    let csv = read("summary.csv");
    assert!(csv.contains(",mlp-4-importance-weighted-5,"), "{csv}");
    for figure in ["amortization-gap-by-encoder", "gap-by-refinement-steps"] {
        let svg = read(&format!("figures/{figure}.svg"));
        assert!(svg.contains("\nmlp-4\n") && svg.contains("\nmlp-4-importance-weighted-5\n"));
    }
    let markdown = read("summary.md");
    for sentence in [
        "- The amortization gap of mlp-4 on test points is 3.00 ± 0 nats.",
        "- mlp-4 has an amortization gap of 3.00 ± 0 nats on test points when it is fitted by the ELBO, and of 1.50 ± 0 by importance-weighted-5.",
    ] {
        assert!(markdown.contains(sentence), "{markdown}");
    }
}

#[test]
fn no_line_joins_encoders_of_different_objectives() {
    let mut records = two_objectives();
    // A wider encoder of each objective.
    let wider = records.iter().filter_map(|row| {
        let encoder = EncoderLabel {
            hidden: vec![8],
            weights: 700,
            ..row.encoder.clone()?
        };
        Some(Record {
            encoder: Some(encoder),
            ..row.clone()
        })
    });
    records.extend(wider.collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    write_to(dir.path(), &summary_of("methods", &records), &[Format::Svg]);
    let path = dir.path().join("figures/amortization-gap-by-encoder.svg");
    let svg = fs::read_to_string(path).unwrap();
    // The lines of the amortization gap; error bars, and the line in the legend, are narrower.
    let of_gap = svg
        .lines()
        .filter(|text| text.contains(r##"stroke="#D55E00""##));
    let points = of_gap.filter_map(|text| {
        let points = text.split("points=\"").nth(1)?.split('"').next()?;
        let x = |point: &str| point.split(',').next()?.parse::<f64>().ok();
        points
            .split_whitespace()
            .map(x)
            .collect::<Option<Vec<f64>>>()
    });
    let lines = points.filter(|x| x[x.len() - 1] - x[0] > 100.0);
    let n_points: Vec<usize> = lines.map(|x| x.len()).collect();
    assert_eq!(n_points, [2, 2], "{svg}");
}
