//! From paired rows to cells: approximation, amortization and generalisation gaps.
//!
//! Negative gaps are kept. Datapoints with a value that is not finite are counted, and are left out of every
//! mean of their cell.

use super::optima::optima_counts;
use crate::columns::{
    AMORTIZED_ELBO_QUANTITY, AMORTIZED_EXACT_ELBO_QUANTITY, AMORTIZED_IW_QUANTITY, CellColumns,
    FREE_FORM_ELBO_QUANTITY, FREE_FORM_EXACT_ELBO_QUANTITY, FREE_FORM_IW_QUANTITY,
    OPTIMAL_ELBO_QUANTITY,
};
use crate::paired_column::{PairedColumn, mean};
use crate::pairing::{MeasuredQuantity, PairedCell};
use crate::section::evidence::analysis::{BestEvidence, annealed_agreement, estimates};
use crate::section::reliability::analysis::{count_heavy_tails, untrusted_by_reason};
use gap_schema::record::Record;
use gap_schema::summary::{
    Cell, ClosedFormComparison, Cost, CostsByMethod, DifferentOptima, ImportanceWeightedMean,
    MIN_DIFFERENT_OPTIMA_NATS, Mean, NamedRefinement, ProtocolResult, RefinedMean, RefinementPoint,
};
use gap_spec::{Estimator, Method, Split, StopKind};
use std::collections::HashMap;

