//! The kinds of files that a report may have.

use std::str::FromStr;

/// A kind of file in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `report.html`, one file that opens offline.
    Html,
    /// `figures/*.svg`.
    Svg,
    /// `figures/*.png`.
    Png,
    /// `summary.md`, the outcome in sentences and the tables of the main results.
    Md,
    /// `summary.tex`, the first table of `summary.md` as LaTeX for the `booktabs` package; it holds the gaps if
    /// some were measured.
    Tex,
    /// `summary.csv`, one line for each cell, or for each calibration where there are no cells.
    Csv,
    /// `summary.json`, the stable interface for other programs.
    Json,
}

impl Format {
    /// All formats, in the order in which a report's files are written.
    pub const ALL: [Self; 7] = [
        Self::Html,
        Self::Svg,
        Self::Png,
        Self::Md,
        Self::Tex,
        Self::Csv,
        Self::Json,
    ];

    /// The format's name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Md => "md",
            Self::Tex => "tex",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error for a text that names no [`Format`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format; use some of html, svg, png, md, tex, csv, json")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.as_str() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}
