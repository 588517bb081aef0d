//! Tests that no bytes make reading a table of records or of other rows panic, or take more memory than the
//! file's size explains.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../gap-spec/tests/generated/mod.rs"]
mod generated;

use gap_schema::parquet::{read_records, records_to_bytes, records_to_frame};
use gap_schema::record::Record;
use gap_schema::rows_file::read_csv_rows;
use gap_schema::{CalibrationRow, TracePoint};
use gap_spec::{
    Diagnostics, EncoderKind, EncoderLabel, Estimator, Family, Method, Side, Split, StopKind, Trust,
};
use generated::{ScratchFile, cases, damaged, damages, pass_in_limited_memory};
use polars::prelude::{ParquetCompression, ParquetWriter};
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
use polars_parquet_format::{
    ColumnMetaData, ConvertedType, FieldRepetitionType, FileMetaData, PageHeader, Type,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::DeserializeOwned;
use std::fs;
use std::sync::LazyLock;

/// A record of a datapoint, with an encoder for every other one.
fn record(datapoint: u64) -> Record {
    let encoder = EncoderLabel {
        kind: EncoderKind::Mlp,
        hidden: vec![64, 32],
        weights: 5460,
        context: 1,
        objective: datapoint
            .is_multiple_of(4)
            .then(|| "importance-weighted-5".to_owned()),
    };
    let is_amortized = datapoint.is_multiple_of(2);
    Record {
        variant: Some(format!("variant-{}", datapoint % 3)),
        dataset: "digits".to_owned(),
        split: Split::Test,
        datapoint,
        seed: 1,
        model: "model-0".to_owned(),
        family: Family::DiagonalGaussian,
        family_params: 20,
        encoder: is_amortized.then_some(encoder),
        method: Method::Amortized,
        method_name: is_amortized.then(|| "adam".to_owned()),
        refinement_steps: is_amortized.then_some(10),
        estimator: Estimator::ImportanceWeighted,
        n_samples: 1000,
        value_nats: -18.25 + (datapoint as f64).sin(),
        std_error_nats: 0.125,
        side: Side::Lower,
        trust: Trust::Ok,
        diagnostics: Diagnostics::default(),
        stop: StopKind::Direct,
        stop_steps: 0,
        remaining_nats: is_amortized.then_some(0.5),
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

const N_RECORDS: u64 = 40;

fn records() -> Vec<Record> {
    (0..N_RECORDS).map(record).collect()
}

/// Tables of these records: as a run writes it, without compression, so that damages reach what is in the
/// pages, and with several row groups and compressions that other programs use.
static TABLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut tables = vec![records_to_bytes(&records(), "{\"commit\": \"abc\"}").unwrap()];
    for (compression, rows_per_group) in [
        (ParquetCompression::Uncompressed, 100),
        (ParquetCompression::Uncompressed, 7),
        (ParquetCompression::Snappy, 100),
        (ParquetCompression::Lz4Raw, 20),
    ] {
        let mut frame = records_to_frame(&records()).unwrap();
        let mut table = Vec::new();
        ParquetWriter::new(&mut table)
            .with_compression(compression)
            .with_row_group_size(Some(rows_per_group))
            .finish(&mut frame)
            .unwrap();
        tables.push(table);
    }
    tables
});

/// Reads a table of records; a refusal is one line that names the file.
fn read_table(file: &ScratchFile, bytes: &[u8]) -> Result<Option<Vec<Record>>, TestCaseError> {
    let path = file.with(bytes);
    match read_records(path) {
        Ok(records) => Ok(Some(records)),
        Err(error) => {
            let message = error.to_string();
            let names_file = message.starts_with(&path.display().to_string());
            prop_assert!(names_file && message.lines().count() == 1, "{}", message);
            Ok(None)
        }
    }
}

/// Reads rows from a CSV file; a refusal names the file.
fn read_rows<T: DeserializeOwned>(
    file: &ScratchFile,
    bytes: &[u8],
) -> Result<Vec<T>, TestCaseError> {
    let path = file.with(bytes);
    read_csv_rows(path).or_else(|error| {
        let message = error.to_string();
        prop_assert!(
            message.starts_with(&path.display().to_string()),
            "{}",
            message
        );
        Ok(Vec::new())
    })
}

/// The footer of a table, and the bytes before it.
fn split(table: &[u8]) -> (&[u8], FileMetaData) {
    let (content, end) = table.split_at(table.len() - 8);
    let n = u32::from_le_bytes(end[..4].try_into().unwrap()) as usize;
    let (pages, footer) = content.split_at(content.len() - n);
    let mut protocol = TCompactInputProtocol::new(footer, usize::MAX);
    (
        pages,
        FileMetaData::read_from_in_protocol(&mut protocol).unwrap(),
    )
}

/// A table of these pages and this footer.
fn joined(pages: &[u8], metadata: &FileMetaData) -> Vec<u8> {
    let mut footer = Vec::new();
    metadata
        .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut footer))
        .unwrap();
    let length = (footer.len() as u32).to_le_bytes();
    [pages, &footer, &length, b"PAR1"].concat()
}

