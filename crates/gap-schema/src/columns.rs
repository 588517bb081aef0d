//! The columns of a table of records. [`visit_record_columns`] declares each of them once, for both writing and
//! reading.

use crate::cell::{Cell, CellType, CellValue};
use crate::record::{Record, SCHEMA_VERSION};
use gap_spec::{BlockDeviations, Diagnostics, EncoderLabel, N_DRAW_BLOCKS};
use polars::prelude::*;
use std::borrow::Cow;

/// Visits the columns of one row, to declare, write or read them.
trait ColumnVisitor {
    /// Declares, writes or reads this row's cell in the column `name`, and returns its value (a placeholder if
    /// columns are only declared). `field` gets the value from the record that is written.
    fn visit_column<T: Cell>(
        &mut self,
        name: &'static str,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String>;

    /// Like [`ColumnVisitor::visit_column`], for a column that older tables lack; reading such a table returns
    /// `absent`.
    fn visit_newer_column<T: Cell>(
        &mut self,
        name: &'static str,
        absent: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String>;
}

/// Visits all columns of a row and returns its record. A new field needs one line here to become a column.
fn visit_record_columns(row: &mut impl ColumnVisitor) -> Result<Record, String> {
    let SchemaVersionCell = row.visit_column("schema", |_| SchemaVersionCell)?;
    Ok(Record {
        variant: row.visit_newer_column("variant", None, |r| r.variant.clone())?,
        dataset: row.visit_column("dataset", |r| r.dataset.clone())?,
        split: row.visit_column("split", |r| r.split)?,
        datapoint: row.visit_column("datapoint", |r| r.datapoint)?,
        seed: row.visit_column("seed", |r| r.seed)?,
        model: row.visit_column("model", |r| r.model.clone())?,
        family: row.visit_column("family", |r| r.family)?,
        family_params: row.visit_newer_column("family_params", 0, |r| r.family_params)?,
        encoder: visit_encoder_columns(row)?,
        method: row.visit_column("method", |r| r.method)?,
        method_name: row.visit_newer_column("method_name", None, |r| r.method_name.clone())?,
        refinement_steps: row.visit_column("refinement_steps", |r| r.refinement_steps)?,
        estimator: row.visit_column("estimator", |r| r.estimator)?,
        n_samples: row.visit_column("n_samples", |r| r.n_samples)?,
        value_nats: row.visit_column("value_nats", |r| r.value_nats)?,
        std_error_nats: row.visit_column("std_error_nats", |r| r.std_error_nats)?,
        side: row.visit_column("side", |r| r.side)?,
        trust: row.visit_column("trust", |r| r.trust)?,
        diagnostics: visit_diagnostics_columns(row)?,
        stop: row.visit_column("stop", |r| r.stop)?,
        stop_steps: row.visit_column("stop_steps", |r| r.stop_steps)?,
        remaining_nats: row.visit_column("remaining_nats", |r| r.remaining_nats)?,
        remaining_std_error_nats: row
            .visit_column("remaining_std_error_nats", |r| r.remaining_std_error_nats)?,
        remaining_bound_nats: row
            .visit_column("remaining_bound_nats", |r| r.remaining_bound_nats)?,
        starts_apart_nats: row.visit_column("starts_apart_nats", |r| r.starts_apart_nats)?,
        start: row.visit_column("start", |r| r.start.clone())?,
        start_optima: row.visit_newer_column("start_optima", None, |r| r.start_optima.clone())?,
        optima_apart_stds: row
            .visit_newer_column("optima_apart_stds", None, |r| r.optima_apart_stds)?,
        optima_apart_nats: row
            .visit_newer_column("optima_apart_nats", None, |r| r.optima_apart_nats)?,
        seconds: row.visit_column("seconds", |r| r.seconds)?,
        joint_gradients: row.visit_column("joint_gradients", |r| r.joint_gradients)?,
        fit_seconds: row.visit_column("fit_seconds", |r| r.fit_seconds)?,
        fit_joint_gradients: row.visit_column("fit_joint_gradients", |r| r.fit_joint_gradients)?,
        constant_inputs: row.visit_newer_column("constant_inputs", 0, |r| r.constant_inputs)?,
    })
}

fn visit_encoder_columns(row: &mut impl ColumnVisitor) -> Result<Option<EncoderLabel>, String> {
    fn encoder_field<T>(of: impl Fn(&EncoderLabel) -> T) -> impl Fn(&Record) -> Option<T> {
        move |record| record.encoder.as_ref().map(&of)
    }
    let kind = row.visit_column("encoder_kind", encoder_field(|e| e.kind))?;
    let hidden = row.visit_column("encoder_hidden", encoder_field(|e| e.hidden.clone()))?;
    let weights = row.visit_column("encoder_weights", encoder_field(|e| e.weights))?;
    let context = row.visit_column("encoder_context", encoder_field(|e| e.context))?;
    let objective = row.visit_newer_column("encoder_objective", None, |record| {
        record.encoder.as_ref().and_then(|e| e.objective.clone())
    })?;
    match (kind, hidden, weights, context) {
        (None, None, None, None) if objective.is_none() => Ok(None),
        (Some(kind), Some(hidden), Some(weights), Some(context)) => Ok(Some(EncoderLabel {
            kind,
            hidden,
            weights,
            context,
            objective,
        })),
        _ => Err("has an encoder in some of the columns `encoder_…`, but not in all".to_owned()),
    }
}

fn visit_diagnostics_columns(row: &mut impl ColumnVisitor) -> Result<Diagnostics, String> {
    let absent = Diagnostics::default();
    Ok(Diagnostics {
        effective_samples: row.visit_newer_column(
            "effective_samples",
            absent.effective_samples,
            |r| r.diagnostics.effective_samples,
        )?,
        pareto_k: row
            .visit_newer_column("pareto_k", absent.pareto_k, |r| r.diagnostics.pareto_k)?,
        acceptance: row.visit_newer_column("acceptance", absent.acceptance, |r| {
            r.diagnostics.acceptance
        })?,
        step_size: row
            .visit_newer_column("step_size", absent.step_size, |r| r.diagnostics.step_size)?,
        n_temperatures: row.visit_newer_column("n_temperatures", absent.n_temperatures, |r| {
            r.diagnostics.n_temperatures
        })?,
        seconds: row.visit_newer_column("estimate_seconds", absent.seconds, |r| {
            r.diagnostics.seconds
        })?,
        joint_evaluations: row.visit_newer_column(
            "estimate_joint_evaluations",
            absent.joint_evaluations,
            |r| r.diagnostics.joint_evaluations,
        )?,
        blocks: visit_block_columns(row)?,
    })
}

/// The columns of [`BlockDeviations`].
const BLOCK_COLUMNS: [&str; N_DRAW_BLOCKS] = [
    "block_0", "block_1", "block_2", "block_3", "block_4", "block_5", "block_6", "block_7",
    "block_8", "block_9", "block_10", "block_11", "block_12", "block_13", "block_14", "block_15",
];

fn visit_block_columns(row: &mut impl ColumnVisitor) -> Result<Option<BlockDeviations>, String> {
    let mut deviations = [None; N_DRAW_BLOCKS];
    for (block, name) in BLOCK_COLUMNS.into_iter().enumerate() {
        deviations[block] = row.visit_newer_column(name, None, |r| {
            r.diagnostics.blocks.map(|blocks| blocks.0[block])
        })?;
    }
    match deviations.iter().flatten().count() {
        0 => Ok(None),
        N_DRAW_BLOCKS => Ok(Some(BlockDeviations(
            deviations.map(Option::unwrap_or_default),
        ))),
        _ => Err("has values in some of the columns `block_…`, but not in all".to_owned()),
    }
}

/// The cell that holds the schema version; it can be read only if it is [`SCHEMA_VERSION`].
struct SchemaVersionCell;

impl Cell for SchemaVersionCell {
    const CELL_TYPE: CellType = <u32 as Cell>::CELL_TYPE;

    fn placeholder() -> Self {
        Self
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Integer(u64::from(SCHEMA_VERSION))
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        match u32::from_value(value)? {
            SCHEMA_VERSION => Ok(Self),
            other => Err(format!(
                "has version {other}; this amortgap reads version {SCHEMA_VERSION}"
            )),
        }
    }
}

/// Collects the columns that [`visit_record_columns`] declares, in its order.
struct HeaderBuilder(Vec<HeaderColumn>);

struct HeaderColumn {
    name: &'static str,
    cell_type: CellType,
    is_newer: bool,
}

impl HeaderBuilder {
    fn from_record_columns() -> Result<Self, String> {
        let mut header = Self(Vec::new());
        visit_record_columns(&mut header)?;
        Ok(header)
    }

    fn declare_column<T: Cell>(&mut self, name: &'static str, is_newer: bool) -> T {
        self.0.push(HeaderColumn {
            name,
            cell_type: T::CELL_TYPE,
            is_newer,
        });
        T::placeholder()
    }
}

impl ColumnVisitor for HeaderBuilder {
    fn visit_column<T: Cell>(
        &mut self,
        name: &'static str,
        _: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        Ok(self.declare_column(name, false))
    }

    fn visit_newer_column<T: Cell>(
        &mut self,
        name: &'static str,
        _: T,
        _: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        Ok(self.declare_column(name, true))
    }
}

/// The cells of a column of a table that is being built.
enum ColumnBuilder {
    Texts(Vec<Option<String>>),
    Integers(Vec<Option<u64>>),
    Reals(Vec<Option<f64>>),
    Reals32(Vec<Option<f32>>),
}

impl ColumnBuilder {
    fn with_capacity(cell_type: CellType, n: usize) -> Self {
        match cell_type {
            CellType::Text => Self::Texts(Vec::with_capacity(n)),
            CellType::Integer32 | CellType::Integer64 => Self::Integers(Vec::with_capacity(n)),
            CellType::Real => Self::Reals(Vec::with_capacity(n)),
            CellType::Real32 => Self::Reals32(Vec::with_capacity(n)),
        }
    }

    fn push(&mut self, value: CellValue<'_>) {
        match (self, value) {
            (Self::Texts(cells), CellValue::Text(text)) => cells.push(Some(text.into_owned())),
            (Self::Integers(cells), CellValue::Integer(number)) => cells.push(Some(number)),
            (Self::Reals(cells), CellValue::Real(number)) => cells.push(Some(number)),
            (Self::Reals32(cells), CellValue::Real(number)) => cells.push(Some(number as f32)),
            (Self::Texts(cells), CellValue::Empty) => cells.push(None),
            (Self::Integers(cells), CellValue::Empty) => cells.push(None),
            (Self::Reals(cells), CellValue::Empty) => cells.push(None),
            (Self::Reals32(cells), CellValue::Empty) => cells.push(None),
            _ => unreachable!("a cell's value is of the type that its column declares"),
        }
    }

    fn into_column(self, header: &HeaderColumn) -> PolarsResult<Column> {
        let name = header.name.into();
        let series = match self {
            Self::Texts(cells) => Series::new(name, cells),
            Self::Reals(cells) => Series::new(name, cells),
            Self::Reals32(cells) => Series::new(name, cells),
            Self::Integers(cells) => match header.cell_type {
                CellType::Integer32 => Series::new(name, cells).strict_cast(&DataType::UInt32)?,
                _ => Series::new(name, cells),
            },
        };
        Ok(series.into())
    }
}

/// Writes a row: appends each cell of `record` to its column.
struct RowWriter<'a> {
    record: &'a Record,
    columns: std::slice::IterMut<'a, ColumnBuilder>,
}

impl ColumnVisitor for RowWriter<'_> {
    fn visit_column<T: Cell>(
        &mut self,
        _: &'static str,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        let value = field(self.record);
        if let Some(column) = self.columns.next() {
            column.push(value.to_value());
        }
        Ok(value)
    }

