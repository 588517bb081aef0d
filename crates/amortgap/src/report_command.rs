//! `amortgap report`: tables, figures and the page, from the records of a finished run.

use crate::CommandResult;
use crate::arguments::ReportArguments;
use crate::exit::Failure;
use gap_harness::StageRow;
use gap_harness::store::COSTS;
use gap_report::{Format, ReportContent, summarize, text_table, write_report};
use gap_schema::summary::StageCost;
use gap_schema::{CalibrationRow, PictureRow, TracePoint, parquet, rows_file};
use gap_spec::{Experiment, document};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What a finished run leaves in its folder, besides its figures.
pub const RESULT_FILES: [&str; 5] = [
    "records.parquet",
    "summary.json",
    "spec.toml",
    "provenance.json",
    "report.html",
];

/// Writes each folder's report again.
pub fn report(arguments: &ReportArguments) -> CommandResult {
    if arguments.out.is_some() && arguments.folders.len() > 1 {
        return Err(Failure::Input(
            "--out takes the report of a single folder; leave it out, or name one folder"
                .to_owned(),
        ));
    }
    for folder in &arguments.folders {
        if !folder.join("records.parquet").is_file() {
            return Err(Failure::Input(format!(
                "{}: there are no results here; name the folder of a finished run, which `amortgap run` makes",
                folder.display()
            )));
        }
        let out = arguments.out.as_deref().unwrap_or(folder);
        println!("{}", publish(folder, out, &arguments.format)?);
    }
    Ok(())
}

/// Reads the records in `folder`, writes the report to `out`, and gives the summary table.
pub fn publish(folder: &Path, out: &Path, formats: &[Format]) -> Result<String, Failure> {
    let records = parquet::read(&folder.join("records.parquet")).map_err(Failure::input)?;
    let experiment = document::read(&folder.join("spec.toml"), &[]).map_err(Failure::input)?;
    let provenance = read_json(&folder.join("provenance.json"))?;
    let trace: Vec<TracePoint> = read_rows(folder)?;
    let calibration: Vec<CalibrationRow> = read_rows(folder)?;
    let pictures: Vec<PictureRow> = read_rows(folder)?;
    let of_records = records.iter().map(|record| &record.variant);
    let of_trace = trace.iter().map(|point| &point.variant);
    let of_calibration = calibration.iter().map(|row| &row.variant);
    let of_pictures = pictures.iter().map(|row| &row.variant);
    let variants = of_records.chain(of_trace).chain(of_calibration);
    let variants = variants.chain(of_pictures);
    check_variants(folder, &experiment, variants)?;
    let params_per_point = |variant: Option<&str>| {
        let problem = experiment.problem(variant);
        let spec = &problem.expect("the variants were checked").spec;
        let latent_dim = spec.model.latent_dim.get() as usize;
        spec.family.kind.param_dim(latent_dim) as u64
    };
    let mut summary = summarize(
        &experiment.name,
        &params_per_point,
        &records,
        &trace,
        &calibration,
    );
    summary.cost = read_costs(&folder.join(COSTS))?;
    let content = ReportContent {
        summary: &summary,
        trace: &trace,
        pictures: &pictures,
        question: &experiment.question,
        surprise: &experiment.surprise,
        provenance: &provenance,
    };
    write_report(out, &content, formats).map_err(Failure::run)?;
    Ok(text_table(&summary))
}

/// The rows of one kind; none where the run left no file of them.
fn read_rows<T: StageRow>(folder: &Path) -> Result<Vec<T>, Failure> {
    let path = folder.join(T::FILE);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    rows_file::read(&path).map_err(Failure::input)
}

/// Refuses results of a variant that the spec beside them does not have.
fn check_variants<'a>(
    folder: &Path,
    experiment: &Experiment,
    variants: impl Iterator<Item = &'a Option<String>>,
) -> Result<(), Failure> {
    let known = |variant: &Option<&str>| experiment.problem(*variant).is_some();
    let mut variants = variants.map(Option::as_deref);
    match variants.find(|variant| !known(variant)) {
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

/// Where the time went; nothing where an older program left no word of it.
fn read_costs(path: &Path) -> Result<Vec<StageCost>, Failure> {
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
