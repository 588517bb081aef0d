//! For older tables without the number of parameters of a `q`, `gap-schema` computes what the families say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gap_infer::family;
use gap_schema::Record;
use gap_schema::parquet;
use gap_schema::results::{RECORDS_FILE, ResultRows};
use gap_spec::Family;
use gap_spec::document;

mod mock;

/// The number of parameters that a record gets when it is read with zero, as in tables without that column.
fn completed(family: Family, latent_dim: u32) -> u64 {
    let text = mock::edited("latent_dim = 2", &format!("latent_dim = {latent_dim}"));
    let experiment = document::parse("small.toml".as_ref(), &text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = mock::plan();
    let mut stages = plan.stages().iter();
    let (_, stage) = stages
        .find(|(_, stage)| mock::measured_split(stage).is_some())
        .unwrap();
    let record = Record {
        family,
        family_params: 0,
        ..mock::record(stage)
    };
    let table = parquet::records_to_bytes(&[record], "{}").unwrap();
    std::fs::write(folder.path().join(RECORDS_FILE), table).unwrap();
    let rows = ResultRows::read(folder.path(), &experiment).unwrap();
    rows.records[0].family_params
}

#[test]
fn the_parameters_of_older_tables_are_those_of_the_families() {
    for &kind in Family::ALL {
        for latent_dim in [2, 3, 10, 33] {
            let family = family::build_family(kind, i64::from(latent_dim));
            assert_eq!(
                completed(kind, latent_dim),
                family.param_dim() as u64,
                "{kind} in {latent_dim} dimensions"
            );
        }
    }
}
