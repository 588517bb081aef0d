//! `amortgap plan`: what an experiment would do.

use crate::CommandResult;
use crate::arguments::PlanArguments;
use crate::exit::Failure;
use gap_harness::{Plan, Provenance};
use gap_schema::spec_file;
use gap_torch::device::DeviceName;
use serde_json::{Value, json};

/// Prints the stages of an experiment, each after those that it depends on.
pub fn plan(arguments: &PlanArguments) -> CommandResult {
    let spec = spec_file::read(&arguments.spec, &arguments.set).map_err(Failure::input)?;
    let plan = Plan::of(&spec, &Provenance::here(DeviceName::Cpu, 1).environment());
    if arguments.json {
        let stages: Vec<Value> = plan
            .stages()
            .iter()
            .map(|(id, stage)| json!({"id": id, "title": stage.title(), "after": stage.dependencies(), "settings": stage}))
            .collect();
        let all =
            json!({"experiment": spec.name.get_ref(), "plan": plan.digest(), "stages": stages});
        println!(
            "{}",
            serde_json::to_string_pretty(&all).expect("a plan is plain data")
        );
        return Ok(());
    }
    println!("{}: {} stages", spec.name.get_ref(), plan.stages().len());
    for (id, stage) in plan.stages() {
        println!("{id:<28} {}", stage.title());
    }
    Ok(())
}
