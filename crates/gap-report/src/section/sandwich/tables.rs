//! The table of sandwiches on simulated points.

use crate::across_seeds::{SeedMean, SpreadOver};
use crate::table::Table;
use crate::table::number::{
    grouped, mean_text, part_of_all_text, range_text_or_absent, reason_counts_text, seconds,
    significant, text_or_absent, value_or_range_text,
};
use crate::variant::variant_sort_key;
use gap_schema::Summary;
use gap_schema::summary::{EvidenceSandwich, Mean};

/// Returns the sandwiches, one row for each variant and data set, as means over models; no rows if none was
/// measured.
pub(super) fn sandwiches_table(summary: &Summary) -> Table {
    let headings = [
        "variant",
        "data",
        "models",
        "points",
        "lower",
        "upper",
        "width",
        "L[q*]",
        "IW[q*]",
        "PSIS[q*]",
        "exact",
        "holds exact",
        "upper < lower",
        "non-finite",
        "untrusted",
        "acceptance",
        "chains × temperatures",
        "seconds",
    ];
    let mut table = Table::new(2, &headings);
    let mut all: Vec<&EvidenceSandwich> = summary.sandwich.iter().collect();
    all.sort_by(|a, b| comparison_key(a).cmp(&comparison_key(b)));
    let groups: Vec<&[&EvidenceSandwich]> = all
        .chunk_by(|a, b| comparison_key(a) == comparison_key(b))
        .collect();
    table.rows = groups.iter().map(|group| sandwich_row(group)).collect();
    table.notes = sandwich_notes(&groups);
    if summary.sandwich.iter().all(|s| s.variant.is_none()) {
        table = table.without_column("variant");
    }
    if summary.sandwich.iter().all(|s| s.exact.is_none()) {
        table = table.without_column("exact").without_column("holds exact");
    }
    table
}

/// Sandwiches with the same key share a row.
fn comparison_key(sandwich: &EvidenceSandwich) -> impl Ord + use<'_> {
    (
        variant_sort_key(sandwich.variant.as_deref()),
        &sandwich.dataset,
    )
}

fn sandwich_row(models: &[&EvidenceSandwich]) -> Vec<String> {
    let mean = |pick: fn(&EvidenceSandwich) -> Option<Mean>| {
        let means: Vec<Mean> = models.iter().filter_map(|model| pick(model)).collect();
        mean_text(SeedMean::new(
            &means,
            SpreadOver::from_seed_count(models.len()),
        ))
    };
    let total =
        |count: fn(&EvidenceSandwich) -> u64| models.iter().map(|model| count(model)).sum::<u64>();
    let average = |pick: fn(&EvidenceSandwich) -> Option<f64>| {
        let values: Vec<f64> = models.iter().filter_map(|model| pick(model)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let with_exact = models.iter().filter(|model| model.exact.is_some());
    let temperatures = models.iter().filter_map(|model| model.n_temperatures);
    vec![
        text_or_absent(models[0].variant.as_deref(), str::to_owned),
        models[0].dataset.clone(),
        models.len().to_string(),
        value_or_range_text(models.iter().map(|model| model.n)),
        mean(|s| Some(s.lower)),
        mean(|s| Some(s.upper)),
        mean(|s| Some(s.width)),
        mean(|s| s.elbo_free_form),
        mean(|s| s.iw_free_form),
        mean(|s| s.pareto_smoothed_free_form),
        mean(|s| s.exact),
        part_of_all_text(
            total(|s| s.contains_exact.unwrap_or(0)),
            with_exact.map(|model| model.n - model.non_finite).sum(),
        ),
        grouped(total(|s| s.negative_widths)),
        grouped(total(|s| s.non_finite)),
        reason_counts_text(models.iter().map(|model| &model.untrusted_by_reason)),
        text_or_absent(average(|s| s.acceptance), |rate| significant(rate, 2)),
        format!(
            "{} × {}",
            value_or_range_text(models.iter().map(|model| model.n_chains)),
            range_text_or_absent(temperatures.map(u64::from))
        ),
        text_or_absent(average(|s| Some(s.seconds)), seconds),
    ]
}

fn sandwich_notes(groups: &[&[&EvidenceSandwich]]) -> Vec<String> {
    let Some(most) = groups.iter().map(|group| group.len()).max() else {
        return Vec::new();
    };
    let spread = match SpreadOver::from_seed_count(most) {
        SpreadOver::Seeds => {
            "over models, from the spread of their means; over points where there is one model"
        }
        SpreadOver::Datapoints => "over points; there is one model",
    };
    let mut all = groups.iter().flat_map(|group| group.iter());
    let has_exact = all.any(|sandwich| sandwich.exact.is_some());
    let exact = " holds exact: points whose exact value is at most 2 standard errors outside.";
    vec![
        format!(
            "Sandwich: annealed importance sampling forwards (lower) and backwards from a draw of the \
             posterior (upper), in nats, on points that the model drew itself; ± is one standard error \
             {spread}."
        ),
        format!(
            "upper < lower: points whose bounds crossed, which Monte Carlo error alone does; they are in \
             the width.{}",
            if has_exact { exact } else { "" }
        ),
    ]
}
