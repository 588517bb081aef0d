//! `amortgap report`: writes the tables, figures and HTML page of finished runs from their records.

use crate::CommandResult;
use crate::arguments::ReportArguments;
use crate::console;
use crate::exit::Failure;
use gap_report::{Format, ReportContent, main_results_text, summarize, write_report};
use gap_schema::results::{self, ResultRows};
use gap_schema::summary::StageCost;
use gap_spec::{Experiment, document};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Writes each folder's report again.
pub fn rewrite_reports(arguments: &ReportArguments) -> CommandResult {
    if arguments.out.is_some() && arguments.folders.len() > 1 {
        return Err(Failure::Input(
            "--out takes the report of a single folder; leave it out, or name one folder"
                .to_owned(),
        ));
    }
    for folder in &arguments.folders {
        if !folder.join(results::RECORDS_FILE).is_file() {
            return Err(Failure::Input(format!(
                "{}: there are no results here; name the folder of a finished run, which `amortgap run` makes",
                folder.display()
            )));
        }
        let out = arguments.out.as_deref().unwrap_or(folder);
        console::print_line(write_report_of_folder(folder, out, &arguments.format)?)?;
    }
    Ok(())
}

/// Reads the records in `folder`, writes the report to `out`, and returns the main results as text.
pub fn write_report_of_folder(
    folder: &Path,
    out: &Path,
    formats: &[Format],
) -> Result<String, Failure> {
    let experiment =
        document::read(&folder.join(results::SPEC_FILE), &[]).map_err(Failure::from_input_error)?;
    let rows = ResultRows::read(folder, &experiment).map_err(Failure::from_input_error)?;
    let provenance = read_json(&folder.join(results::PROVENANCE_FILE))?;
    check_variants_in_spec(folder, &experiment, &rows)?;
    let mut summary = summarize(&experiment.name, &rows);
    summary.cost = read_stage_costs(&folder.join(results::COSTS_FILE))?;
    let content = ReportContent {
        summary: &summary,
        rows: &rows,
        question: &experiment.question,
        surprise: &experiment.surprise,
        provenance: &provenance,
    };
    write_report(out, &content, formats).map_err(Failure::from_run_error)?;
    Ok(main_results_text(&summary))
}

/// Refuses results of a variant that the spec in their folder does not have.
fn check_variants_in_spec(
    folder: &Path,
    experiment: &Experiment,
    rows: &ResultRows,
) -> Result<(), Failure> {
    let is_known = |variant: &Option<&str>| experiment.problem(*variant).is_some();
    match rows
        .variant_of_each_row()
        .find(|variant| !is_known(variant))
    {
        None => Ok(()),
        Some(variant) => Err(Failure::Input(format!(
            "{}: holds results of {}, which spec.toml beside them does not have; run the experiment again",
            folder.display(),
            variant.map_or_else(
                || "no variant".to_owned(),
                |name| format!("variant `{name}`")
            )
        ))),
    }
}

/// Reads the wall times of a run's stages; they are empty if there is no such file, as in older results.
fn read_stage_costs(path: &Path) -> Result<Vec<StageCost>, Failure> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    serde_json::from_value(read_json(path)?).map_err(|error| {
        Failure::Input(format!(
            "{}: {error}; run the experiment again, or remove the file",
            path.display()
        ))
    })
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::Input(format!(
            "{}: cannot be read: {error}; is this a finished run?",
            path.display()
        ))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Input(format!("{}: is not JSON: {error}", path.display())))
}
