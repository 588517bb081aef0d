//! What a column of a table may hold, and how it is stored.

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
    Real,
}

/// What is stored in one cell.
pub(crate) enum Value<'a> {
    Empty,
    Text(Cow<'a, str>),
    Integer(u64),
    Real(f64),
}

/// The type of a field that is one column.
pub(crate) trait Cell: Sized {
    const TYPE: CellType;

    /// Any value; it stands in the row that a table's header is taken from.
    fn blank() -> Self;

    fn to_value(&self) -> Value<'_>;

    /// # Errors
    ///
    /// Says what the cell has if it is no value of this type.
    fn from_value(value: Value<'_>) -> Result<Self, String>;
}

impl<T: Cell> Cell for Option<T> {
    const TYPE: CellType = T::TYPE;

    fn blank() -> Self {
        None
    }

    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Empty, T::to_value)
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Empty => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// What a cell has that its column does not allow: nothing, or something of another type.
fn unexpected<T>(value: &Value<'_>) -> Result<T, String> {
    Err(match value {
        Value::Empty => "has an empty value, which it must not have".to_owned(),
        Value::Text(text) => format!("has the text `{text}` where a number belongs"),
        Value::Integer(number) => format!("has the number {number} where a text belongs"),
        Value::Real(number) => format!("has the number {number} where a text belongs"),
    })
}

impl Cell for String {
    const TYPE: CellType = CellType::Text;

    fn blank() -> Self {
        Self::new()
    }

    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            other => unexpected(&other),
        }
    }
}

impl Cell for u64 {
    const TYPE: CellType = CellType::Integer64;

    fn blank() -> Self {
        0
    }

    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Integer(number) => Ok(number),
            other => unexpected(&other),
        }
    }
}

impl Cell for u32 {
    const TYPE: CellType = CellType::Integer32;

    fn blank() -> Self {
        0
    }

    fn to_value(&self) -> Value<'_> {
        Value::Integer(u64::from(*self))
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        let number = u64::from_value(value)?;
        Self::try_from(number).map_err(|_| format!("has {number}, more than 32 bits hold"))
    }
}

impl Cell for f64 {
    const TYPE: CellType = CellType::Real;

    fn blank() -> Self {
        0.0
    }

    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Real(number) => Ok(number),
            other => unexpected(&other),
        }
    }
}

/// Widths of layers, as in `256-128`; none are an empty text.
impl Cell for Vec<u32> {
    const TYPE: CellType = CellType::Text;

    fn blank() -> Self {
        Self::new()
    }

    fn to_value(&self) -> Value<'_> {
        let widths: Vec<_> = self.iter().map(u32::to_string).collect();
        Value::Text(Cow::Owned(widths.join("-")))
    }

    fn from_value(value: Value<'_>) -> Result<Self, String> {
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
            const TYPE: CellType = CellType::Text;

            fn blank() -> Self {
                Self::ALL[0]
            }

            fn to_value(&self) -> Value<'_> {
                Value::Text(Cow::Borrowed(self.as_str()))
            }

            fn from_value(value: Value<'_>) -> Result<Self, String> {
                // Older tables say in the column of trust what speaks against it too: `heavy-tail (0.83)`.
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
