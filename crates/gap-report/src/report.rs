//! Writes a report's files, each of them whole or not at all.

use crate::figure::{Drawing, Figures};
use crate::reading::reading;
use crate::table::{self, layout};
use crate::{csv, figure, page};
use gap_schema::{PictureRow, Summary, TracePoint};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
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
    /// `summary.md`, the tables of the main results.
    Md,
    /// `summary.tex`, the first of them for the `booktabs` package: the gaps where there are some.
    Tex,
    /// `summary.csv`, one line for each cell, or for each calibration where there are no cells.
    Csv,
    /// `summary.json`, the contract for other programs.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Html,
        Self::Svg,
        Self::Png,
        Self::Md,
        Self::Tex,
        Self::Csv,
        Self::Json,
    ];

    /// The name on the command line.
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

/// A text names no [`Format`].
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

/// What a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportContent<'a> {
    /// The numbers.
    pub summary: &'a Summary,
    /// Where its ascents stood on their way; empty unless the experiment compares ascents.
    pub trace: &'a [TracePoint],
    /// Its pictures of posteriors; empty unless the experiment shows some.
    pub pictures: &'a [PictureRow],
    /// The question that the experiment answers.
    pub question: &'a str,
    /// The answer that would surprise.
    pub surprise: &'a str,
    /// Where the numbers come from: any JSON, shown as a table of keys and values.
    pub provenance: &'a serde_json::Value,
}

/// A report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{path}: cannot write this file: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content cannot be put into this form.
    #[error("{path}: {message}", path = path.display())]
    Render {
        /// The file that was to be written.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
}

/// Writes the files of `formats` into the folder `dir`, and gives their paths.
///
/// The folder is made if need be. Each file is written under a temporary name beside its place,
/// synced and renamed: a reader never sees half of it, and a failure leaves the old one.
///
/// # Errors
///
/// [`ReportError`] with the path of the first file that failed; files before it have been written.
pub fn write_report(
    dir: &Path,
    content: &ReportContent<'_>,
    formats: &[Format],
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    let summary = content.summary;
    let figures = Figures::new(content);
    for format in Format::ALL
        .into_iter()
        .filter(|format| formats.contains(format))
    {
        match format {
            Format::Html => {
                let path = dir.join("report.html");
                let html = page::html(content, &figures).map_err(|e| unrendered(&path, &e))?;
                written.push(publish_text(path, &html)?);
            }
            Format::Svg => {
                for figure in figures.charts() {
                    written.push(publish_svg(dir, figure)?);
                }
                for pictures in &figures.pictures {
                    written.push(publish_svg(dir, pictures)?);
                }
            }
            Format::Png => {
                for figure in figures.charts() {
                    written.push(publish_png(dir, figure)?);
                }
                for pictures in &figures.pictures {
                    written.push(publish_png(dir, pictures)?);
                }
            }
            Format::Md => {
                let tables = table::main_results(summary).into_iter();
                let texts = tables.map(|table| layout::markdown(&table));
                let sentences = reading(summary).into_iter();
                let list: String = sentences.map(|text| format!("- {text}\n")).collect();
                let text = std::iter::once(list).filter(|list| !list.is_empty());
                let text = text.chain(texts).collect::<Vec<_>>().join("\n");
                written.push(publish_text(dir.join("summary.md"), &text)?);
            }
            Format::Tex => {
                let tables = table::main_results(summary);
                let text = layout::latex(tables.first().expect("there is always a table"));
                written.push(publish_text(dir.join("summary.tex"), &text)?);
            }
            Format::Csv => {
                let path = dir.join("summary.csv");
                let text = csv::summary_csv(summary).map_err(|e| unrendered(&path, &e))?;
                written.push(publish_text(path, &text)?);
            }
            Format::Json => {
                let path = dir.join("summary.json");
                let json = serde_json::to_string_pretty(summary);
                let json = json.map_err(|e| unrendered(&path, &e))?;
                written.push(publish_text(path, &(json + "\n"))?);
            }
        }
    }
    Ok(written)
}

fn publish_svg(dir: &Path, drawing: &impl Drawing) -> Result<PathBuf, ReportError> {
    let path = figure_path(dir, drawing, "svg");
    let svg = figure::svg(drawing).map_err(|e| unrendered(&path, &e))?;
    publish_text(path, &svg)
}

fn publish_png(dir: &Path, drawing: &impl Drawing) -> Result<PathBuf, ReportError> {
    publish(figure_path(dir, drawing, "png"), |temporary| {
        figure::png(drawing, temporary.path()).map_err(io::Error::other)
    })
}

fn figure_path(dir: &Path, drawing: &impl Drawing, extension: &str) -> PathBuf {
    let name = format!("{}.{extension}", drawing.name());
    dir.join("figures").join(name)
}

pub(crate) fn unrendered(path: &Path, error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Render {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

pub(crate) fn publish_text(path: PathBuf, text: &str) -> Result<PathBuf, ReportError> {
    publish(path, |temporary| temporary.write_all(text.as_bytes()))
}

fn publish(
    path: PathBuf,
    write: impl FnOnce(&mut tempfile::NamedTempFile) -> io::Result<()>,
) -> Result<PathBuf, ReportError> {
    let attempt = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let suffix = path.extension().map_or_else(String::new, |extension| {
            format!(".{}", extension.to_string_lossy())
        });
        let mut builder = tempfile::Builder::new();
        builder.prefix(".amortgap-").suffix(&suffix);
        // Temporary files are private to their owner; results are for everyone whom the umask lets.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut temporary = builder.tempfile_in(folder)?;
        write(&mut temporary)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}