    fn visit_newer_column<T: Cell>(
        &mut self,
        name: &'static str,
        _: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        self.visit_column(name, field)
    }
}

/// Collects the cells of a row that are no finite numbers.
struct NonFiniteCells<'a> {
    record: &'a Record,
    cells: Vec<(&'static str, f64)>,
}

impl ColumnVisitor for NonFiniteCells<'_> {
    fn visit_column<T: Cell>(
        &mut self,
        name: &'static str,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        let value = field(self.record);
        match value.to_value() {
            CellValue::Real(number) if !number.is_finite() => self.cells.push((name, number)),
            _ => {}
        }
        Ok(value)
    }

    fn visit_newer_column<T: Cell>(
        &mut self,
        name: &'static str,
        _: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        self.visit_column(name, field)
    }
}

/// The infinite numbers and NaNs of a record, each with its column. JSON writes all of them as `null`.
pub(crate) fn non_finite_cells(record: &Record) -> Vec<(&'static str, f64)> {
    let cells = Vec::new();
    let mut row = NonFiniteCells { record, cells };
    visit_record_columns(&mut row).expect("a record has all of its columns");
    row.cells
}

/// Converts the records to a table with a column for each field.
///
/// # Errors
///
/// Only if columns had different lengths, which cannot happen.
pub fn records_to_frame(records: &[Record]) -> PolarsResult<DataFrame> {
    let fault = |text: String| PolarsError::ComputeError(text.into());
    let HeaderBuilder(header) = HeaderBuilder::from_record_columns().map_err(fault)?;
    let empty =
        |column: &HeaderColumn| ColumnBuilder::with_capacity(column.cell_type, records.len());
    let mut columns: Vec<_> = header.iter().map(empty).collect();
    for record in records {
        let columns = columns.iter_mut();
        visit_record_columns(&mut RowWriter { record, columns }).map_err(fault)?;
    }
    let columns = columns.into_iter().zip(&header);
    let columns = columns.map(|(cells, header)| cells.into_column(header));
    DataFrame::new(records.len(), columns.collect::<PolarsResult<_>>()?)
}

