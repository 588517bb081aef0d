//! `amortgap plan`: prints the stages of an experiment without running them.

use super::arguments::PlanArguments;
use crate::CommandResult;
use crate::console;
use crate::exit::Failure;
use gap_harness::machine_memory::available_bytes;
use gap_harness::stored_models::StoredModels;
use gap_harness::{Environment, InputError, Plan, PlanSize, PlanTooLarge, Provenance, plan};
use gap_spec::{Experiment, document};
use gap_torch::device::DeviceName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Prints the stages of an experiment, each after those that it depends on.
pub fn print_plan(arguments: &PlanArguments) -> CommandResult {
    let experiment =
        document::read(&arguments.spec, &arguments.set).map_err(Failure::from_input_error)?;
    let mut size = PlanSize::new(available_bytes());
    for problem in &experiment.problems {
        size.add_problem(problem)
            .map_err(|error| plan_too_large(&arguments.spec, &error))?;
    }
    let environment = Provenance::of_this_process(DeviceName::Cpu, 1).environment();
    let stored = stored_models(arguments.models.as_deref(), &experiment, &environment)?;
    let plans: Vec<Plan> = experiment
        .problems
        .iter()
        .map(|problem| {
            let stored = stored.with_weights_of(&problem.spec, &arguments.spec)?;
            Ok(Plan::new(problem, &environment, &stored))
        })
        .collect::<Result<_, InputError>>()
        .map_err(Failure::from_input_error)?;
    if arguments.json {
        let stages: Vec<Value> = plans.iter().flat_map(stages_as_json).collect();
        let all =
            json!({"experiment": experiment.name, "plan": plan::digest(&plans), "stages": stages});
        let json = serde_json::to_string_pretty(&all).expect("a plan is plain data");
        return Ok(console::print_line(json)?);
    }
    let n_stages: usize = plans.iter().map(|plan| plan.stages().len()).sum();
    let mut lines = format!("{}: {n_stages} stages", experiment.name);
    for plan in &plans {
        let of_variant = plan
            .variant()
            .map_or_else(String::new, |v| format!("{v}: "));
        for (id, stage) in plan.stages() {
            lines.push_str(&format!("\n{id:<28} {of_variant}{}", stage.title()));
        }
    }
    Ok(console::print_line(lines)?)
}

/// The models in the folder that `--models` gives that `experiment` fits, of which a line on stderr says the number;
/// none without it.
pub fn stored_models(
    folder: Option<&Path>,
    experiment: &Experiment,
    environment: &Environment,
) -> Result<StoredModels, Failure> {
    let Some(folder) = folder else {
        return Ok(StoredModels::default());
    };
    let none = StoredModels::default();
    let problems = experiment.problems.iter();
    let plans = problems.map(|problem| Plan::new(problem, environment, &none));
    let fits: BTreeSet<String> = plans.flat_map(|plan| plan.settings_of_fits()).collect();
    let models = StoredModels::read(folder, &fits).map_err(Failure::from_input_error)?;
    let (n_taken, n) = (models.n_read(), fits.len());
    console::notify(format_args!(
        "{n_taken} of {n} models are taken from {}",
        folder.display()
    ));
    Ok(models)
}

fn stages_as_json(plan: &Plan) -> Vec<Value> {
    let stages = plan.stages().iter();
    stages
        .map(|(id, stage)| {
            json!({"id": id, "variant": plan.variant(), "title": stage.title(), "after": stage.input_stages(), "settings": stage})
        })
        .collect()
}

/// The failure for a plan of the spec at `path` that is too large.
pub fn plan_too_large(path: &Path, error: &PlanTooLarge) -> Failure {
    Failure::Input(format!("{}: {error}", path.display()))
}
