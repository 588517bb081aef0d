//! `amortgap report`: writes the tables, figures and HTML page of finished runs from their records.

use crate::CommandResult;
use crate::arguments::ReportArguments;
use crate::console;
use crate::exit::Failure;
use gap_report::{Format, ReportContent, main_results_text, render_report, summarize};
use gap_schema::results::{self, ResultRows};
use gap_schema::summary::StageCost;
use gap_spec::{Experiment, document, input_file};
use gap_store::published::{self, Extent, Files, Kept, Publication, Published, WhyKept};
use gap_store::{FileDigest, FileDigests};
use serde_json::{Map, Value};
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
        if !folder.join(results::RECORDS_FILE).exists() {
            return Err(Failure::Input(format!(
                "{}: there are no results here; name the folder of a finished run, which `amortgap run` makes",
                folder.display()
            )));
        }
        let out = arguments.out.as_deref().unwrap_or(folder);
        console::print_line(rewrite_report(folder, out, &arguments.format)?)?;
    }
    Ok(())
}

/// Reads the results in `folder`, writes their report to `out`, and returns the main results as text.
fn rewrite_report(folder: &Path, out: &Path, formats: &[Format]) -> Result<String, Failure> {
    if let Some(kept) = published::finish_interrupted(folder).map_err(Failure::from_store_error)? {
        notify_of_finished(folder, kept);
    }
    let (manifest, without_digests) = whole_results(folder)?;
    let experiment =
        document::read(&folder.join(results::SPEC_FILE), &[]).map_err(Failure::from_input_error)?;
    let rows = ResultRows::read(folder, &experiment).map_err(Failure::from_input_error)?;
    check_variants_in_spec(folder, &experiment, &rows)?;
    let costs = read_stage_costs(&folder.join(results::COSTS_FILE))?;
    let provenance = Value::Object(manifest.clone());
    let report = render_results(&experiment, &rows, &provenance, costs, formats)?;
    let publication = Publication {
        files: report.files,
        manifest: manifest.clone(),
        is_same: &|published, _| *published == manifest,
        extent: if is_same_folder(folder, out) {
            Extent::Addition { without_digests }
        } else {
            Extent::Part
        },
    };
    let all_kept = published::publish(out, &publication).map_err(Failure::from_store_error)?;
    notify_of_kept_files(&all_kept, |_| "they are of another run".to_owned());
    Ok(report.text)
}

/// Says on stderr that a publication in `folder` that was interrupted is now finished, and where the files are
/// that it replaced.
pub fn notify_of_finished(folder: &Path, kept: Option<Kept>) {
    console::notify(published::notice_of_finished(folder, kept.as_ref()));
}

/// Says on stderr where the files are that a publication replaced; `difference` says how the results in a
/// folder differ from those that replaced them.
pub fn notify_of_kept_files(all_kept: &[Kept], difference: impl Fn(&Path) -> String) {
    for Kept { place, why } in all_kept {
        let why = match why {
            WhyKept::OtherResults => difference(place),
            WhyKept::Changed => "files were changed since they were published".to_owned(),
        };
        console::notify(format_args!(
            "earlier results are kept in {}: {why}",
            place.display()
        ));
    }
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Refuses files that a report would be made from, and that no run has published.
fn refuse_foreign_sources(folder: &Path, files: &FileDigests) -> Result<(), Failure> {
    let mut paths = SOURCES
        .iter()
        .filter(|name| !files.0.contains_key(**name))
        .map(|name| folder.join(name));
    match paths.find(|path| fs::symlink_metadata(path).is_ok()) {
        None => Ok(()),
        Some(path) => Err(Failure::Input(format!(
            "{}: it is not among the published files; remove it",
            path.display()
        ))),
    }
}

/// The files of a report, and the main results as text.
pub struct Report {
    /// The files, by their paths in the folder of results.
    pub files: Files,
    /// The main results.
    pub text: String,
}

/// Renders the report of an experiment's results.
pub fn render_results(
    experiment: &Experiment,
    rows: &ResultRows,
    provenance: &Value,
    costs: Vec<StageCost>,
    formats: &[Format],
) -> Result<Report, Failure> {
    let mut summary = summarize(&experiment.name, rows);
    summary.cost = costs;
    let content = ReportContent {
        summary: &summary,
        rows,
        question: &experiment.question,
        surprise: &experiment.surprise,
        provenance,
    };
    Ok(Report {
        files: render_report(&content, formats).map_err(Failure::from_run_error)?,
        text: main_results_text(&summary),
    })
}

/// Files from which a report is made.
pub const SOURCES: [&str; 6] = [
    results::RECORDS_FILE,
    results::SPEC_FILE,
    results::COSTS_FILE,
    results::ASCENTS_FILE,
    results::CALIBRATION_FILE,
    results::PICTURES_FILE,
];

/// Returns the manifest of the results in `folder`, and refuses results that are not as they were published.
/// Results of older programs have no digests, and are taken as they are: their digests are returned too.
fn whole_results(folder: &Path) -> Result<(Map<String, Value>, FileDigests), Failure> {
    let again = "run the experiment again, which publishes its results anew";
    match published::read(folder) {
        Published::Nothing => Err(Failure::Input(format!(
            "{}: is not there; is this a finished run?",
            folder.join(results::PROVENANCE_FILE).display()
        ))),
        Published::DamagedManifest(fault) => Err(Failure::Input(format!("{fault}; {again}"))),
        Published::WithDigests {
            manifest,
            files,
            faults,
        } => {
            let is_source = |path: &Path| SOURCES.iter().any(|name| path == folder.join(name));
            match faults.iter().find(|fault| is_source(&fault.path)) {
                Some(fault) => Err(Failure::Input(format!("{fault}; {again}"))),
                None => {
                    refuse_foreign_sources(folder, &files)?;
                    Ok((manifest, FileDigests::default()))
                }
            }
        }
        Published::WithoutDigests(manifest) => {
            let mut files = FileDigests::default();
            for name in SOURCES {
                if let Ok(content) = input_file::read(&folder.join(name), results::MOST_TABLE_BYTES)
                {
                    files.0.insert(name.to_owned(), FileDigest::of(&content));
                }
            }
            Ok((manifest, files))
        }
    }
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
    if !path.exists() {
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
    let text = input_file::read_text(path, results::MOST_JSON_BYTES).map_err(|error| {
        Failure::Input(format!(
            "{}: cannot be read: {error}; is this a finished run?",
            path.display()
        ))
    })?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Input(format!("{}: is not JSON: {error}", path.display())))
}