/// The cells of a column of a table that is read.
enum StoredColumn {
    /// The column is missing, because the table is older.
    Absent,
    Texts(StringChunked),
    Integers(UInt64Chunked),
    Reals(Float64Chunked),
}

impl StoredColumn {
    fn from_frame_column(frame: &DataFrame, header: &HeaderColumn) -> PolarsResult<Self> {
        if header.is_newer && frame.get_column_index(header.name).is_none() {
            return Ok(Self::Absent);
        }
        let column = frame.column(header.name)?;
        Ok(match header.cell_type {
            CellType::Text => Self::Texts(column.str()?.clone()),
            CellType::Integer32 | CellType::Integer64 => {
                Self::Integers(column.cast(&DataType::UInt64)?.u64()?.clone())
            }
            CellType::Real | CellType::Real32 => {
                Self::Reals(column.cast(&DataType::Float64)?.f64()?.clone())
            }
        })
    }

    fn cell_value_at(&self, row: usize) -> CellValue<'_> {
        let value = match self {
            Self::Absent => None,
            Self::Texts(cells) => cells
                .get(row)
                .map(|text| CellValue::Text(Cow::Borrowed(text))),
            Self::Integers(cells) => cells.get(row).map(CellValue::Integer),
            Self::Reals(cells) => cells.get(row).map(CellValue::Real),
        };
        value.unwrap_or(CellValue::Empty)
    }
}

