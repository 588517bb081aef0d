//! A folder of results: the names of its files, and the rows in them.

use crate::columns::non_finite_cells;
use crate::parquet::{self, TableError};
use crate::rows_file::{self, RowFile, RowsError};
use crate::sums::{self, WholeNumberColumns};
use crate::{CalibrationRow, PosteriorGridCellRow, Record, TracePoint};
use gap_spec::Experiment;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The size of the longest JSON file of a folder of results that is read.
pub const MOST_JSON_BYTES: u64 = 1 << 26;
/// The size of the longest table of records, or of other rows, that is read.
pub const MOST_TABLE_BYTES: u64 = 1 << 30;

/// The table of records.
pub const RECORDS_FILE: &str = "records.parquet";
/// The summary, which other programs read.
pub const SUMMARY_FILE: &str = "summary.json";
/// The spec of the experiment, with all its variants.
pub const SPEC_FILE: &str = "spec.toml";
/// What produced the numbers: program, data, seeds and machine.
pub const PROVENANCE_FILE: &str = "provenance.json";
/// The report as a web page.
pub const PAGE_FILE: &str = "report.html";
/// Where the time of a run was spent.
pub const COSTS_FILE: &str = "costs.json";
/// The progress of ascents, if the experiment compares some.
pub const ASCENTS_FILE: &str = "ascents.csv";
/// Checks of standard errors, if the experiment repeats estimates.
pub const CALIBRATION_FILE: &str = "calibration.csv";
/// Grids that show posteriors, if the experiment has pictures.
pub const PICTURES_FILE: &str = "pictures.csv";

impl RowFile for TracePoint {
    const FILE_NAME: &'static str = ASCENTS_FILE;

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

impl RowFile for CalibrationRow {
    const FILE_NAME: &'static str = CALIBRATION_FILE;

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

impl RowFile for PosteriorGridCellRow {
    const FILE_NAME: &'static str = PICTURES_FILE;

    fn with_variant(self, variant: Option<String>) -> Self {
        Self { variant, ..self }
    }
}

/// The rows that a run recorded, of all kinds; a kind that the experiment does not have is empty.
#[derive(Clone, Debug, Default)]
pub struct ResultRows {
    /// A row for each datapoint, method and estimator.
    pub records: Vec<Record>,
    /// How far ascents have come after a number of steps.
    pub trace: Vec<TracePoint>,
    /// How repeated estimates compare with the known `log p(x)`: a row for each datapoint and estimator.
    pub calibration: Vec<CalibrationRow>,
    /// Cells of the grids that show posteriors, and the `q*` and encoder's `q` that approximate them.
    pub pictures: Vec<PosteriorGridCellRow>,
}

/// The rows in a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The table of records cannot be read.
    #[error("{0}; run the experiment again")]
    Table(#[from] TableError),
    /// A file with rows of another kind cannot be read.
    #[error("{0}; run the experiment again")]
    Rows(#[from] RowsError),
    /// A file holds a number that no run records.
    #[error("{path}: {message}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The column, and what it holds.
        message: String,
    },
}

impl ResultRows {
    /// Reads the rows in `folder`, the results of `experiment`.
    ///
    /// Tables that are older than `family_params` get it computed from the family and the model's latent
    /// dimension.
    ///
    /// # Errors
    ///
    /// [`ResultsError`] with the path of a file that cannot be read; [`RECORDS_FILE`] must exist, the others
    /// need not.
    pub fn read(folder: &Path, experiment: &Experiment) -> Result<Self, ResultsError> {
        let mut records = parquet::read_records(&folder.join(RECORDS_FILE))?;
        fill_missing_family_params(&mut records, experiment);
        Ok(Self {
            records: checked_rows(records, &folder.join(RECORDS_FILE))?,
            trace: read_rows_if_exists(&folder.join(ASCENTS_FILE))?,
            calibration: read_rows_if_exists(&folder.join(CALIBRATION_FILE))?,
            pictures: read_rows_if_exists(&folder.join(PICTURES_FILE))?,
        })
    }

    /// Returns the files of these rows by name, with `provenance` (JSON) in the footer of the table of records.
    /// A kind without rows has no file.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if a value has no place in its file.
    pub fn to_files(&self, provenance: &str) -> Result<BTreeMap<String, Vec<u8>>, FormatError> {
        let mut files = BTreeMap::new();
        let records = parquet::records_to_bytes(&self.records, provenance);
        files.insert(
            RECORDS_FILE.to_owned(),
            records.map_err(format_error(RECORDS_FILE))?,
        );
        insert_rows(&mut files, &self.trace)?;
        insert_rows(&mut files, &self.calibration)?;
        insert_rows(&mut files, &self.pictures)?;
        Ok(files)
    }