/// Returns a cell for each variant, model, encoder and split.
pub(super) fn gap_cells(paired: &[PairedCell<'_>]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = paired.iter().map(gap_cell).collect();
    make_names_unique(paired, &mut cells);
    add_generalisation_gaps(paired, &mut cells);
    cells
}

/// Returns the summary of one cell: its gaps, bounds, counts and costs.
fn gap_cell(cell: &PairedCell<'_>) -> Cell {
    let columns = CellColumns::new(cell);
    let has_terms = "a cell has its free-form terms";
    let free_form = columns
        .finite_column(FREE_FORM_ELBO_QUANTITY)
        .expect(has_terms);
    let free_form_iw = columns
        .finite_column(FREE_FORM_IW_QUANTITY)
        .expect(has_terms);
    let amortized = columns.finite_column(AMORTIZED_ELBO_QUANTITY);
    let amortized_iw = columns.finite_column(AMORTIZED_IW_QUANTITY);
    let best_evidence = BestEvidence::new(&columns);
    let evidence = best_evidence.column();
    let gap = amortized.as_ref().map(|q| free_form.minus(q));
    let gap_where = |keep: &dyn Fn(&Record) -> bool| {
        let keep: Vec<bool> = columns
            .finite_records_of_quantity(FREE_FORM_ELBO_QUANTITY)
            .map(keep)
            .collect();
        let kept = gap.as_ref()?.where_true(&keep);
        (!kept.is_empty()).then(|| kept.mean())
    };
    let different_optima_points = different_optima_points(&columns);
    let refinement = refinement_points(&columns, None, &free_form);
    let refinements = named_refinements(&columns);
    // The ends of `[refinement]`, or without it of the first refinement by name.
    let first_named = refinements.first();
    let first_named_end = first_named.and_then(|named| named.points.last());
    let refined = refinement.last().or(first_named_end).copied();
    let elbo_refined = match refinement.last() {
        Some(end) => refined_mean(&columns, None, end),
        None => first_named.map(|named| named.elbo),
    };
    let n = cell.points.len() as u64;
    let untrusted = untrusted_by_reason(columns.records_of_unnamed_quantities());
    let elbos = columns.measured_quantities();
    let elbos =
        elbos.filter(|quantity| quantity.estimator == Estimator::Elbo && quantity.name.is_none());
    let elbos_of_encoder: Vec<MeasuredQuantity<'_>> = elbos
        .filter(|quantity| matches!(quantity.method, Method::Amortized | Method::Refined))
        .collect();

    Cell {
        cell: cell_name(cell),
        variant: cell.variant.map(str::to_owned),
        dataset: cell.dataset.to_owned(),
        split: cell.split,
        seed: cell.seed,
        model: cell.model.to_owned(),
        n,
        family: cell.family,
        encoder: cell.encoder.cloned(),
        free_form_params: family_params(cell) * n,
        amortized_params: cell.encoder.map(|encoder| encoder.weights),
        constant_inputs: constant_inputs(&columns),
        log_evidence: best_evidence.log_evidence(),
        evidence: estimates(&columns, evidence),
        annealed_agreement: annealed_agreement(&columns, FREE_FORM_IW_QUANTITY),
        elbo_free_form: free_form.mean(),
        elbo_amortized: amortized.as_ref().map(PairedColumn::mean),
        elbo_refined,
        iw_free_form: ImportanceWeightedMean {
            mean: free_form_iw.mean(),
            n_samples: columns.max_samples(FREE_FORM_IW_QUANTITY),
        },
        iw_amortized: amortized_iw.as_ref().map(|iw| ImportanceWeightedMean {
            mean: iw.mean(),
            n_samples: columns.max_samples(AMORTIZED_IW_QUANTITY),
        }),
        approximation_gap: evidence.minus(&free_form).mean(),
        amortization_gap: gap.as_ref().map(PairedColumn::mean),
        amortization_gap_converged: gap_where(&|r| r.stop == StopKind::Converged),
        amortization_gap_same_optimum: gap_where(&|r| {
            r.stop == StopKind::Converged
                && r.starts_apart_nats
                    .is_some_and(|nats| nats <= MIN_DIFFERENT_OPTIMA_NATS)
        }),
        refined_gap: refined.map(|point| point.gap),
        inference_gap: amortized.as_ref().map(|q| evidence.minus(q).mean()),
        iw_gap: amortized_iw
            .as_ref()
            .map(|iw| free_form_iw.minus(iw).mean()),
        generalisation_gap: None,
        negative_gaps: gap.as_ref().map_or(0, PairedColumn::count_negative),
        unexplained_negative_gaps: unexplained_negative_gaps(
            &columns,
            &free_form,
            &elbos_of_encoder,
        ),
        unconverged: unconverged(&columns, FREE_FORM_ELBO_QUANTITY),
        different_optima: different_optima_points.len() as u64,
        different_optima_points,
        optima: optima_counts(columns.records_of_quantity(FREE_FORM_ELBO_QUANTITY)),
        non_finite: columns.n_non_finite_points(),
        untrusted: untrusted.values().sum(),
        untrusted_by_reason: untrusted,
        heavy_tails: count_heavy_tails(&columns),
        max_remaining_nats: largest_finite_value(&columns, |r| r.remaining_nats),
        mean_remaining_bound_nats: mean_remaining_bound(&columns, FREE_FORM_ELBO_QUANTITY),
        max_remaining_bound_nats: largest_finite_value(&columns, |r| r.remaining_bound_nats),
        cost: CostsByMethod {
            amortized: columns.inference_cost(AMORTIZED_ELBO_QUANTITY),
            refined: refined.map(|point| Cost {
                seconds: point.seconds,
                joint_gradients: point.joint_gradients,
            }),
            free_form: columns
                .inference_cost(FREE_FORM_ELBO_QUANTITY)
                .unwrap_or_default(),
            encoder_fit: encoder_fit(&columns),
        },
        oracle: closed_form_comparison(&columns, &best_evidence),
        refinement,
        refinements,
        protocols: protocol_results(&columns),
    }
}

/// Returns the number of variational parameters of one `q`, which is the same in every row of a cell.
fn family_params(cell: &PairedCell<'_>) -> u64 {
    let mut rows = cell.points.iter().flat_map(|point| point.values());
    rows.next().map_or(0, |row| row.family_params)
}

/// Returns the largest finite value of a column over the rows of the free-form ELBO.
fn largest_finite_value(
    columns: &CellColumns<'_>,
    column: fn(&Record) -> Option<f64>,
) -> Option<f64> {
    columns
        .records_of_quantity(FREE_FORM_ELBO_QUANTITY)
        .filter_map(column)
        .filter(|nats| nats.is_finite())
        .max_by(f64::total_cmp)
}

/// Returns the datapoints whose starts ended at different optima. A distance that is not finite does not count:
/// the start with no finite ELBO at its end reached no optimum.
fn different_optima_points(columns: &CellColumns<'_>) -> Vec<DifferentOptima> {
    let rows = columns.records_of_quantity(FREE_FORM_ELBO_QUANTITY);
    let ends = rows.filter_map(|r| {
        Some(DifferentOptima {
            datapoint: r.datapoint,
            nats: r.starts_apart_nats?,
        })
    });
    ends.filter(|end| end.nats.is_finite() && end.nats > MIN_DIFFERENT_OPTIMA_NATS)
        .collect()
}

/// Returns what is left of the gap after each number of steps of the refinement with this name, or of
/// `[refinement]`.
fn refinement_points<'a>(
    columns: &CellColumns<'a>,
    name: Option<&'a str>,
    free_form: &PairedColumn,
) -> Vec<RefinementPoint> {
    let steps = columns.refinement_steps(name).into_iter();
    steps
        .filter_map(|steps| {
            let term = MeasuredQuantity::refined_elbo(name, steps);
            let cost = columns.inference_cost(term)?;
            Some(RefinementPoint {
                steps,
                gap: free_form.minus(&columns.finite_column(term)?).mean(),
                seconds: cost.seconds,
                joint_gradients: cost.joint_gradients,
            })
        })
        .collect()
}