/// A number that a header may claim.
fn claim() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(-1),
        1..100_i64,
        prop::sample::select(vec![
            1 << 20,
            1 << 28,
            (1 << 31) - 1,
            1 << 31,
            1 << 32,
            1 << 40,
            1 << 62,
            i64::MAX,
            i64::MIN,
        ]),
        any::<i64>(),
    ]
}

/// The same for a number of 32 bits.
fn small_claim() -> impl Strategy<Value = i32> {
    claim().prop_map(|n| n as i32)
}

/// The number of changes that [`change_footer`] knows.
const N_FOOTER_CHANGES: usize = 18;

/// Changes one number in a footer.
fn change_footer(metadata: &mut FileMetaData, which: usize, at: usize, claim: i64) {
    let group = at % metadata.row_groups.len();
    let group = &mut metadata.row_groups[group];
    let column = at % group.columns.len();
    let n_columns = metadata.schema.len() - 1;
    let of_schema = &mut metadata.schema[1 + at % n_columns];
    let column: &mut ColumnMetaData = group.columns[column].meta_data.as_mut().unwrap();
    match which {
        0 => metadata.num_rows = claim,
        1 => group.num_rows = claim,
        2 => (metadata.num_rows, group.num_rows) = (claim, claim),
        3 => column.num_values = claim,
        4 => column.total_compressed_size = claim,
        5 => column.total_uncompressed_size = claim,
        6 => column.data_page_offset = claim,
        7 => column.dictionary_page_offset = Some(claim),
        8 => column.codec.0 = claim as i32,
        9 => of_schema.num_children = Some(claim as i32),
        10 => of_schema.type_length = Some(claim as i32),
        11 => {
            of_schema.type_ = of_schema.type_.map(|_| Type(claim as i32 & 7));
        }
        12 => {
            of_schema.repetition_type = Some(FieldRepetitionType(claim as i32 & 3));
        }
        13 => {
            of_schema.converted_type = Some(ConvertedType(claim as i32 & 31));
        }
        14 => of_schema.logical_type = None,
        15 => of_schema.name = "seed".to_owned(),
        16 => metadata.schema[0].num_children = Some(claim as i32),
        _ => {
            for group in &mut metadata.row_groups {
                group.num_rows = claim;
                for column in &mut group.columns {
                    column.meta_data.as_mut().unwrap().num_values = claim;
                }
            }
            metadata.num_rows = claim.wrapping_mul(metadata.row_groups.len() as i64);
        }
    }
}

/// The numbers of a page's header that are changed, and which of the column's pages it is.
#[derive(Clone, Debug)]
struct PageChange {
    page: usize,
    uncompressed: Option<i32>,
    compressed: Option<i32>,
    n_values: Option<i32>,
    encoding: Option<i32>,
}

fn page_change() -> impl Strategy<Value = PageChange> {
    (
        0..2_usize,
        prop::option::of(small_claim()),
        prop::option::weighted(0.2, small_claim()),
        prop::option::of(small_claim()),
        prop::option::weighted(0.3, 0..10_i32),
    )
        .prop_map(
            |(page, uncompressed, compressed, n_values, encoding)| PageChange {
                page,
                uncompressed,
                compressed,
                n_values,
                encoding,
            },
        )
}

