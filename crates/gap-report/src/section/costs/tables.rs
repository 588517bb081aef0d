//! The tables of what inference costs: parameters, wall time and joint gradients.

use crate::across_seeds::SeedGroup;
use crate::table::number::{grouped, seconds, significant, text_or_absent, value_or_range_text};
use crate::table::{Table, mean_gradients, mean_seconds, table_by_group};
use gap_schema::Summary;
use gap_schema::summary::StageCost;

/// Returns the numbers of parameters: those of free-form inference grow with the number of points, those of an
/// encoder do not.
pub(super) fn parameters_table(summary: &Summary) -> Table {
    let headings = [
        "n",
        "free-form parameters",
        "amortized parameters",
        "free-form / amortized",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            let free_form = || group.cells.iter().map(|c| c.free_form_params);
            let weights = group.encoder().map(|encoder| encoder.weights);
            let ratio = free_form()
                .max()
                .zip(weights.filter(|&weights| weights > 0));
            vec![vec![
                value_or_range_text(group.cells.iter().map(|c| c.n)),
                value_or_range_text(free_form()),
                text_or_absent(weights, grouped),
                text_or_absent(ratio, |(free_form, weights)| {
                    significant(free_form as f64 / weights as f64, 2)
                }),
            ]]
        },
    )
}

/// Returns wall time and joint gradients, as means over seeds.
pub(super) fn inference_costs_table(summary: &Summary) -> Table {
    let headings = [
        "fit: s",
        "fit: gradients",
        "amortized: s",
        "refined: s",
        "refined: gradients/point",
        "free-form: s",
        "free-form: gradients/point",
    ];
    table_by_group(
        &SeedGroup::group_summary_cells(summary),
        &headings,
        |group| {
            vec![vec![
                mean_seconds(group, |c| c.cost.encoder_fit),
                mean_gradients(group, |c| c.cost.encoder_fit),
                mean_seconds(group, |c| c.cost.amortized),
                mean_seconds(group, |c| c.cost.refined),
                mean_gradients(group, |c| c.cost.refined),
                mean_seconds(group, |c| Some(c.cost.free_form)),
                mean_gradients(group, |c| Some(c.cost.free_form)),
            ]]
        },
    )
}

/// Returns the wall time of each kind of stage in the run, the longest first.
pub(super) fn stage_costs_table(summary: &Summary) -> Table {
    let mut table = Table::new(2, &["variant", "stages", "number", "wall time", "share"]);
    let all: f64 = summary.cost.iter().map(|cost| cost.seconds).sum();
    let mut costs: Vec<&StageCost> = summary.cost.iter().collect();
    costs.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for cost in costs {
        table.rows.push(vec![
            text_or_absent(cost.variant.as_deref(), str::to_owned),
            cost.stage.clone(),
            cost.n.to_string(),
            seconds(cost.seconds),
            format!("{:.1}%", 100.0 * cost.seconds / all),
        ]);
    }
    table
}