/// Returns the mean ELBO at the end of a refinement.
fn refined_mean<'a>(
    columns: &CellColumns<'a>,
    name: Option<&'a str>,
    end: &RefinementPoint,
) -> Option<RefinedMean> {
    let quantity = MeasuredQuantity::refined_elbo(name, end.steps);
    Some(RefinedMean {
        mean: columns.finite_column(quantity)?.mean(),
        steps: end.steps,
    })
}

fn named_refinements(columns: &CellColumns<'_>) -> Vec<NamedRefinement> {
    let names = columns.names_of(Method::Refined).into_iter();
    names
        .filter_map(|name| {
            let columns = columns.including(name);
            let free_form = columns.finite_column(FREE_FORM_ELBO_QUANTITY)?;
            let points = refinement_points(&columns, Some(name), &free_form);
            let steps = points.iter().map(|point| point.steps);
            let elbos: Vec<MeasuredQuantity<'_>> = steps
                .map(|steps| MeasuredQuantity::refined_elbo(Some(name), steps))
                .collect();
            Some(NamedRefinement {
                name: name.to_owned(),
                elbo: refined_mean(&columns, Some(name), points.last()?)?,
                unexplained_negative_gaps: unexplained_negative_gaps(&columns, &free_form, &elbos),
                non_finite: columns.n_non_finite_points(),
                points,
            })
        })
        .collect()
}

fn protocol_results(columns: &CellColumns<'_>) -> Vec<ProtocolResult> {
    let names = columns.names_of(Method::FreeForm).into_iter();
    names
        .filter_map(|name| {
            let columns = &columns.including(name);
            let quantity = MeasuredQuantity::protocol_elbo(name);
            let elbo = columns.finite_column(quantity)?;
            let free_form = &columns.finite_column(FREE_FORM_ELBO_QUANTITY)?;
            let unexplained = unexplained_negative_gaps(columns, free_form, &[quantity]);
            Some(ProtocolResult {
                name: name.to_owned(),
                elbo: elbo.mean(),
                optimisation_gap: free_form.minus(&elbo).mean(),
                unexplained_negative_gaps: unexplained,
                unconverged: unconverged(columns, quantity),
                non_finite: columns.n_non_finite_points(),
                mean_remaining_bound_nats: mean_remaining_bound(columns, quantity),
                cost: columns.inference_cost(quantity)?,
            })
        })
        .collect()
}

/// Counts the datapoints whose search ended, with finite values, before it converged.
fn unconverged<'a>(columns: &CellColumns<'a>, quantity: MeasuredQuantity<'a>) -> u64 {
    let stops = columns.records_of_quantity(quantity);
    stops.filter(|r| r.stop == StopKind::BudgetSpent).count() as u64
}

/// The Monte Carlo standard errors by which a datapoint's gap may be negative, beyond the distance of its `q*`
/// to the optimum.
const EXPLAINED_STD_ERRORS: f64 = 3.0;

/// Counts the datapoints where one of `quantities`, which are ELBOs, is above that of `q*` by more than the
/// distance of `q*` to its optimum and Monte Carlo errors explain.
fn unexplained_negative_gaps<'a>(
    columns: &CellColumns<'a>,
    free_form: &PairedColumn,
    quantities: &[MeasuredQuantity<'a>],
) -> u64 {
    let records = columns.finite_records_of_quantity(FREE_FORM_ELBO_QUANTITY);
    // A bound may be estimated below zero, and explains nothing then.
    let bounds = records.map(|r| r.remaining_bound_nats.unwrap_or(0.0).max(0.0));
    let bounds: Vec<f64> = bounds.collect();
    let mut is_unexplained = vec![false; bounds.len()];
    for &quantity in quantities {
        let Some(column) = columns.finite_column(quantity) else {
            continue;
        };
        let gap = free_form.minus(&column);
        let below = gap.below_zero_by_more_than(&bounds, EXPLAINED_STD_ERRORS);
        for (point, below) in is_unexplained.iter_mut().zip(below) {
            *point |= below;
        }
    }
    is_unexplained.into_iter().filter(|found| *found).count() as u64
}

