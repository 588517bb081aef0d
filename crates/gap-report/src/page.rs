//! The report as one HTML page that opens offline: styles and figures are in it, nothing is loaded.

use crate::across_seeds::{SeedGroup, seeds_of, spread_meaning};
use crate::calibration::COVERAGE_BAND;
use crate::figure::{self, Drawing, Figures};
use crate::reading::reading;
use crate::report::ReportContent;
use crate::table::{self, Table};
use gap_schema::summary::DIFFERENT_OPTIMA_NATS;
use gap_spec::Side;
use minijinja::{Environment, HtmlEscape, context};
use serde_json::Value;

/// The page cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error(transparent)]
    Template(#[from] minijinja::Error),
    #[error(transparent)]
    Figure(#[from] figure::DrawError),
}

/// The `.html` at the end of its name makes minijinja escape everything that it is given.
const TEMPLATE: &str = "report.html";

#[derive(serde::Serialize)]
struct InlineFigure {
    title: String,
    note: String,
    svg: String,
}

/// The page.
pub(crate) fn html(content: &ReportContent<'_>, figures: &Figures) -> Result<String, PageError> {
    let mut environment = Environment::new();
    environment.add_template(TEMPLATE, include_str!("page.html.jinja"))?;
    let summary = content.summary;
    let tables = |tables: [(&str, Table); 3]| -> Vec<Value> {
        let shown = tables
            .into_iter()
            .filter(|(_, table)| !table.rows.is_empty());
        shown
            .map(|(title, table)| serde_json::json!({"title": title, "table": table}))
            .collect()
    };
    let page = environment.get_template(TEMPLATE)?.render(context! {
        experiment => summary.experiment,
        question => content.question,
        surprise => content.surprise,
        reading => reading(summary),
        headline => table::headline(summary),
        nesting => table::nesting(summary),
        figures => inline(&figures.gaps)?,
        evidence => table::evidence(summary),
        evidence_figures => inline(&figures.evidence)?,
        sandwich => table::sandwich(summary),
        ascents => table::ascents(summary),
        ascent_figures => inline(&figures.ascents)?,
        calibration => table::calibration(summary),
        calibration_figures => inline(&figures.calibration)?,
        pictures => inline(&figures.pictures)?,
        coverage_band => COVERAGE_BAND.map(|end| format!("{:.0}", 100.0 * end)).join("–"),
        spread => spread_meaning(&seeds_of(&SeedGroup::all(summary))),
        direction => direction(content),
        different_optima_nats => DIFFERENT_OPTIMA_NATS,
        reliability => table::reliability(summary),
        details => tables([
            ("Bounds", table::bounds(summary)),
            ("Refinement", table::refinement(summary)),
            ("Against closed forms", table::oracle(summary)),
        ]),
        parameters => table::parameters(summary),
        costs => table::costs(summary),
        stages => table::stages(summary),
        cells => table::cells(summary),
        provenance => provenance_rows(content.provenance),
    })?;
    Ok(page)
}

fn inline<D: Drawing>(figures: &[D]) -> Result<Vec<InlineFigure>, figure::DrawError> {
    let inline = figures.iter().map(|figure| {
        Ok(InlineFigure {
            title: figure.title().to_owned(),
            note: figure.note().to_owned(),
            svg: for_page(&figure::svg(figure)?, figure.title()),
        })
    });
    inline.collect()
}

/// An inline SVG needs no namespace, and takes its ink and paper from the page, light or dark.
fn for_page(svg: &str, title: &str) -> String {
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

/// On which side of the truth the gaps lie.
fn direction(content: &ReportContent<'_>) -> &'static str {
    let mut sides = content.summary.cells.iter().map(|c| c.log_evidence.side);
    if sides.clone().all(|side| side == Side::Exact) {
        "log p̂(x) is exact here, so the approximation and inference gaps are estimated without bias."
    } else if sides.all(|side| side == Side::Lower) {
        "log p̂(x) is a lower bound on the evidence, so the approximation and inference gaps are \
         estimated from below: they are at least this large for these q* and q."
    } else {
        "log p̂(x) is exact in some cells and a lower bound in others, as the table of bounds says; \
         where it is a lower bound, so are the approximation and inference gaps."
    }
}

fn provenance_rows(provenance: &Value) -> Vec<(String, String)> {
    fn visit(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
        let below = |key: &str| match path {
            "" => key.to_owned(),
            _ => format!("{path}.{key}"),
        };
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    visit(&below(key), value, rows);
                }
            }
            Value::String(text) => rows.push((path.to_owned(), text.clone())),
            other => rows.push((path.to_owned(), other.to_string())),
        }
    }
    let mut rows = Vec::new();
    visit("", provenance, &mut rows);
    rows
}