/// Reads a row: the cells at position `index` of `columns`.
struct RowReader<'a> {
    index: usize,
    columns: std::slice::Iter<'a, StoredColumn>,
}

impl ColumnVisitor for RowReader<'_> {
    fn visit_column<T: Cell>(
        &mut self,
        name: &'static str,
        _: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        let column = self.columns.next().unwrap_or(&StoredColumn::Absent);
        T::from_value(column.cell_value_at(self.index))
            .map_err(|fault| format!("column `{name}` {fault}"))
    }

    fn visit_newer_column<T: Cell>(
        &mut self,
        name: &'static str,
        absent: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        if let [StoredColumn::Absent, ..] = self.columns.as_slice() {
            self.columns.next();
            return Ok(absent);
        }
        self.visit_column(name, field)
    }
}

/// Reads the records of a table.
///
/// # Errors
///
/// A message that says which column is missing, or in which row and column a cell is wrong.
pub(crate) fn records_from_frame(frame: &DataFrame) -> Result<Vec<Record>, String> {
    let HeaderBuilder(header) = HeaderBuilder::from_record_columns()?;
    let columns = header
        .iter()
        .map(|column| StoredColumn::from_frame_column(frame, column));
    let columns: Vec<_> = columns
        .collect::<PolarsResult<_>>()
        .map_err(|e| e.to_string())?;
    let record = |index| {
        let columns = columns.iter();
        visit_record_columns(&mut RowReader { index, columns })
            .map_err(|fault| format!("row {index}: {fault}"))
    };
    (0..frame.height()).map(record).collect()
}