/// Returns the table with one page of a column changed in its header. The column's pages are moved behind all
/// others, since a header may become longer.
fn with_changed_page(table: &[u8], column: usize, change: &PageChange) -> Vec<u8> {
    let (pages, mut metadata) = split(table);
    let mut pages = pages.to_vec();
    let column = column % (metadata.schema.len() - 1);
    let of_column = metadata.row_groups[0].columns[column]
        .meta_data
        .as_mut()
        .unwrap();
    let start = of_column
        .dictionary_page_offset
        .unwrap_or(of_column.data_page_offset) as usize;
    let chunk = pages[start..start + of_column.total_compressed_size as usize].to_vec();
    let new_start = pages.len();
    let mut rest = chunk.as_slice();
    for i in 0.. {
        if rest.is_empty() {
            break;
        }
        let mut protocol = TCompactInputProtocol::new(&mut rest, usize::MAX);
        let mut header = PageHeader::read_from_in_protocol(&mut protocol).unwrap();
        let (content, after) = rest.split_at(header.compressed_page_size as usize);
        rest = after;
        if i == change.page {
            header.uncompressed_page_size =
                change.uncompressed.unwrap_or(header.uncompressed_page_size);
            header.compressed_page_size = change.compressed.unwrap_or(header.compressed_page_size);
            if let Some(page) = &mut header.data_page_header {
                page.num_values = change.n_values.unwrap_or(page.num_values);
                page.encoding.0 = change.encoding.unwrap_or(page.encoding.0);
            }
            if let Some(page) = &mut header.dictionary_page_header {
                page.num_values = change.n_values.unwrap_or(page.num_values);
            }
            if let Some(page) = &mut header.data_page_header_v2 {
                page.num_values = change.n_values.unwrap_or(page.num_values);
                page.num_rows = page.num_values;
                page.encoding.0 = change.encoding.unwrap_or(page.encoding.0);
            }
        }
        if of_column.dictionary_page_offset.is_none() || i == 1 {
            of_column.data_page_offset = pages.len() as i64;
        }
        header
            .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut pages))
            .unwrap();
        pages.extend(content);
    }
    if of_column.dictionary_page_offset.is_some() {
        of_column.dictionary_page_offset = Some(new_start as i64);
    }
    of_column.total_compressed_size = (pages.len() - new_start) as i64;
    joined(&pages, &metadata)
}

#[test]
#[ignore = "run by `no_generated_table_panics_or_takes_much_memory`"]
fn damaged_tables() {
    let file = ScratchFile::new("any.parquet");
    let input = (any::<Index>(), damages(), any::<bool>());
    proptest!(cases(700), |((table, damages, in_footer) in input)| {
        let table = table.get::<Vec<u8>>(&TABLES);
        if in_footer {
            // A footer is a small part of a file, and most claims are in it.
            let n = u32::from_le_bytes(table[table.len() - 8..][..4].try_into().unwrap()) as usize;
            let (pages, footer) = table.split_at(table.len() - 8 - n);
            let (footer, end) = footer.split_at(n);
            read_table(&file, &[pages, &damaged(footer, &damages), end].concat())?;
        } else {
            read_table(&file, &damaged(table, &damages))?;
        }
    });
}

#[test]
#[ignore = "run by `no_generated_table_panics_or_takes_much_memory`"]
fn tables_whose_footer_claims_something_else() {
    let file = ScratchFile::new("any.parquet");
    let change = (0..N_FOOTER_CHANGES, 0..200_usize, claim());
    let input = (any::<Index>(), prop::collection::vec(change, 1..3));
    proptest!(cases(400), |((table, changes) in input)| {
        let (pages, mut metadata) = split(table.get::<Vec<u8>>(&TABLES));
        for (which, at, claim) in changes {
            change_footer(&mut metadata, which, at, claim);
        }
        read_table(&file, &joined(pages, &metadata))?;
    });
}

#[test]
#[ignore = "run by `no_generated_table_panics_or_takes_much_memory`"]
fn tables_whose_pages_claim_something_else() {
    let file = ScratchFile::new("any.parquet");
    let input = (any::<Index>(), 0..60_usize, page_change());
    proptest!(cases(400), |((table, column, change) in input)| {
        let table = table.get::<Vec<u8>>(&TABLES);
        read_table(&file, &with_changed_page(table, column, &change))?;
    });
}

