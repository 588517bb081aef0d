//! Records to Parquet and back, with the provenance in the file's footer.

use crate::record::{Record, SCHEMA_VERSION};
use gap_spec::{Diagnostics, EncoderLabel, Trust};
use polars::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A table of records cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}")]
pub struct TableError {
    path: PathBuf,
    message: String,
}

fn error_at(path: &Path) -> impl Fn(&dyn std::fmt::Display) -> TableError + '_ {
    move |error| TableError {
        path: path.to_owned(),
        message: error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The key of the provenance in the footer.
pub const PROVENANCE_KEY: &str = "amortgap.provenance";

/// The records as a table, a column for each field.
///
/// # Errors
///
/// Only if columns had different lengths, which they cannot have.
pub fn to_frame(records: &[Record]) -> PolarsResult<DataFrame> {
    fn column<T, N>(records: &[Record], name: &str, field: impl Fn(&Record) -> T) -> Column
    where
        Series: NamedFrom<Vec<T>, N>,
        Vec<T>: AsRef<N>,
        N: ?Sized,
    {
        Series::new(name.into(), records.iter().map(field).collect::<Vec<T>>()).into()
    }
    let encoder = |r: &Record, text: fn(&EncoderLabel) -> String| r.encoder.as_ref().map(text);
    let columns = vec![
        column(records, "schema", |_| SCHEMA_VERSION),
        column(records, "variant", |r| r.variant.clone()),
        column(records, "dataset", |r| r.dataset.clone()),
        column(records, "split", |r| r.split.as_str()),
        column(records, "datapoint", |r| r.datapoint),
        column(records, "seed", |r| r.seed),
        column(records, "model", |r| r.model.clone()),
        column(records, "family", |r| r.family.as_str()),
        column(records, "family_params", |r| r.family_params),
        column(records, "encoder_kind", |r| {
            encoder(r, |e| e.kind.to_string())
        }),
        column(records, "encoder_hidden", |r| {
            encoder(r, |e| {
                e.hidden
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join("-")
            })
        }),
        column(records, "encoder_weights", |r| {
            r.encoder.as_ref().map(|e| e.weights)
        }),
        column(records, "encoder_context", |r| {
            r.encoder.as_ref().map(|e| e.context)
        }),
        column(records, "method", |r| r.method.as_str()),
        column(records, "refinement_steps", |r| r.refinement_steps),
        column(records, "estimator", |r| r.estimator.as_str()),
        column(records, "n_samples", |r| r.n_samples),
        column(records, "value_nats", |r| r.value_nats),
        column(records, "std_error_nats", |r| r.std_error_nats),
        column(records, "side", |r| r.side.as_str()),
        column(records, "trust", |r| r.trust.as_str()),
        column(records, "effective_samples", |r| {
            r.diagnostics.effective_samples
        }),
        column(records, "pareto_k", |r| r.diagnostics.pareto_k),
        column(records, "acceptance", |r| r.diagnostics.acceptance),
        column(records, "step_size", |r| r.diagnostics.step_size),
        column(records, "n_temperatures", |r| r.diagnostics.n_temperatures),
        column(records, "estimate_seconds", |r| r.diagnostics.seconds),
        column(records, "estimate_joint_evaluations", |r| {
            r.diagnostics.joint_evaluations
        }),
        column(records, "stop", |r| r.stop.as_str()),
        column(records, "stop_steps", |r| r.stop_steps),
        column(records, "remaining_nats", |r| r.remaining_nats),
        column(records, "remaining_std_error_nats", |r| {
            r.remaining_std_error_nats
        }),
        column(records, "remaining_bound_nats", |r| r.remaining_bound_nats),
        column(records, "starts_apart_nats", |r| r.starts_apart_nats),
        column(records, "start", |r| r.start.clone()),
        column(records, "seconds", |r| r.seconds),
        column(records, "joint_gradients", |r| r.joint_gradients),
        column(records, "fit_seconds", |r| r.fit_seconds),
        column(records, "fit_joint_gradients", |r| r.fit_joint_gradients),
    ];
    DataFrame::new(records.len(), columns)
}

/// Writes `records` to `path`, with `provenance` (JSON) in the footer.
///
/// # Errors
///
/// [`TableError`] if the file cannot be written.
pub fn write(path: &Path, records: &[Record], provenance: &str) -> Result<(), TableError> {
    let wrong = error_at(path);
    let mut frame = to_frame(records).map_err(|e| wrong(&e))?;
    let file = File::create(path).map_err(|e| wrong(&e))?;
    let footer = vec![(PROVENANCE_KEY.to_owned(), provenance.to_owned())];
    ParquetWriter::new(file)
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(footer)))
        .finish(&mut frame)
        .map_err(|e| wrong(&e))?;
    Ok(())
}

