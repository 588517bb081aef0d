//! The types of a table's columns, and how their values are stored.

use gap_spec::{EncoderKind, Estimator, Family, Method, Side, Split, StopKind, Trust};
use std::borrow::Cow;

/// How a column is stored.
#[derive(Clone, Copy)]
pub(crate) enum CellType {
    Text,
    /// Stored in 32 bits.
    Integer32,
    /// Stored in 64 bits.
    Integer64,
    /// Stored in 64 bits.
    Real,
    /// Stored in 32 bits.
    Real32,
}

/// What is stored in one cell.
pub(crate) enum CellValue<'a> {
    Empty,
    Text(Cow<'a, str>),
    Integer(u64),
    Real(f64),
}

/// A field type whose values are stored in one column.
pub(crate) trait Cell: Sized {
    const CELL_TYPE: CellType;

    /// Returns an arbitrary value of the type, for the record that is built only to list the columns.
    fn placeholder() -> Self;

    fn to_value(&self) -> CellValue<'_>;

    /// # Errors
    ///
    /// A message that says what the cell holds, if that is no value of this type.
    fn from_value(value: CellValue<'_>) -> Result<Self, String>;
}

impl<T: Cell> Cell for Option<T> {
    const CELL_TYPE: CellType = T::CELL_TYPE;

    fn placeholder() -> Self {
        None
    }

    fn to_value(&self) -> CellValue<'_> {
        self.as_ref().map_or(CellValue::Empty, T::to_value)
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        match value {
            CellValue::Empty => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// The error for a cell that is empty, or whose value is of another type than its column.
fn unexpected_value_error<T>(value: &CellValue<'_>) -> Result<T, String> {
    Err(match value {
        CellValue::Empty => "has an empty value, which it must not have".to_owned(),
        CellValue::Text(text) => format!("has the text `{text}` where a number belongs"),
        CellValue::Integer(number) => format!("has the number {number} where a text belongs"),
        CellValue::Real(number) => format!("has the number {number} where a text belongs"),
    })
}

impl Cell for String {
    const CELL_TYPE: CellType = CellType::Text;

    fn placeholder() -> Self {
        Self::new()
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Text(Cow::Borrowed(self))
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        match value {
            CellValue::Text(text) => Ok(text.into_owned()),
            other => unexpected_value_error(&other),
        }
    }
}

impl Cell for u64 {
    const CELL_TYPE: CellType = CellType::Integer64;

    fn placeholder() -> Self {
        0
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Integer(*self)
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        match value {
            CellValue::Integer(number) => Ok(number),
            other => unexpected_value_error(&other),
        }
    }
}

impl Cell for u32 {
    const CELL_TYPE: CellType = CellType::Integer32;

    fn placeholder() -> Self {
        0
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Integer(u64::from(*self))
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        let number = u64::from_value(value)?;
        Self::try_from(number).map_err(|_| format!("has {number}, more than 32 bits hold"))
    }
}

impl Cell for f64 {
    const CELL_TYPE: CellType = CellType::Real;

    fn placeholder() -> Self {
        0.0
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Real(*self)
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        match value {
            CellValue::Real(number) => Ok(number),
            other => unexpected_value_error(&other),
        }
    }
}

impl Cell for f32 {
    const CELL_TYPE: CellType = CellType::Real32;

    fn placeholder() -> Self {
        0.0
    }

    fn to_value(&self) -> CellValue<'_> {
        CellValue::Real(f64::from(*self))
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        f64::from_value(value).map(|number| number as Self)
    }
}

/// Widths of layers, stored as text such as `256-128`; an empty list is stored as an empty text.
impl Cell for Vec<u32> {
    const CELL_TYPE: CellType = CellType::Text;

    fn placeholder() -> Self {
        Self::new()
    }

    fn to_value(&self) -> CellValue<'_> {
        let widths: Vec<_> = self.iter().map(u32::to_string).collect();
        CellValue::Text(Cow::Owned(widths.join("-")))
    }

    fn from_value(value: CellValue<'_>) -> Result<Self, String> {
        let text = String::from_value(value)?;
        let widths = text.split('-').filter(|width| !width.is_empty());
        let parse = |width: &str| {
            let number = width.parse();
            number.map_err(|_| format!("has the width `{width}`, which is no whole number"))
        };
        widths.map(parse).collect()
    }
}

macro_rules! named_cells {
    ($($name:ty),+) => { $(
        impl Cell for $name {
            const CELL_TYPE: CellType = CellType::Text;

            fn placeholder() -> Self {
                Self::ALL[0]
            }

            fn to_value(&self) -> CellValue<'_> {
                CellValue::Text(Cow::Borrowed(self.as_str()))
            }

            fn from_value(value: CellValue<'_>) -> Result<Self, String> {
                // Older tables have a number after the name of a trust, as in `heavy-tail (0.83)`.
                let text = String::from_value(value)?;
                let name = text.split(" (").next().unwrap_or(&text);
                name.parse().map_err(|fault| format!("has {fault}"))
            }
        }
    )+ };
}

named_cells!(
    EncoderKind,
    Estimator,
    Family,
    Method,
    Side,
    Split,
    StopKind,
    Trust
);