#[test]
#[ignore = "run by `no_generated_table_panics_or_takes_much_memory`"]
fn the_largest_claims_one_by_one() {
    let file = ScratchFile::new("any.parquet");
    for table in &TABLES[..2] {
        for which in 0..N_FOOTER_CHANGES {
            for claim in [1 << 28, (1 << 31) - 1, 1 << 40, i64::MAX, -1] {
                let (pages, mut metadata) = split(table);
                change_footer(&mut metadata, which, which, claim);
                read_table(&file, &joined(pages, &metadata)).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "run by `no_generated_table_panics_or_takes_much_memory`"]
fn damaged_rows() {
    let file = ScratchFile::new("any.csv");
    let input = (any::<bool>(), damages(), "[0-9a-z,\"\n\r .é-]{0,60}");
    proptest!(cases(500), |((is_trace, damages, text) in input)| {
        let header = TRACE.lines().next().unwrap();
        if is_trace {
            read_rows::<TracePoint>(&file, &damaged(TRACE.as_bytes(), &damages))?;
        } else {
            read_rows::<CalibrationRow>(&file, &damaged(CALIBRATION.as_bytes(), &damages))?;
        }
        read_rows::<TracePoint>(&file, format!("{header}\n{text}").as_bytes())?;
    });
}

/// The progress of an ascent.
const TRACE: &str = "\
variant,dataset,split,seed,model,latent_dim,ascent,phases,start,n,steps,joint_gradients,seconds,climbing,nats_to_go,\
nats_to_go_std_error,nats_to_go_median,nats_to_go_worst,above_tolerance,other_optimum,other_optimum_nats,non_finite,\
reference_joint_gradients
,digits,test,3,model-1,10,default,newton-stein/fixed/16,prior,200,17,271.25,0.5,4,-1e-5,NaN,0.0,2.5,3,1,0.04,0,5000.0
z2,digits,train,3,model-1,10,\"a, b\",adam/fresh/1,encoder,200,34,542.5,1.0,4,-1e-5,0.1,0.0,2.5,3,1,0.04,0,5000.0
";

/// Checks of standard errors.
const CALIBRATION: &str = "\
variant,seed,datapoint,latent_dim,estimator,side,n_samples,n_temperatures,n_replicates,non_finite,untrusted,exact_nats,\
target_nats,mean_nats,bias_nats,bias_std_error_nats,spread_nats,std_error_nats,coverage,coverage_trusted,seconds,\
joint_evaluations
,0,5,2,elbo,lower,100.0,,50,0,0,-3.5,-3.6,-3.6,-0.1,0.01,0.1,0.1,0.95,0.95,0.001,100.0
z2,0,6,2,annealed,lower,16.0,1000,50,1,2,-3.5,,-3.6,-0.1,0.01,0.1,0.1,0.95,,0.001,16000.0
";

#[test]
fn no_generated_table_panics_or_takes_much_memory() {
    pass_in_limited_memory(&[
        "damaged_tables",
        "tables_whose_footer_claims_something_else",
        "tables_whose_pages_claim_something_else",
        "damaged_rows",
        "the_largest_claims_one_by_one",
    ]);
}

#[test]
fn the_files_that_are_damaged_are_whole() {
    let file = ScratchFile::new("any");
    for table in TABLES.iter() {
        assert_eq!(read_table(&file, table).unwrap(), Some(records()));
        let (pages, metadata) = split(table);
        let same = joined(pages, &metadata);
        assert_eq!(read_table(&file, &same).unwrap(), Some(records()));
    }
    assert_eq!(
        read_rows::<TracePoint>(&file, TRACE.as_bytes())
            .unwrap()
            .len(),
        2
    );
    let calibration = CALIBRATION.as_bytes();
    assert_eq!(
        read_rows::<CalibrationRow>(&file, calibration)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_page_that_is_written_anew_is_read_as_before() {
    let file = ScratchFile::new("any.parquet");
    let same = PageChange {
        page: 0,
        uncompressed: None,
        compressed: None,
        n_values: None,
        encoding: None,
    };
    for table in &TABLES[..2] {
        for column in 0..split(table).1.schema.len() - 1 {
            let table = with_changed_page(table, column, &same);
            assert_eq!(
                read_table(&file, &table).unwrap(),
                Some(records()),
                "{column}"
            );
        }
    }
}

#[test]
fn a_table_whose_rows_hardly_differ_is_not_taken_for_a_bomb() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.parquet");
    let failed = |datapoint| Record {
        value_nats: f64::NAN,
        datapoint,
        ..record(0)
    };
    for rows in [
        vec![record(0); 60_000],
        (0..80_000).map(failed).collect::<Vec<_>>(),
    ] {
        fs::write(&path, records_to_bytes(&rows, "{}").unwrap()).unwrap();
        assert_eq!(read_records(&path).unwrap().len(), rows.len());
    }
}