/// Reads what [`write()`] wrote.
///
/// # Errors
///
/// [`TableError`] if the file is missing, cut short, or of another schema.
pub fn read(path: &Path) -> Result<Vec<Record>, TableError> {
    let wrong = error_at(path);
    let file = File::open(path).map_err(|e| wrong(&e))?;
    let frame = ParquetReader::new(file).finish().map_err(|e| wrong(&e))?;
    from_frame(&frame).map_err(|e| wrong(&e))
}

fn from_frame(frame: &DataFrame) -> Result<Vec<Record>, String> {
    let texts = |name: &str| -> Result<_, String> {
        let column = frame.column(name).map_err(|e| e.to_string())?;
        Ok(column.str().map_err(|e| e.to_string())?.clone())
    };
    let integer_column = |name: &str| integer_column(frame, name);
    let real_column = |name: &str| real_column(frame, name);
    let schema = integer_column("schema")?;
    if let Some(other) = schema
        .iter()
        .flatten()
        .find(|&v| v != u64::from(SCHEMA_VERSION))
    {
        return Err(format!(
            "has schema {other}; this amortgap reads schema {SCHEMA_VERSION}"
        ));
    }
    // Tables that are older than variants have no such column, nor have older ones diagnostics or the
    // parameters of families.
    let has = |name: &str| frame.get_column_index(name).is_some();
    let variant = has("variant").then(|| texts("variant")).transpose()?;
    let family_params = has("family_params").then(|| integer_column("family_params"));
    let family_params = family_params.transpose()?;
    let diagnostics = DiagnosticColumns::of(frame)?;
    let (dataset, split, model) = (texts("dataset")?, texts("split")?, texts("model")?);
    let (family, method, estimator) = (texts("family")?, texts("method")?, texts("estimator")?);
    let (kind, hidden) = (texts("encoder_kind")?, texts("encoder_hidden")?);
    let (side, trust, stop, start) = (
        texts("side")?,
        texts("trust")?,
        texts("stop")?,
        texts("start")?,
    );
    let (datapoint, seed) = (integer_column("datapoint")?, integer_column("seed")?);
    let (weights, context) = (
        integer_column("encoder_weights")?,
        integer_column("encoder_context")?,
    );
    let (refinement, n_samples) = (
        integer_column("refinement_steps")?,
        integer_column("n_samples")?,
    );
    let (stop_steps, gradients) = (
        integer_column("stop_steps")?,
        integer_column("joint_gradients")?,
    );
    let fit_gradients = integer_column("fit_joint_gradients")?;
    let (value, std_error) = (real_column("value_nats")?, real_column("std_error_nats")?);
    let (remaining, seconds) = (real_column("remaining_nats")?, real_column("seconds")?);
    let remaining_error = real_column("remaining_std_error_nats")?;
    let (bound, apart) = (
        real_column("remaining_bound_nats")?,
        real_column("starts_apart_nats")?,
    );
    let fit_seconds = real_column("fit_seconds")?;

    fn parse_name<T: FromStr<Err = String>>(text: Option<&str>) -> Result<T, String> {
        required(text)?.parse()
    }
    (0..frame.height())
        .map(|i| {
            let encoder = match kind.get(i) {
                None => None,
                Some(kind) => Some(EncoderLabel {
                    kind: kind.parse()?,
                    hidden: required(hidden.get(i))?
                        .split('-')
                        .filter(|width| !width.is_empty())
                        .map(|width| {
                            width
                                .parse()
                                .map_err(|_| format!("has hidden width `{width}`"))
                        })
                        .collect::<Result<_, String>>()?,
                    weights: required(weights.get(i))?,
                    context: to_u32(required(context.get(i))?)?,
                }),
            };
            let variant = variant.as_ref().and_then(|names| names.get(i));
            Ok(Record {
                variant: variant.map(str::to_owned),
                dataset: required(dataset.get(i))?.to_owned(),
                split: parse_name(split.get(i))?,
                datapoint: required(datapoint.get(i))?,
                seed: required(seed.get(i))?,
                model: required(model.get(i))?.to_owned(),
                family: parse_name(family.get(i))?,
                family_params: match &family_params {
                    Some(column) => required(column.get(i))?,
                    None => 0,
                },
                encoder,
                method: parse_name(method.get(i))?,
                refinement_steps: refinement.get(i).map(to_u32).transpose()?,
                estimator: parse_name(estimator.get(i))?,
                n_samples: required(n_samples.get(i))?,
                value_nats: required(value.get(i))?,
                std_error_nats: required(std_error.get(i))?,
                side: parse_name(side.get(i))?,
                trust: parse_trust(required(trust.get(i))?)?,
                diagnostics: diagnostics
                    .as_ref()
                    .map_or_else(|| Ok(Diagnostics::default()), |columns| columns.row(i))?,
                stop: parse_name(stop.get(i))?,
                stop_steps: to_u32(required(stop_steps.get(i))?)?,
                remaining_nats: remaining.get(i),
                remaining_std_error_nats: remaining_error.get(i),
                remaining_bound_nats: bound.get(i),
                starts_apart_nats: apart.get(i),
                start: start.get(i).map(str::to_owned),
                seconds: required(seconds.get(i))?,
                joint_gradients: required(gradients.get(i))?,
                fit_seconds: required(fit_seconds.get(i))?,
                fit_joint_gradients: required(fit_gradients.get(i))?,
            })
        })
        .collect()
}

