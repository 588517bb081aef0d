//! The columns of a table of records, each declared once, in [`each_column`]; from there they are written and
//! read.

use crate::cell::{Cell, CellType, Value};
use crate::record::{Record, SCHEMA_VERSION};
use gap_spec::{Diagnostics, EncoderLabel};
use polars::prelude::*;
use std::borrow::Cow;

/// Goes through the columns of one row.
trait Row {
    /// The cell of this row in the column `name`, which is `field` of the row's record.
    fn cell<T: Cell>(
        &mut self,
        name: &'static str,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String>;

    /// As [`Row::cell`]; `absent` in a table that is older than the column.
    fn newer_cell<T: Cell>(
        &mut self,
        name: &'static str,
        absent: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String>;
}

/// The record of one row. A new field is a column by a line here.
fn each_column(row: &mut impl Row) -> Result<Record, String> {
    let Schema = row.cell("schema", |_| Schema)?;
    Ok(Record {
        variant: row.newer_cell("variant", None, |r| r.variant.clone())?,
        dataset: row.cell("dataset", |r| r.dataset.clone())?,
        split: row.cell("split", |r| r.split)?,
        datapoint: row.cell("datapoint", |r| r.datapoint)?,
        seed: row.cell("seed", |r| r.seed)?,
        model: row.cell("model", |r| r.model.clone())?,
        family: row.cell("family", |r| r.family)?,
        family_params: row.newer_cell("family_params", 0, |r| r.family_params)?,
        encoder: encoder_columns(row)?,
        method: row.cell("method", |r| r.method)?,
        refinement_steps: row.cell("refinement_steps", |r| r.refinement_steps)?,
        estimator: row.cell("estimator", |r| r.estimator)?,
        n_samples: row.cell("n_samples", |r| r.n_samples)?,
        value_nats: row.cell("value_nats", |r| r.value_nats)?,
        std_error_nats: row.cell("std_error_nats", |r| r.std_error_nats)?,
        side: row.cell("side", |r| r.side)?,
        trust: row.cell("trust", |r| r.trust)?,
        diagnostics: diagnostics_columns(row)?,
        stop: row.cell("stop", |r| r.stop)?,
        stop_steps: row.cell("stop_steps", |r| r.stop_steps)?,
        remaining_nats: row.cell("remaining_nats", |r| r.remaining_nats)?,
        remaining_std_error_nats: row
            .cell("remaining_std_error_nats", |r| r.remaining_std_error_nats)?,
        remaining_bound_nats: row.cell("remaining_bound_nats", |r| r.remaining_bound_nats)?,
        starts_apart_nats: row.cell("starts_apart_nats", |r| r.starts_apart_nats)?,
        start: row.cell("start", |r| r.start.clone())?,
        seconds: row.cell("seconds", |r| r.seconds)?,
        joint_gradients: row.cell("joint_gradients", |r| r.joint_gradients)?,
        fit_seconds: row.cell("fit_seconds", |r| r.fit_seconds)?,
        fit_joint_gradients: row.cell("fit_joint_gradients", |r| r.fit_joint_gradients)?,
    })
}

fn encoder_columns(row: &mut impl Row) -> Result<Option<EncoderLabel>, String> {
    fn field<T>(of: impl Fn(&EncoderLabel) -> T) -> impl Fn(&Record) -> Option<T> {
        move |record| record.encoder.as_ref().map(&of)
    }
    let kind = row.cell("encoder_kind", field(|e| e.kind))?;
    let hidden = row.cell("encoder_hidden", field(|e| e.hidden.clone()))?;
    let weights = row.cell("encoder_weights", field(|e| e.weights))?;
    let context = row.cell("encoder_context", field(|e| e.context))?;
    match (kind, hidden, weights, context) {
        (None, None, None, None) => Ok(None),
        (Some(kind), Some(hidden), Some(weights), Some(context)) => Ok(Some(EncoderLabel {
            kind,
            hidden,
            weights,
            context,
        })),
        _ => Err("has an encoder in some of the columns `encoder_…`, but not in all".to_owned()),
    }
}

fn diagnostics_columns(row: &mut impl Row) -> Result<Diagnostics, String> {
    let absent = Diagnostics::default();
    Ok(Diagnostics {
        effective_samples: row.newer_cell("effective_samples", absent.effective_samples, |r| {
            r.diagnostics.effective_samples
        })?,
        pareto_k: row.newer_cell("pareto_k", absent.pareto_k, |r| r.diagnostics.pareto_k)?,
        acceptance: row.newer_cell("acceptance", absent.acceptance, |r| {
            r.diagnostics.acceptance
        })?,
        step_size: row.newer_cell("step_size", absent.step_size, |r| r.diagnostics.step_size)?,
        n_temperatures: row.newer_cell("n_temperatures", absent.n_temperatures, |r| {
            r.diagnostics.n_temperatures
        })?,
        seconds: row.newer_cell("estimate_seconds", absent.seconds, |r| {
            r.diagnostics.seconds
        })?,
        joint_evaluations: row.newer_cell(
            "estimate_joint_evaluations",
            absent.joint_evaluations,
            |r| r.diagnostics.joint_evaluations,
        )?,
    })
}

/// The version that a row must have.
struct Schema;

impl Cell for Schema {
    const TYPE: CellType = <u32 as Cell>::TYPE;

    fn blank() -> Self {
        Self
    }

    fn to_value(&self) -> Value<'_> {
        Value::Integer(u64::from(SCHEMA_VERSION))
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match u32::from_value(value)? {
            SCHEMA_VERSION => Ok(Self),
            other => Err(format!(
                "has version {other}; this amortgap reads version {SCHEMA_VERSION}"
            )),
        }
    }
}

/// The columns that [`each_column`] declares, in its order.
struct Header(Vec<HeaderColumn>);

struct HeaderColumn {
    name: &'static str,
    cell_type: CellType,
    is_newer: bool,
}

impl Header {
    fn of_records() -> Result<Self, String> {
        let mut header = Self(Vec::new());
        each_column(&mut header)?;
        Ok(header)
    }

