//! Texts on the gaps: the outcome in sentences, and the definitions on the page.

use crate::across_seeds::{SeedGroup, SeedMean, error_bar_meaning, reported_split, seed_counts};
use crate::section::interface::Block;
use crate::table::encoder_name;
use crate::table::number::{plus_minus_text, significant};
use gap_schema::Summary;
use gap_spec::{EncoderLabel, Side, Split};
use minijinja::HtmlEscape;
use std::collections::BTreeSet;

/// Returns the outcome in sentences: how the gap depends on the encoder's capacity and on the observations that
/// it sees; none without an encoder.
pub(super) fn gap_sentences(summary: &Summary) -> Vec<String> {
    let groups = SeedGroup::group_summary_cells(summary);
    let split = reported_split(&groups);
    let encoders: Vec<&SeedGroup<'_>> = groups
        .iter()
        .filter(|group| group.encoder().is_some())
        .filter(|group| group.split() == split)
        .collect();
    // Of encoders with different objectives, those of the first one are compared by capacity.
    let first_objective = |group: &&&SeedGroup<'_>| {
        let mut own = encoders.iter().filter(|g| g.variant() == group.variant());
        own.next()
            .is_some_and(|first| first.objective() == group.objective())
    };
    let comparable: Vec<&SeedGroup<'_>> =
        encoders.iter().filter(first_objective).copied().collect();
    let by_variant = comparable.chunk_by(|a, b| a.variant() == b.variant());
    let mut sentences: Vec<String> = by_variant
        .filter_map(encoder_capacity_gap_sentence)
        .collect();
    sentences.extend(context_sentences(&encoders));
    sentences.extend(objective_sentences(&encoders));
    sentences.extend(protocol_sentences(summary, split));
    sentences
}

/// Returns a sentence for each model and protocol on how far it ends below `q*`.
fn protocol_sentences(summary: &Summary, split: Split) -> Vec<String> {
    let groups = SeedGroup::groups_of_distinct_models(summary);
    let groups: Vec<SeedGroup<'_>> = groups.into_iter().filter(|g| g.split() == split).collect();
    let sentence = |group: &SeedGroup<'_>, name: &str| {
        let gap = group.mean(|cell| Some(cell.protocol(name)?.optimisation_gap))?;
        let variant = variant_prefix(group);
        let the = if variant.is_empty() { "The" } else { "the" };
        let of_variant = groups.iter().filter(|g| g.variant() == group.variant());
        let decoder = match of_variant.count() {
            1 => String::new(),
            _ => format!(" of the decoder fitted with {}", encoder_name(group)),
        };
        Some(format!(
            "{variant}{the} optimisation gap of protocol {name}, L[q*] − L[q_p], is {} nats on {split} points{decoder}.",
            seed_mean_text(gap)
        ))
    };
    let sentences = groups.iter().flat_map(|group| {
        let names = group.protocol_names().into_iter();
        names.filter_map(|name| sentence(group, name))
    });
    sentences.collect()
}

/// Returns the beginning of a sentence on a variant; empty without variants.
fn variant_prefix(group: &SeedGroup<'_>) -> String {
    let variant = group.variant();
    variant.map_or_else(String::new, |name| format!("{name}: "))
}

fn seed_mean_text(mean: SeedMean) -> String {
    plus_minus_text(mean.mean_nats, mean.std_error_nats)
}

/// Returns text such as `, 29% of it`. It is empty unless `whole` is more than three standard errors above
/// zero, and `part` is between zero and `whole`.
fn percent_clause(part: SeedMean, whole: SeedMean, name: &str) -> String {
    let is_there = whole.mean_nats > 3.0 * whole.std_error_nats;
    if is_there && (0.0..=whole.mean_nats).contains(&part.mean_nats) {
        let percent = 100.0 * part.mean_nats / whole.mean_nats;
        format!(", {}% of {name}", significant(percent, 2))
    } else {
        String::new()
    }
}