    /// Returns a digest of the numbers: of every value in every row, but those that tell time and those that
    /// name a stage. Two runs with the same digest found the same. The order of records does not matter, which depends
    /// on how many points a stage has.
    ///
    /// # Panics
    ///
    /// Never: rows are plain data.
    pub fn digest_of_numbers(&self) -> String {
        let mut records: Vec<Vec<u8>> = self.records.iter().map(numbers_of_record).collect();
        records.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for record in records {
            hasher.update(&record);
        }
        hash_rows(&mut hasher, &self.trace, |row| {
            (row.model, row.seconds) = (String::new(), 0.0);
        });
        hash_rows(&mut hasher, &self.calibration, |row| row.seconds = 0.0);
        hash_rows(&mut hasher, &self.pictures, |row| row.model = String::new());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// The variant of every row; `None` in experiments without variants.
    pub fn variant_of_each_row(&self) -> impl Iterator<Item = Option<&str>> {
        let records = self.records.iter().map(|row| &row.variant);
        let trace = self.trace.iter().map(|row| &row.variant);
        let calibration = self.calibration.iter().map(|row| &row.variant);
        let pictures = self.pictures.iter().map(|row| &row.variant);
        let variants = records.chain(trace).chain(calibration).chain(pictures);
        variants.map(Option::as_deref)
    }
}

/// Rows cannot be put into the form of a file.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {message}")]
pub struct FormatError {
    file: &'static str,
    message: String,
}

fn format_error<E: std::fmt::Display>(file: &'static str) -> impl FnOnce(E) -> FormatError {
    move |error| FormatError {
        file,
        message: error.to_string(),
    }
}

fn insert_rows<T: RowFile>(
    files: &mut BTreeMap<String, Vec<u8>>,
    rows: &[T],
) -> Result<(), FormatError> {
    if !rows.is_empty() {
        let csv = rows_file::rows_to_csv(rows).map_err(format_error(T::FILE_NAME))?;
        files.insert(T::FILE_NAME.to_owned(), csv);
    }
    Ok(())
}

/// What a record says, without times and the names of stages.
fn numbers_of_record(record: &Record) -> Vec<u8> {
    let mut record = record.clone();
    (record.model, record.seconds, record.fit_seconds) = (String::new(), 0.0, 0.0);
    record.diagnostics.seconds = 0.0;
    let mut numbers = serde_json::to_vec(&record).expect("a row is plain data");
    for (column, number) in non_finite_cells(&record) {
        numbers.extend(format!("{column}={number}").into_bytes());
    }
    numbers
}

/// Adds rows to a digest of numbers, after `forget` has removed from each what is no such number.
fn hash_rows<T: RowFile + Clone>(hasher: &mut blake3::Hasher, rows: &[T], forget: impl Fn(&mut T)) {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(forget);
    // CSV tells infinite numbers and NaN apart, which JSON does not.
    hasher.update(&rows_file::rows_to_csv(&rows).expect("rows are plain values"));
}

fn read_rows_if_exists<T: DeserializeOwned + WholeNumberColumns>(
    path: &Path,
) -> Result<Vec<T>, ResultsError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    checked_rows(rows_file::read_csv_rows(path)?, path)
}

/// Returns the rows of the file `path` if reports can add up their whole numbers.
fn checked_rows<T: WholeNumberColumns>(rows: Vec<T>, path: &Path) -> Result<Vec<T>, ResultsError> {
    match sums::check_sums(&rows) {
        Ok(()) => Ok(rows),
        Err(message) => Err(ResultsError::TooLarge {
            path: path.to_owned(),
            message,
        }),
    }
}

/// Fills in what older tables lack, except in rows whose variant the experiment does not have.
fn fill_missing_family_params(records: &mut [Record], experiment: &Experiment) {
    let incomplete = records.iter_mut().filter(|row| row.family_params == 0);
    for record in incomplete {
        if let Some(problem) = experiment.problem(record.variant.as_deref()) {
            let latent_dim = problem.spec.model.latent_dim.get() as usize;
            record.family_params = record.family.param_dim(latent_dim) as u64;
        }
    }
}