/// Older tables say the number that speaks against it too: `heavy-tail (0.83)`.
fn parse_trust(text: &str) -> Result<Trust, String> {
    text.split(" (").next().unwrap_or(text).parse()
}

fn integer_column(frame: &DataFrame, name: &str) -> Result<UInt64Chunked, String> {
    let column = frame.column(name).and_then(|c| c.cast(&DataType::UInt64));
    column
        .and_then(|c| c.u64().cloned())
        .map_err(|e| e.to_string())
}

fn real_column(frame: &DataFrame, name: &str) -> Result<Float64Chunked, String> {
    let column = frame.column(name).and_then(|c| c.cast(&DataType::Float64));
    column
        .and_then(|c| c.f64().cloned())
        .map_err(|e| e.to_string())
}

fn required<T>(value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| "has an empty value in a required column".to_owned())
}

fn to_u32(value: u64) -> Result<u32, String> {
    u32::try_from(value).map_err(|e| e.to_string())
}

/// What estimators say of their estimates.
struct DiagnosticColumns {
    effective_samples: Float64Chunked,
    pareto_k: Float64Chunked,
    acceptance: Float64Chunked,
    step_size: Float64Chunked,
    n_temperatures: UInt64Chunked,
    seconds: Float64Chunked,
    joint_evaluations: UInt64Chunked,
}

impl DiagnosticColumns {
    /// `None` in a table that is older than they are.
    fn of(frame: &DataFrame) -> Result<Option<Self>, String> {
        if frame.get_column_index("estimate_seconds").is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            effective_samples: real_column(frame, "effective_samples")?,
            pareto_k: real_column(frame, "pareto_k")?,
            acceptance: real_column(frame, "acceptance")?,
            step_size: real_column(frame, "step_size")?,
            n_temperatures: integer_column(frame, "n_temperatures")?,
            seconds: real_column(frame, "estimate_seconds")?,
            joint_evaluations: integer_column(frame, "estimate_joint_evaluations")?,
        }))
    }

    fn row(&self, i: usize) -> Result<Diagnostics, String> {
        Ok(Diagnostics {
            effective_samples: self.effective_samples.get(i),
            pareto_k: self.pareto_k.get(i),
            acceptance: self.acceptance.get(i),
            step_size: self.step_size.get(i),
            n_temperatures: self.n_temperatures.get(i).map(to_u32).transpose()?,
            seconds: required(self.seconds.get(i))?,
            joint_evaluations: required(self.joint_evaluations.get(i))?,
        })
    }
}