/// Returns sentences on how the gap changes when an encoder sees more observations, for each pair of contexts
/// with which the same network was measured on the same problem.
fn context_sentences(groups: &[&SeedGroup<'_>]) -> Vec<String> {
    let gap = |group: &SeedGroup<'_>| group.mean(|cell| cell.amortization_gap);
    let pairs = groups.iter().flat_map(|with| {
        let without = groups.iter().filter(move |without| {
            let (Some(more), Some(fewer)) = (with.encoder(), without.encoder()) else {
                return false;
            };
            let network_and_objective =
                |of: &EncoderLabel| (of.kind, of.hidden.clone(), of.objective.clone());
            more.context > fewer.context
                && network_and_objective(more) == network_and_objective(fewer)
                && is_same_problem(with, without)
        });
        without.map(move |without| (*without, *with))
    });
    let sentence = |(without, with): (&SeedGroup<'_>, &SeedGroup<'_>)| {
        let (alone, beside) = (gap(without)?, gap(with)?);
        Some(format!(
            "{}{} has an amortization gap of {} nats on {} points with context {}, and of {} with context {}{}.",
            variant_prefix(with),
            encoder_name(with),
            seed_mean_text(alone),
            with.split(),
            without.encoder()?.context,
            seed_mean_text(beside),
            with.encoder()?.context,
            percent_clause(beside, alone, "it")
        ))
    };
    pairs.filter_map(sentence).collect()
}

/// Returns sentences on how the gap changes with the objective that an encoder is fitted by, for each encoder
/// that was measured with the ELBO and with another objective on the same problem.
fn objective_sentences(groups: &[&SeedGroup<'_>]) -> Vec<String> {
    let gap = |group: &SeedGroup<'_>| group.mean(|cell| cell.amortization_gap);
    let pairs = groups.iter().flat_map(|other| {
        let by_elbo = groups.iter().filter(move |by_elbo| {
            let (Some(a), Some(b)) = (by_elbo.encoder(), other.encoder()) else {
                return false;
            };
            let network = |of: &EncoderLabel| (of.kind, of.hidden.clone(), of.context);
            let is_other = a.objective.is_none() && b.objective.is_some();
            let same_variant = by_elbo.variant() == other.variant();
            is_other && same_variant && network(a) == network(b) && is_same_problem(by_elbo, other)
        });
        by_elbo.map(move |by_elbo| (*by_elbo, *other))
    });
    let sentence = |(by_elbo, other): (&SeedGroup<'_>, &SeedGroup<'_>)| {
        Some(format!(
            "{}{} has an amortization gap of {} nats on {} points when it is fitted by the ELBO, and of {} by {}.",
            variant_prefix(other),
            encoder_name(by_elbo),
            seed_mean_text(gap(by_elbo)?),
            other.split(),
            seed_mean_text(gap(other)?),
            other.objective()?
        ))
    };
    pairs.filter_map(sentence).collect()
}

/// Whether two groups have the same family, seeds, data and models.
fn is_same_problem(a: &SeedGroup<'_>, b: &SeedGroup<'_>) -> bool {
    let models = |group: &SeedGroup<'_>| {
        let cells = group.cells.iter();
        let problems = cells.map(|c| (c.seed, c.family, c.dataset.clone(), c.model.clone()));
        problems.collect::<BTreeSet<_>>()
    };
    models(a) == models(b)
}

/// Returns the sentence on how the gap changes from the encoder with the least capacity to the one with the
/// most.
fn encoder_capacity_gap_sentence(groups: &[&SeedGroup<'_>]) -> Option<String> {
    let (first, last) = (groups.first()?, groups.last()?);
    let gap = |group: &SeedGroup<'_>| group.mean(|cell| cell.amortization_gap);
    let (narrow, wide) = (gap(first)?, gap(last)?);
    let variant = variant_prefix(last);
    let (from, the) = if variant.is_empty() {
        ("From", "The")
    } else {
        ("from", "the")
    };
    let split = last.split();
    let change = if groups.len() > 1 {
        format!(
            "{from} {} to {} the amortization gap on {split} points goes from {} to {} nats{}",
            encoder_name(first),
            encoder_name(last),
            seed_mean_text(narrow),
            seed_mean_text(wide),
            percent_clause(wide, narrow, "it")
        )
    } else {
        format!(
            "{the} amortization gap of {} on {split} points is {} nats",
            encoder_name(last),
            seed_mean_text(wide)
        )
    };
    let approximation = last.mean(|cell| Some(cell.approximation_gap))?;
    let inference = last.mean(|cell| cell.inference_gap)?;
    let share = percent_clause(approximation, inference, "the inference gap");
    Some(format!(
        "{variant}{change}. With {} the approximation gap is {} nats{share}.",
        encoder_name(last),
        seed_mean_text(approximation)
    ))
}

/// Returns the definitions of the numbers in a cell.
pub(super) fn quantity_definitions(summary: &Summary) -> Vec<Block> {
    let terms = [
        (
            "approximation gap = log p̂(x) − L[q*]",
            format!(
                "What the family cannot express. {} Where <i>q*</i> falls short of the family's optimum, the approximation gap is too large by as much as the amortization gap is too small; the inference gap is not affected.",
                HtmlEscape(evidence_direction(summary))
            ),
        ),
        (
            "amortization gap = L[q*] − L[q]",
            "What using one encoder for all datapoints costs. <i>q*</i> is an optimiser's answer and may fall short of the optimum, by at most the largest bound below for an optimum that the ascent came near, so this gap is a lower bound in expectation. It may be negative, and is then reported as it is.".to_owned(),
        ),
        (
            "inference gap = log p̂(x) − L[q]",
            "The sum of the two.".to_owned(),
        ),
        (
            "refined gap = L[q*] − L[q_r]",
            "What remains of the amortization gap after refinement steps.".to_owned(),
        ),
        (
            "IW gap = IW_K[q*] − IW_K[q]",
            "The amortization gap of the importance-weighted bound with K draws.".to_owned(),
        ),
        (
            "generalisation gap = amortization gap on test points − on training points",
            "Its two terms are on different datapoints, so their errors add in quadrature.".to_owned(),
        ),
    ];
    let optimisation = summary.cells.iter().any(|cell| !cell.protocols.is_empty());
    let optimisation = optimisation.then(|| {
        (
            "optimisation gap = L[q*] − L[q_p]",
            "What another free-form protocol leaves, where <i>q_p</i> is what it found. All other gaps are to <i>q*</i>.".to_owned(),
        )
    });
    let terms: Vec<(&str, String)> = terms.into_iter().chain(optimisation).collect();
    let spread = error_bar_meaning(&seed_counts(&SeedGroup::group_summary_cells(summary)));
    vec![
        Block::paragraph(
            "All in nats per datapoint, differences taken on the same datapoint and then averaged. <i>q*</i> is the free-form optimum of the family, found by an ascent for each datapoint; <i>q</i> is the encoder's output; <i>q_r</i> is <i>q</i> after refinement steps; <i>L</i> is the evidence lower bound.",
        ),
        Block::terms(&terms),
        Block::paragraph(&format!(
            "± is {} Monte Carlo error within datapoints is listed by itself and is never added to it.",
            HtmlEscape(&spread)
        )),
    ]
}

/// Returns the sentence on whether `log p̂(x)`, and with it the gaps, is exact or a lower bound.
fn evidence_direction(summary: &Summary) -> &'static str {
    let mut sides = summary.cells.iter().map(|c| c.log_evidence.side);
    if sides.clone().all(|side| side == Side::Exact) {
        "log p̂(x) is exact here, so the approximation and inference gaps are estimated without bias."
    } else if sides.all(|side| side == Side::Lower) {
        "log p̂(x) is a lower bound on the evidence, so the approximation and inference gaps are \
         estimated from below: they are at least this large for these q* and q."
    } else {
        "log p̂(x) is exact in some cells and a lower bound in others, as the table of bounds says; \
         where it is a lower bound, so are the approximation and inference gaps."
    }
}