/// Returns the mean bound on the distance of a search's `q` to its optimum; `None` if a datapoint has none.
fn mean_remaining_bound<'a>(
    columns: &CellColumns<'a>,
    quantity: MeasuredQuantity<'a>,
) -> Option<f64> {
    let records = columns.finite_records_of_quantity(quantity);
    let bounds: Option<Vec<f64>> = records
        .map(|r| r.remaining_bound_nats.filter(|bound| bound.is_finite()))
        .collect();
    mean(bounds?.into_iter())
}

/// Returns the cost of fitting the encoder, which is the same in every row of an encoder.
fn encoder_fit(columns: &CellColumns<'_>) -> Option<Cost> {
    let gradients = columns
        .records_of_quantity(AMORTIZED_ELBO_QUANTITY)
        .map(|r| r.fit_joint_gradients);
    let seconds = columns
        .records_of_quantity(AMORTIZED_ELBO_QUANTITY)
        .map(|r| r.fit_seconds);
    Some(Cost {
        joint_gradients: gradients.max()? as f64,
        seconds: seconds.max_by(f64::total_cmp)?,
    })
}

/// Returns the number of constant inputs, which is the same in every row of an encoder.
fn constant_inputs(columns: &CellColumns<'_>) -> u64 {
    let rows = columns.records_of_quantity(AMORTIZED_ELBO_QUANTITY);
    rows.map(|r| r.constant_inputs).max().unwrap_or(0)
}

fn closed_form_comparison(
    columns: &CellColumns<'_>,
    best_evidence: &BestEvidence,
) -> Option<ClosedFormComparison> {
    let evidence = best_evidence.exact.as_ref()?;
    let optimum = columns.finite_column(OPTIMAL_ELBO_QUANTITY)?;
    let exact = columns.finite_column(FREE_FORM_EXACT_ELBO_QUANTITY)?;
    let sampled = columns.finite_column(FREE_FORM_ELBO_QUANTITY)?;
    Some(ClosedFormComparison {
        log_evidence: evidence.mean(),
        log_evidence_error: best_evidence.best_bound.minus(evidence).mean(),
        free_form_shortfall: optimum.minus(&exact).mean(),
        elbo_error: sampled.minus(&exact).mean(),
        amortization_gap: columns
            .finite_column(AMORTIZED_EXACT_ELBO_QUANTITY)
            .map(|amortized| exact.minus(&amortized).mean()),
    })
}

fn cell_name(cell: &PairedCell<'_>) -> String {
    let encoder = cell.encoder.map_or_else(String::new, |encoder| {
        format!("/encoder={}", encoder.short_name())
    });
    let variant = cell
        .variant
        .map_or_else(String::new, |variant| format!("variant={variant}/"));
    format!("{variant}seed={}{encoder}/split={}", cell.seed, cell.split)
}

/// Adds weights, family, data set and model to names that several cells share. A single run has one model for
/// each variant, seed and encoder, so its names are unique; rows merged from several runs may have more models.
fn make_names_unique(paired: &[PairedCell<'_>], cells: &mut [Cell]) {
    let mut uses: HashMap<String, u32> = HashMap::new();
    for cell in cells.iter() {
        *uses.entry(cell.cell.clone()).or_default() += 1;
    }
    for (pair, cell) in paired.iter().zip(cells) {
        if uses[&cell.cell] > 1 {
            let weights = pair.encoder.map_or(0, |encoder| encoder.weights);
            let (dataset, model, family) = (pair.dataset, pair.model, pair.family);
            cell.cell +=
                &format!("/weights={weights}/family={family}/dataset={dataset}/model={model}");
        }
    }
}

fn add_generalisation_gaps(paired: &[PairedCell<'_>], cells: &mut [Cell]) {
    fn key<'a>(pair: &'a PairedCell<'_>) -> impl Eq + std::hash::Hash + use<'a> {
        let model = (pair.variant, pair.dataset, pair.model);
        (model, pair.seed, pair.family, pair.encoder)
    }
    let train: HashMap<_, Mean> = paired
        .iter()
        .zip(cells.iter())
        .filter(|(pair, _)| pair.split == Split::Train)
        .filter_map(|(pair, cell)| Some((key(pair), cell.amortization_gap?)))
        .collect();
    for (pair, cell) in paired.iter().zip(cells) {
        if let (Split::Test, Some(test)) = (pair.split, cell.amortization_gap) {
            cell.generalisation_gap = train.get(&key(pair)).map(|train| Mean {
                mean_nats: test.mean_nats - train.mean_nats,
                std_error_nats: test.std_error_nats.hypot(train.std_error_nats),
                mc_std_error_nats: test.mc_std_error_nats.hypot(train.mc_std_error_nats),
            });
        }
    }
}
