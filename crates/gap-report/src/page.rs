//! The report as one HTML page that opens offline: it contains its styles and figures, and loads nothing.

use crate::content::ReportContent;
use crate::figure::{DrawError, Figure};
use crate::section::{self, Block, Chapter, SECTIONS};
use crate::table::Table;
use minijinja::{Environment, HtmlEscape, context};
use serde_json::Value;

/// The page could not be rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error(transparent)]
    Template(#[from] minijinja::Error),
    #[error(transparent)]
    Figure(#[from] DrawError),
}

/// The template's name. Its extension makes minijinja escape all inserted values, except those that the
/// template marks as safe.
const PAGE_TEMPLATE_NAME: &str = "report.html";

#[derive(serde::Serialize)]
struct PageChapter {
    heading: &'static str,
    blocks: Vec<PageBlock>,
}

/// A [`Block`] in the form that the template takes.
#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum PageBlock {
    Table {
        table: Table,
    },
    Figure {
        title: String,
        note: String,
        svg: String,
        caption: &'static str,
    },
    Html {
        html: String,
    },
    FoldedTable {
        invitation: &'static str,
        table: Table,
    },
    EmptyLine,
}

/// Renders the page.
pub(crate) fn render_html_page(content: &ReportContent<'_>) -> Result<String, PageError> {
    let mut environment = Environment::new();
    environment.add_template(PAGE_TEMPLATE_NAME, include_str!("page.html.jinja"))?;
    let sentences = SECTIONS.iter();
    let sentences: Vec<String> = sentences
        .flat_map(|section| section.outcome_sentences(content.summary))
        .collect();
    let page = environment
        .get_template(PAGE_TEMPLATE_NAME)?
        .render(context! {
            experiment => content.summary.experiment,
            question => content.question,
            surprise => content.surprise,
            sentences => sentences,
            chapters => page_chapters(content)?,
            provenance => provenance_rows(content.provenance),
        })?;
    Ok(page)
}

/// Returns the chapters of the sections to show, in the order of their places.
fn page_chapters(content: &ReportContent<'_>) -> Result<Vec<PageChapter>, DrawError> {
    let mut chapters = Vec::new();
    for section in section::sections_to_show(content.summary) {
        let figures = section.figures(content);
        for chapter in section.chapters(content) {
            let place = chapter.place;
            chapters.push((place, page_chapter(chapter, &figures)?));
        }
    }
    chapters.sort_by_key(|(place, _)| *place);
    Ok(chapters.into_iter().map(|(_, chapter)| chapter).collect())
}

fn page_chapter(chapter: Chapter, figures: &[Box<dyn Figure>]) -> Result<PageChapter, DrawError> {
    let mut blocks = Vec::new();
    for block in chapter.blocks {
        match block {
            Block::Table(table) => blocks.push(PageBlock::Table { table }),
            Block::Figures(caption) => {
                for figure in figures {
                    blocks.push(inline_figure_block(figure.as_ref(), caption)?);
                }
            }
            Block::Html(html) => blocks.push(PageBlock::Html { html }),
            Block::FoldedTable { invitation, table } => {
                blocks.push(PageBlock::FoldedTable { invitation, table });
            }
            Block::EmptyLine => blocks.push(PageBlock::EmptyLine),
        }
    }
    Ok(PageChapter {
        heading: chapter.heading,
        blocks,
    })
}

fn inline_figure_block(figure: &dyn Figure, caption: &'static str) -> Result<PageBlock, DrawError> {
    Ok(PageBlock::Figure {
        title: figure.title().to_owned(),
        note: figure.note().to_owned(),
        svg: adapt_svg_to_page(&figure.to_svg()?, figure.title()),
        caption,
    })
}

/// Adapts an SVG for use inside the page: it needs no namespace there, gets `title` as its label, and takes the
/// colours of ink, paper and grid from the page's light or dark style.
fn adapt_svg_to_page(svg: &str, title: &str) -> String {
    svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "")
        .replacen(
            "<svg ",
            &format!("<svg role=\"img\" aria-label=\"{}\" ", HtmlEscape(title)),
            1,
        )
        .replace("fill=\"#FFFFFF\"", "class=\"paper\"")
        .replace("fill=\"#222222\"", "fill=\"currentColor\"")
        .replace("stroke=\"#222222\"", "stroke=\"currentColor\"")
        .replace("stroke=\"#DDDDDD\"", "class=\"grid\"")
}

fn provenance_rows(provenance: &Value) -> Vec<(String, String)> {
    fn add_provenance_rows(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
        let below = |key: &str| match path {
            "" => key.to_owned(),
            _ => format!("{path}.{key}"),
        };
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    add_provenance_rows(&below(key), value, rows);
                }
            }
            Value::String(text) => rows.push((path.to_owned(), text.clone())),
            other => rows.push((path.to_owned(), other.to_string())),
        }
    }
    let mut rows = Vec::new();
    add_provenance_rows("", provenance, &mut rows);
    rows
}
