//! The range of points that a stage works on, and the stage that found `q*` of a range.

use crate::stage_id::StageId;
use gap_spec::Split;
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// The points `from..from + n` of one part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Chunk {
    /// The part of the data.
    pub split: Split,
    /// The first point, counted from 0.
    pub from: u32,
    /// The number of points.
    pub n: u32,
}

impl Chunk {
    /// Divides the chunk into chunks of at most `most` points.
    pub fn divided(self, most: u32) -> impl Iterator<Item = Self> {
        let parts = Self::split_into_chunks(most, self.split, self.n);
        parts.map(move |part| Self {
            from: self.from + part.from,
            ..part
        })
    }

    /// The first `n` points of a part.
    pub const fn first_points(split: Split, n: u32) -> Self {
        Self { split, from: 0, n }
    }

    /// Splits the first `n` points of a part into chunks of at most `most` points.
    pub fn split_into_chunks(most: u32, split: Split, n: u32) -> impl Iterator<Item = Self> {
        let starts = (0..n).step_by(most as usize);
        starts.map(move |from| Self {
            split,
            from,
            n: most.min(n - from),
        })
    }

    /// The positions of the chunk's points within the part.
    pub const fn range(self) -> Range<u32> {
        self.from..self.from + self.n
    }
}

/// A stage that found `q*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QStarStage {
    /// The stage.
    pub stage: StageId,
    /// Its points.
    pub points: Chunk,
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range();
        match self.n {
            1 => write!(f, "{} point {start}", self.split),
            _ => write!(f, "{} points {start} to {}", self.split, end - 1),
        }
    }
}
