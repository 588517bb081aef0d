//! Tests that the variants of an experiment are kept apart.

use crate::by_hand::{assert_near, by_hand, summary_of};
use gap_report::main_results_text;
use gap_schema::record::Record;
use gap_spec::{Method, Split};

fn of_variant(name: &str, records: Vec<Record>) -> Vec<Record> {
    let family_params = if name == "b-z10" { 20 } else { 4 };
    let records = records.into_iter().map(|row| Record {
        variant: Some(name.to_owned()),
        family_params,
        ..row
    });
    records.collect()
}

/// Returns two variants that differ in their name, in the number of variational parameters, and in the
/// amortization gaps, which are lower by 4 in `b-z10`.
fn two_variants() -> Vec<Record> {
    let mut better = by_hand();
    for row in better.iter_mut().filter(|r| r.method == Method::Amortized) {
        row.value_nats += 4.0;
    }
    let mut records = of_variant("b-z10", better);
    records.extend(of_variant("b-z2", by_hand()));
    records
}

#[test]
fn cells_of_two_variants_stay_apart() {
    let summary = summary_of("variants", &two_variants());
    let names: Vec<&str> = summary.cells.iter().map(|c| c.cell.as_str()).collect();
    assert_eq!(
        names,
        [
            "variant=b-z2/seed=0/encoder=mlp-4/split=test",
            "variant=b-z10/seed=0/encoder=mlp-4/split=test",
        ],
        "z2 comes before z10"
    );
    let [small, large] = &summary.cells[..] else {
        panic!("two cells, not {}", summary.cells.len());
    };
    assert_eq!(small.variant.as_deref(), Some("b-z2"));
    assert_eq!((small.free_form_params, large.free_form_params), (12, 60));
    assert_near(small.amortization_gap.unwrap().mean_nats, 3.0, "b-z2");
    assert_near(large.amortization_gap.unwrap().mean_nats, -1.0, "b-z10");
}

#[test]
fn a_generalisation_gap_is_never_taken_between_variants() {
    let mut records = two_variants();
    for row in records
        .iter_mut()
        .filter(|r| r.variant.as_deref() == Some("b-z2"))
    {
        row.split = Split::Train;
    }
    let summary = summary_of("variants", &records);
    assert!(summary.cells.iter().all(|c| c.generalisation_gap.is_none()));
}

#[test]
fn tables_name_the_variant_where_there_is_one() {
    let table = main_results_text(&summary_of("variants", &two_variants()));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("variant  encoder  split"), "{table}");
    assert!(lines[2].starts_with("b-z2     mlp-4    test"), "{table}");
    assert!(lines[3].starts_with("b-z10    mlp-4    test"), "{table}");
    let table = main_results_text(&summary_of("alone", &by_hand()));
    assert!(table.starts_with("encoder  split"), "{table}");
}

#[test]
fn a_variant_without_encoders_has_its_row_beside_one_with_them() {
    let free_form = by_hand().into_iter().filter(|r| r.encoder.is_none());
    let mut records = of_variant("bare", free_form.collect());
    let table = main_results_text(&summary_of("bare", &records));
    assert!(table.contains("nats on an approximation gap"), "{table}");
    records.extend(two_variants());
    let table = main_results_text(&summary_of("bare", &records));
    assert!(
        table.contains("bare     (none)   test         –"),
        "{table}"
    );
    assert!(table.contains("nats on an amortization gap"), "{table}");
}
