//! Tables of records are read back as they were written, and broken ones are errors.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

use gap_schema::TracePoint;
use gap_schema::parquet::{TableError, read_records, records_to_bytes, records_to_frame};
use gap_schema::record::Record;
use gap_schema::results::ResultRows;
use gap_spec::{
    Diagnostics, EncoderKind, EncoderLabel, Estimator, Family, Method, Side, Split, Start,
    StopKind, Trust,
};
use polars::prelude::{Column, DataFrame, ParquetWriter};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;

/// A record whose optional fields are all empty.
fn plain() -> Record {
    Record {
        variant: None,
        dataset: "digits".to_owned(),
        split: Split::Test,
        datapoint: 1796,
        seed: 0,
        model: "model-0".to_owned(),
        family: Family::DiagonalGaussian,
        family_params: 20,
        encoder: None,
        method: Method::Model,
        method_name: None,
        refinement_steps: None,
        estimator: Estimator::ClosedForm,
        n_samples: 0,
        value_nats: -18.25,
        std_error_nats: 0.0,
        side: Side::Exact,
        trust: Trust::Ok,
        diagnostics: Diagnostics::default(),
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
        seconds: 0.125,
        joint_gradients: 0,
        fit_seconds: 0.0,
        fit_joint_gradients: 0,
        constant_inputs: 0,
    }
}

/// A record whose optional fields are all filled, other than its diagnostics.
fn full(hidden: Vec<u32>) -> Record {
    Record {
        variant: Some("digits-z2".to_owned()),
        encoder: Some(EncoderLabel {
            kind: if hidden.is_empty() {
                EncoderKind::Linear
            } else {
                EncoderKind::Mlp
            },
            hidden,
            weights: u64::MAX,
            context: 1,
            objective: Some("importance-weighted-5".to_owned()),
        }),
        method: Method::Refined,
        method_name: Some("adam".to_owned()),
        refinement_steps: Some(20),
        estimator: Estimator::ImportanceWeighted,
        n_samples: 1000,
        std_error_nats: 0.1 + 0.2,
        side: Side::Lower,
        trust: Trust::HeavyTail,
        stop: StopKind::BudgetSpent,
        stop_steps: u32::MAX,
        remaining_nats: Some(f64::MIN_POSITIVE),
        remaining_std_error_nats: Some(0.25),
        remaining_bound_nats: Some(0.5),
        starts_apart_nats: Some(0.75),
        start: Some("encoder".to_owned()),
        start_optima: Some("0 1 -".to_owned()),
        optima_apart_stds: Some(3.5),
        optima_apart_nats: Some(0.75),
        datapoint: u64::MAX,
        ..plain()
    }
}

/// Writes the records, reads them, and compares all numbers bit by bit, since `NaN` is not equal to itself.
fn round_trip(records: &[Record]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.parquet");
    fs::write(&path, records_to_bytes(records, "{}").unwrap()).unwrap();
    let again = read_records(&path).unwrap();
    assert_eq!(again.len(), records.len());
    let numbers = |r: &Record| {
        let distances = [
            r.remaining_nats,
            r.remaining_std_error_nats,
            r.remaining_bound_nats,
            r.starts_apart_nats,
        ];
        let values = [r.value_nats, r.std_error_nats, r.seconds, r.fit_seconds];
        (
            distances.map(|distance| distance.map(f64::to_bits)),
            values.map(f64::to_bits),
        )
    };
    let rest = |r: &Record| Record {
        value_nats: 0.0,
        std_error_nats: 0.0,
        seconds: 0.0,
        fit_seconds: 0.0,
        remaining_nats: None,
        remaining_std_error_nats: None,
        remaining_bound_nats: None,
        starts_apart_nats: None,
        ..r.clone()
    };
    for (read, written) in again.iter().zip(records) {
        assert_eq!(numbers(read), numbers(written));
        assert_eq!(rest(read), rest(written));
    }
}

#[test]
fn absent_fields_empty_lists_and_bad_numerics_survive() {
    let broken = Record {
        value_nats: f64::NAN,
        std_error_nats: f64::INFINITY,
        remaining_nats: Some(f64::NAN),
        remaining_std_error_nats: None,
        remaining_bound_nats: Some(f64::NAN),
        starts_apart_nats: Some(f64::INFINITY),
        stop: StopKind::NonFinite,
        ..full(vec![])
    };
    let minus = Record {
        value_nats: f64::NEG_INFINITY,
        std_error_nats: -0.0,
        ..plain()
    };
    round_trip(&[
        plain(),
        full(vec![]),
        full(vec![64]),
        full(vec![256, 128]),
        broken,
        minus,
    ]);
}

#[test]
fn columns_that_are_absent_throughout_survive() {
    round_trip(&[plain(), plain()]);
    round_trip(&[]);
}

#[test]
fn an_empty_table_has_the_columns_of_a_full_one() {
    let empty = records_to_frame(&[]).unwrap();
    let full = records_to_frame(&[plain(), full(vec![64])]).unwrap();
    assert_eq!(empty.schema(), full.schema());
    assert_eq!(empty.height(), 0);
}

