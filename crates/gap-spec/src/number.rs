//! Numbers of a spec that are checked for their range when they are read.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// A whole number of at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Count(u32);

impl Count {
    /// A count of `value`, which must be at least 1.
    ///
    /// # Panics
    ///
    /// If `value` is 0.
    pub const fn new(value: u32) -> Self {
        assert!(value > 0, "a count is at least 1");
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        u32::try_from(value)
            .ok()
            .filter(|&count| count > 0)
            .map(Self)
            .ok_or_else(|| {
                D::Error::custom(format!(
                    "{value} is out of range; use a whole number from 1 to {}",
                    u32::MAX
                ))
            })
    }
}

/// A finite number above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Positive(f64);

impl Positive {
    /// The number `value`, which must be finite and above 0.
    ///
    /// # Panics
    ///
    /// If `value` is not finite or not above 0.
    pub const fn new(value: f64) -> Self {
        assert!(
            value > 0.0 && value < f64::INFINITY,
            "a positive number is above 0, and finite"
        );
        Self(value)
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if value.is_finite() && value > 0.0 {
            Ok(Self(value))
        } else {
            Err(D::Error::custom(format!(
                "{value} is out of range; use a number above 0"
            )))
        }
    }
}
