//! Renders a report's files: what the sections contribute, in each of the requested formats.

use crate::content::ReportContent;
use crate::error::{RenderError, render_error};
use crate::figure::Figure;
use crate::format::Format;
use crate::section::{self, SECTIONS};
use crate::table::{Table, layout};
use crate::{csv, page};
use gap_schema::Summary;
use gap_schema::results::{PAGE_FILE, SUMMARY_FILE};
use std::collections::BTreeMap;

/// Renders the files of `formats`, and returns their contents by their paths in a folder of results (with `/`
/// between parts).
///
/// # Errors
///
/// [`RenderError`] with the name of the first file that cannot be rendered.
pub fn render_report(
    content: &ReportContent<'_>,
    formats: &[Format],
) -> Result<BTreeMap<String, Vec<u8>>, RenderError> {
    let mut files = BTreeMap::new();
    let summary = content.summary;
    let figures: Vec<Box<dyn Figure>> = SECTIONS
        .iter()
        .flat_map(|section| section.figures(content))
        .collect();
    for format in Format::ALL
        .into_iter()
        .filter(|format| formats.contains(format))
    {
        let (name, text) = match format {
            Format::Html => {
                let html = page::render_html_page(content).map_err(render_error(PAGE_FILE))?;
                (PAGE_FILE, html)
            }
            Format::Svg => {
                for figure in &figures {
                    let name = figure_file(figure.as_ref(), "svg");
                    let svg = figure.to_svg().map_err(render_error(&name))?;
                    files.insert(name, svg.into_bytes());
                }
                continue;
            }
            Format::Png => {
                for figure in &figures {
                    let name = figure_file(figure.as_ref(), "png");
                    let png = figure.to_png().map_err(render_error(&name))?;
                    files.insert(name, png);
                }
                continue;
            }
            Format::Md => ("summary.md", results_markdown(summary)),
            Format::Tex => {
                let tables = main_tables(summary);
                let first = tables.first().expect("there is always a table");
                ("summary.tex", layout::latex(first))
            }
            Format::Csv => {
                let name = "summary.csv";
                (name, summary_as_csv(summary).map_err(render_error(name))?)
            }
            Format::Json => {
                let json = serde_json::to_string_pretty(summary);
                let json = json.map_err(render_error(SUMMARY_FILE))?;
                (SUMMARY_FILE, json + "\n")
            }
        };
        files.insert(name.to_owned(), text.into_bytes());
    }
    Ok(files)
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

fn figure_file(figure: &dyn Figure, extension: &str) -> String {
    format!("figures/{}.{extension}", figure.name())
}