#[test]
fn an_empty_cell_of_a_required_column_is_an_error_that_names_row_and_column() {
    let empty = |frame: &mut DataFrame| {
        let column = Column::new("seed".into(), [None::<u64>]);
        frame.with_column(column).unwrap();
    };
    let message = read_changed(empty).unwrap_err().to_string();
    assert!(
        message.contains("row 0: column `seed` has an empty value"),
        "{message}"
    );
}

proptest! {
    #[test]
    fn any_numbers_survive(
        values in proptest::collection::vec(any::<(u64, f64, Option<f64>, Option<u32>)>(), 0..20),
        hidden in proptest::collection::vec(any::<u32>(), 0..4),
    ) {
        let record = |&(whole, real, remaining_nats, refinement_steps): &(u64, f64, _, _)| Record {
            datapoint: whole,
            joint_gradients: whole,
            value_nats: real,
            remaining_nats,
            remaining_std_error_nats: remaining_nats.map(|nats: f64| 2.0 * nats),
            remaining_bound_nats: remaining_nats.map(|nats: f64| 3.0 * nats),
            starts_apart_nats: remaining_nats.map(|nats: f64| 4.0 * nats),
            refinement_steps,
            ..full(hidden.clone())
        };
        round_trip(&values.iter().map(record).collect::<Vec<_>>());
    }
}

#[test]
fn a_table_that_is_cut_short_at_any_byte_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.parquet");
    let whole = records_to_bytes(&[plain(), full(vec![64])], "{}").unwrap();
    for n in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..n]).unwrap();
        let message = read_records(&path).unwrap_err().to_string();
        assert!(
            message.starts_with(&path.display().to_string()),
            "{n}: {message}"
        );
        assert!(!message.contains('\n'), "{n}: {message}");
    }
}

/// Writes the table of a record with a variant after `change` has altered it, and reads it.
fn read_changed(change: impl Fn(&mut DataFrame)) -> Result<Vec<Record>, TableError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.parquet");
    let mut frame = records_to_frame(&[full(vec![64])]).unwrap();
    change(&mut frame);
    let file = fs::File::create(&path).unwrap();
    ParquetWriter::new(file).finish(&mut frame).unwrap();
    read_records(&path)
}

#[test]
fn a_table_that_is_older_than_named_methods_and_objectives_is_read() {
    let drop = |frame: &mut DataFrame| {
        *frame = frame.drop_many(["method_name", "encoder_objective"]);
    };
    let mut expected = full(vec![64]);
    expected.method_name = None;
    expected.encoder.as_mut().unwrap().objective = None;
    assert_eq!(read_changed(drop).unwrap(), [expected]);
}

#[test]
fn a_table_that_is_older_than_variants_is_read() {
    let older = read_changed(|frame| *frame = frame.drop("variant").unwrap()).unwrap();
    let expected = Record {
        variant: None,
        ..full(vec![64])
    };
    assert_eq!(older, [expected]);
    assert!(read_changed(|frame| *frame = frame.drop("split").unwrap()).is_err());
    let number = |frame: &mut DataFrame| {
        frame
            .with_column(Column::new("variant".into(), [3_u32]))
            .unwrap();
    };
    assert!(read_changed(number).is_err());
}

#[test]
fn a_file_of_another_format_or_no_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.parquet");
    assert!(read_records(&path).is_err());
    fs::write(&path, "dataset,split\ndigits,test\n").unwrap();
    assert!(read_records(&path).is_err());
}

/// A point of a trace.
fn trace_point() -> TracePoint {
    TracePoint {
        variant: None,
        dataset: "digits".to_owned(),
        split: Split::Test,
        seed: 0,
        model: "model-0".to_owned(),
        latent_dim: 2,
        ascent: "default".to_owned(),
        phases: "lbfgs/fixed/8".to_owned(),
        start: Start::Prior,
        n: 2,
        steps: 1,
        joint_gradients: 8.0,
        seconds: 0.0,
        climbing: 0,
        nats_to_go: 0.0,
        nats_to_go_std_error: 0.0,
        nats_to_go_median: 0.0,
        nats_to_go_worst: 0.0,
        above_tolerance: 0,
        other_optimum: 0,
        other_optimum_nats: 0.0,
        non_finite: 0,
        reference_joint_gradients: 0.0,
    }
}

#[test]
fn the_digest_of_numbers_tells_all_numbers_apart_and_ignores_times() {
    let digest = |record: Record| {
        let records = vec![plain(), record];
        let rows = ResultRows {
            records,
            ..ResultRows::default()
        };
        rows.digest_of_numbers()
    };
    let numbers = [-18.25, 0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let values = numbers.map(|value_nats| Record {
        value_nats,
        ..plain()
    });
    let errors = numbers.map(|number| Record {
        remaining_nats: Some(number),
        ..plain()
    });
    let digests: BTreeSet<String> = values.into_iter().chain(errors).map(digest).collect();
    assert_eq!(digests.len(), 10);
    let late = Record {
        seconds: 1e9,
        ..plain()
    };
    assert_eq!(digest(late), digest(plain()));

    let digest_of_trace = |nats_to_go: f64| {
        let trace = vec![TracePoint {
            nats_to_go,
            ..trace_point()
        }];
        let rows = ResultRows {
            trace,
            ..ResultRows::default()
        };
        rows.digest_of_numbers()
    };
    let digests: BTreeSet<String> = numbers.map(digest_of_trace).into();
    assert_eq!(digests.len(), 5);
}
