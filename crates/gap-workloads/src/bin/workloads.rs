//! Runs workloads on request, so that another program can run them in turn with those of other libraries.
//!
//! The program first prints a line of JSON with its versions and settings. It then reads lines `NAME SECONDS`
//! from standard input, and answers each with a line of JSON: `{work, unit, per_second, threads_used}` or
//! `{error}`. A workload is set up at its first request. Every measurement begins with a warm-up run that is
//! not timed.

use clap::Parser;
use gap_model::Backend;
use gap_torch::device;
use gap_torch::math_library::{detect_mkl_path, is_switch_turned_off};
use gap_workloads::work::{REFINED_POINTS, REFINEMENT_STEPS};
use gap_workloads::{RefinementProblem, Work, WorkerPool, rate};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::fs;
use std::io::{Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Runs workloads on request: reads lines `NAME SECONDS`, answers each with a line of JSON.
#[derive(Parser)]
struct Arguments {
    /// Number of threads; a workload that cannot be divided may use fewer.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Write the problem of `W3_gap`, and what the refinement reaches on it, to this file of safetensors; run
    /// nothing.
    #[arg(long, value_name = "FILE")]
    write_refinement_problem: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let switch = is_switch_turned_off().map_err(|refused| refused.to_string());
    let backend = Backend::from_environment().map_err(|refused| refused.to_string());
    let backend = match switch.and(backend) {
        Ok(backend) => backend,
        Err(refused) => {
            eprintln!("workloads: {refused}");
            return ExitCode::from(2);
        }
    };
    device::set_one_thread_per_operation();
    if let Some(path) = arguments.write_refinement_problem {
        return match write_refinement_problem(&path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("workloads: {}: {error}", path.display());
                ExitCode::FAILURE
            }
        };
    }
    print_json_line(&json!({
        "peer": "amortgap",
        "versions": {"amortgap": env!("CARGO_PKG_VERSION"), "libtorch": device::LIBTORCH_VERSION},
        "math": detect_mkl_path().to_string(),
        "kernels": backend.arithmetic_label(),
    }));
    let mut pools = HashMap::new();
    for line in stdin().lines().map_while(Result::ok) {
        let answer = parse_request(&line).and_then(|(work, wanted)| {
            let worker_pool = match pools.entry(work.to_string()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(WorkerPool::new(work, arguments.threads)),
            };
            measure_rate(work, worker_pool, wanted)
        });
        print_json_line(&answer.unwrap_or_else(|error| json!({ "error": error })));
    }
    ExitCode::SUCCESS
}

fn write_refinement_problem(path: &Path) -> Result<(), Box<dyn Error>> {
    let problem = RefinementProblem::new(0..REFINED_POINTS);
    let bytes = problem.to_checkpoint(REFINEMENT_STEPS).to_bytes()?;
    Ok(fs::write(path, bytes)?)
}

fn parse_request(line: &str) -> Result<(Work, Duration), String> {
    let Some((name, seconds)) = line.trim().split_once(' ') else {
        return Err(format!("a request is `NAME SECONDS`, not `{line}`"));
    };
    let work = name.parse::<Work>().map_err(|error| error.to_string())?;
    let seconds = seconds.parse().ok().map(Duration::try_from_secs_f64);
    match seconds {
        Some(Ok(wanted)) => Ok((work, wanted)),
        _ => Err(format!("SECONDS is a number, not negative: `{line}`")),
    }
}

fn measure_rate(work: Work, worker_pool: &WorkerPool, wanted: Duration) -> Result<Value, String> {
    let warm = worker_pool.run();
    if !warm.is_finite() {
        return Err(format!("{work} gave {warm}"));
    }
    let runs_per_second = rate(wanted, || {
        std::hint::black_box(worker_pool.run());
    });
    Ok(json!({
        "work": work.to_string(),
        "unit": work.unit(),
        "per_second": runs_per_second * work.units_per_run() as f64,
        "threads_used": worker_pool.n_threads(),
    }))
}

fn print_json_line(answer: &Value) {
    let mut out = stdout().lock();
    // If the pipe is closed, there is nobody to report the error to.
    let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
}
