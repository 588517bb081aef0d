//! What inference costs: parameters, wall time and joint gradients, and what refinement buys.

use super::number::{grouped, option, seconds, significant};
use super::{Table, mean_text, same_or_range};
use crate::across_seeds::SeedGroup;
use gap_schema::Summary;
use gap_schema::summary::{Cell, Cost, StageCost};

/// Parameters: free-form inference's grow with the number of points, an encoder's do not.
pub(crate) fn parameters(summary: &Summary) -> Table {
    let headings = [
        "n",
        "free-form parameters",
        "amortized parameters",
        "free-form / amortized",
    ];
    Table::of_groups(&SeedGroup::all(summary), &headings, |group| {
        let free_form = || group.cells.iter().map(|c| c.free_form_params);
        let weights = group.encoder().map(|encoder| encoder.weights);
        let ratio = free_form()
            .max()
            .zip(weights.filter(|&weights| weights > 0));
        vec![vec![
            same_or_range(group.cells.iter().map(|c| c.n)),
            same_or_range(free_form()),
            option(weights, grouped),
            option(ratio, |(free_form, weights)| {
                significant(free_form as f64 / weights as f64, 2)
            }),
        ]]
    })
}

fn mean_seconds(group: &SeedGroup<'_>, cost: impl Fn(&Cell) -> Option<Cost>) -> String {
    option(group.average(|c| Some(cost(c)?.seconds)), seconds)
}

fn mean_gradients(group: &SeedGroup<'_>, cost: impl Fn(&Cell) -> Option<Cost>) -> String {
    let mean = group.average(|c| Some(cost(c)?.joint_gradients));
    option(mean, |mean| grouped(mean.round() as u64))
}

/// Wall time and joint gradients, means over seeds.
pub(crate) fn costs(summary: &Summary) -> Table {
    let headings = [
        "fit: s",
        "fit: gradients",
        "amortized: s",
        "refined: s",
        "refined: gradients/point",
        "free-form: s",
        "free-form: gradients/point",
    ];
    Table::of_groups(&SeedGroup::all(summary), &headings, |group| {
        vec![vec![
            mean_seconds(group, |c| c.cost.encoder_fit),
            mean_gradients(group, |c| c.cost.encoder_fit),
            mean_seconds(group, |c| c.cost.amortized),
            mean_seconds(group, |c| c.cost.refined),
            mean_gradients(group, |c| c.cost.refined),
            mean_seconds(group, |c| Some(c.cost.free_form)),
            mean_gradients(group, |c| Some(c.cost.free_form)),
        ]]
    })
}

/// Where the time of the run went, the longest first.
pub(crate) fn stages(summary: &Summary) -> Table {
    let mut table = Table::new(2, &["variant", "stages", "number", "wall time", "share"]);
    let all: f64 = summary.cost.iter().map(|cost| cost.seconds).sum();
    let mut costs: Vec<&StageCost> = summary.cost.iter().collect();
    costs.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for cost in costs {
        table.rows.push(vec![
            option(cost.variant.as_deref(), str::to_owned),
            cost.stage.clone(),
            cost.n.to_string(),
            seconds(cost.seconds),
            format!("{:.1}%", 100.0 * cost.seconds / all),
        ]);
    }
    table
}

/// What remains of the gap after each number of refinement steps.
pub(crate) fn refinement(summary: &Summary) -> Table {
    let headings = [
        "steps",
        "remaining gap",
        "Monte Carlo error",
        "seconds",
        "gradients/point",
    ];
    Table::of_groups(&SeedGroup::all(summary), &headings, |group| {
        let steps = std::iter::once(0).chain(group.refinement_steps());
        steps
            .filter_map(|steps| {
                let gap = group.remaining_gap(steps)?;
                Some(vec![
                    steps.to_string(),
                    mean_text(Some(gap)),
                    significant(gap.mc_std_error_nats, 2),
                    mean_seconds(group, |c| cost_of_steps(c, steps)),
                    mean_gradients(group, |c| cost_of_steps(c, steps)),
                ])
            })
            .collect()
    })
}

fn cost_of_steps(cell: &Cell, steps: u32) -> Option<Cost> {
    if steps == 0 {
        return cell.cost.amortized;
    }
    let mut points = cell.refinement.iter();
    points.find(|p| p.steps == steps).map(|p| Cost {
        seconds: p.seconds,
        joint_gradients: p.joint_gradients,
    })
}