    fn declare<T: Cell>(&mut self, name: &'static str, is_newer: bool) -> T {
        self.0.push(HeaderColumn {
            name,
            cell_type: T::TYPE,
            is_newer,
        });
        T::blank()
    }
}

impl Row for Header {
    fn cell<T: Cell>(&mut self, name: &'static str, _: impl Fn(&Record) -> T) -> Result<T, String> {
        Ok(self.declare(name, false))
    }

    fn newer_cell<T: Cell>(
        &mut self,
        name: &'static str,
        _: T,
        _: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        Ok(self.declare(name, true))
    }
}

/// The cells of a column on their way to a table.
enum Cells {
    Texts(Vec<Option<String>>),
    Integers(Vec<Option<u64>>),
    Reals(Vec<Option<f64>>),
}

impl Cells {
    fn with_capacity(cell_type: CellType, n: usize) -> Self {
        match cell_type {
            CellType::Text => Self::Texts(Vec::with_capacity(n)),
            CellType::Integer32 | CellType::Integer64 => Self::Integers(Vec::with_capacity(n)),
            CellType::Real => Self::Reals(Vec::with_capacity(n)),
        }
    }

    fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Texts(cells), Value::Text(text)) => cells.push(Some(text.into_owned())),
            (Self::Integers(cells), Value::Integer(number)) => cells.push(Some(number)),
            (Self::Reals(cells), Value::Real(number)) => cells.push(Some(number)),
            (Self::Texts(cells), _) => cells.push(None),
            (Self::Integers(cells), _) => cells.push(None),
            (Self::Reals(cells), _) => cells.push(None),
        }
    }

    fn into_column(self, header: &HeaderColumn) -> PolarsResult<Column> {
        let name = header.name.into();
        let series = match self {
            Self::Texts(cells) => Series::new(name, cells),
            Self::Reals(cells) => Series::new(name, cells),
            Self::Integers(cells) => match header.cell_type {
                CellType::Integer32 => Series::new(name, cells).strict_cast(&DataType::UInt32)?,
                _ => Series::new(name, cells),
            },
        };
        Ok(series.into())
    }
}

