//! Writes a report's files: what the sections contribute, in each of the requested formats.

use crate::content::ReportContent;
use crate::figure::Figure;
use crate::format::Format;
use crate::publish::{ReportError, render_error, write_file_atomically, write_text_atomically};
use crate::section::{self, SECTIONS};
use crate::table::{Table, layout};
use crate::{csv, page};
use gap_schema::Summary;
use std::io;
use std::path::{Path, PathBuf};

/// Writes the files of `formats` into the folder `dir`, and returns their paths.
///
/// The folder is created if it does not exist. Each file is written under a temporary name in the same folder,
/// synced and then renamed: a reader never sees half of it, and a failure leaves the old file in place.
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
    let figures: Vec<Box<dyn Figure>> = SECTIONS
        .iter()
        .flat_map(|section| section.figures(content))
        .collect();
    for format in Format::ALL
        .into_iter()
        .filter(|format| formats.contains(format))
    {
        match format {
            Format::Html => {
                let path = dir.join("report.html");
                let html = page::render_html_page(content).map_err(|e| render_error(&path, &e))?;
                written.push(write_text_atomically(path, &html)?);
            }
            Format::Svg => {
                for figure in &figures {
                    written.push(write_svg_file(dir, figure.as_ref())?);
                }
            }
            Format::Png => {
                for figure in &figures {
                    written.push(write_png_file(dir, figure.as_ref())?);
                }
            }
            Format::Md => {
                written.push(write_text_atomically(
                    dir.join("summary.md"),
                    &results_markdown(summary),
                )?);
            }
            Format::Tex => {
                let tables = main_tables(summary);
                let text = layout::latex(tables.first().expect("there is always a table"));
                written.push(write_text_atomically(dir.join("summary.tex"), &text)?);
            }
            Format::Csv => {
                let path = dir.join("summary.csv");
                let text = summary_as_csv(summary).map_err(|e| render_error(&path, &e))?;
                written.push(write_text_atomically(path, &text)?);
            }
            Format::Json => {
                let path = dir.join("summary.json");
                let json = serde_json::to_string_pretty(summary);
                let json = json.map_err(|e| render_error(&path, &e))?;
                written.push(write_text_atomically(path, &(json + "\n"))?);
            }
        }
    }
    Ok(written)
}

/// Returns the main results as aligned plain text, with means over seeds: one row for each variant, encoder and
/// split, and further tables for what else the experiment measured.
pub fn main_results_text(summary: &Summary) -> String {
    let tables = main_tables(summary).into_iter();
    // `phases` would be the widest column; the spec lists the phases too.
    let texts = tables.map(|table| layout::plain_text(&table.without_column("phases")));
    texts.collect::<Vec<_>>().join("\n")
}

/// Returns the tables of the main results; there is always at least one.
fn main_tables(summary: &Summary) -> Vec<Table> {
    let sections = section::sections_to_show(summary).into_iter();
    sections
        .flat_map(|section| section.main_tables(summary))
        .collect()
}

/// Returns the outcome in sentences, followed by the tables of the main results.
fn results_markdown(summary: &Summary) -> String {
    let sentences = SECTIONS
        .iter()
        .flat_map(|section| section.outcome_sentences(summary));
    let list: String = sentences
        .map(|text| format!("- {}\n", layout::markdown_text(&text)))
        .collect();
    let text = std::iter::once(list).filter(|list| !list.is_empty());
    let tables = main_tables(summary).into_iter();
    let text = text.chain(tables.map(|table| layout::markdown(&table)));
    text.collect::<Vec<_>>().join("\n")
}

/// Returns `summary.csv`: the lines of the first section that has some.
fn summary_as_csv(summary: &Summary) -> Result<String, serde_json::Error> {
    for section in &SECTIONS {
        let rows = section.csv_rows(summary)?;
        if !rows.is_empty() {
            return Ok(csv::csv_document(&rows));
        }
    }
    Ok(csv::csv_document(&[]))
}

fn write_svg_file(dir: &Path, figure: &dyn Figure) -> Result<PathBuf, ReportError> {
    let path = figure_path(dir, figure, "svg");
    let svg = figure.to_svg().map_err(|e| render_error(&path, &e))?;
    write_text_atomically(path, &svg)
}

fn write_png_file(dir: &Path, figure: &dyn Figure) -> Result<PathBuf, ReportError> {
    write_file_atomically(figure_path(dir, figure, "png"), |temporary| {
        figure.write_png(temporary.path()).map_err(io::Error::other)
    })
}

fn figure_path(dir: &Path, figure: &dyn Figure, extension: &str) -> PathBuf {
    let name = format!("{}.{extension}", figure.name());
    dir.join("figures").join(name)
}