/// A row that is written: the cells of `record`, each behind its column's.
struct WrittenRow<'a> {
    record: &'a Record,
    columns: std::slice::IterMut<'a, Cells>,
}

impl Row for WrittenRow<'_> {
    fn cell<T: Cell>(
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

    fn newer_cell<T: Cell>(
        &mut self,
        name: &'static str,
        _: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        self.cell(name, field)
    }
}

/// The records as a table, a column for each field.
///
/// # Errors
///
/// Only if columns had different lengths, which they cannot have.
pub fn to_frame(records: &[Record]) -> PolarsResult<DataFrame> {
    let fault = |text: String| PolarsError::ComputeError(text.into());
    let Header(header) = Header::of_records().map_err(fault)?;
    let empty = |column: &HeaderColumn| Cells::with_capacity(column.cell_type, records.len());
    let mut columns: Vec<_> = header.iter().map(empty).collect();
    for record in records {
        let columns = columns.iter_mut();
        each_column(&mut WrittenRow { record, columns }).map_err(fault)?;
    }
    let columns = columns.into_iter().zip(&header);
    let columns = columns.map(|(cells, header)| cells.into_column(header));
    DataFrame::new(records.len(), columns.collect::<PolarsResult<_>>()?)
}

/// The cells of a column of a table.
enum StoredColumn {
    /// The table is older than the column.
    Absent,
    Texts(StringChunked),
    Integers(UInt64Chunked),
    Reals(Float64Chunked),
}

impl StoredColumn {
    fn of(frame: &DataFrame, header: &HeaderColumn) -> PolarsResult<Self> {
        if header.is_newer && frame.get_column_index(header.name).is_none() {
            return Ok(Self::Absent);
        }
        let column = frame.column(header.name)?;
        Ok(match header.cell_type {
            CellType::Text => Self::Texts(column.str()?.clone()),
            CellType::Integer32 | CellType::Integer64 => {
                Self::Integers(column.cast(&DataType::UInt64)?.u64()?.clone())
            }
            CellType::Real => Self::Reals(column.cast(&DataType::Float64)?.f64()?.clone()),
        })
    }

    fn value(&self, row: usize) -> Value<'_> {
        let value = match self {
            Self::Absent => None,
            Self::Texts(cells) => cells.get(row).map(|text| Value::Text(Cow::Borrowed(text))),
            Self::Integers(cells) => cells.get(row).map(Value::Integer),
            Self::Reals(cells) => cells.get(row).map(Value::Real),
        };
        value.unwrap_or(Value::Empty)
    }
}

/// A row that is read: the cells in the row `index` of `columns`.
struct ReadRow<'a> {
    index: usize,
    columns: std::slice::Iter<'a, StoredColumn>,
}

impl Row for ReadRow<'_> {
    fn cell<T: Cell>(&mut self, name: &'static str, _: impl Fn(&Record) -> T) -> Result<T, String> {
        let column = self.columns.next().unwrap_or(&StoredColumn::Absent);
        T::from_value(column.value(self.index)).map_err(|fault| format!("column `{name}` {fault}"))
    }

    fn newer_cell<T: Cell>(
        &mut self,
        name: &'static str,
        absent: T,
        field: impl Fn(&Record) -> T,
    ) -> Result<T, String> {
        if let [StoredColumn::Absent, ..] = self.columns.as_slice() {
            self.columns.next();
            return Ok(absent);
        }
        self.cell(name, field)
    }
}

/// The records of a table.
///
/// # Errors
///
/// Says which column is missing, or in which row and column a cell is wrong.
pub(crate) fn from_frame(frame: &DataFrame) -> Result<Vec<Record>, String> {
    let Header(header) = Header::of_records()?;
    let columns = header.iter().map(|column| StoredColumn::of(frame, column));
    let columns: Vec<_> = columns
        .collect::<PolarsResult<_>>()
        .map_err(|e| e.to_string())?;
    let record = |index| {
        let columns = columns.iter();
        each_column(&mut ReadRow { index, columns })
            .map_err(|fault| format!("row {index}: {fault}"))
    };
    (0..frame.height()).map(record).collect()
}
