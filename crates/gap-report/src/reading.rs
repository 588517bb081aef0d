//! The outcome in sentences: what the numbers say to the questions that experiments of this suite ask.
//!
//! Each sentence is made from the summary alone, so it cannot say what was not measured.

use crate::across_seeds::{SeedGroup, SeedMean};
use crate::nesting::NestingGroup;
use crate::table::encoder_name;
use crate::table::number::{plus_minus, significant};
use gap_schema::Summary;
use gap_schema::summary::NESTING_NATS;
use gap_spec::Split;
use std::collections::BTreeSet;

/// The sentences; none for an experiment without gaps.
pub(crate) fn reading(summary: &Summary) -> Vec<String> {
    let groups = SeedGroup::all(summary);
    let with_encoder = |group: &&SeedGroup<'_>| group.encoder().is_some();
    let on_test = groups.iter().any(|group| group.split() == Split::Test);
    let split = if on_test { Split::Test } else { Split::Train };
    let of_split: Vec<&SeedGroup<'_>> = groups
        .iter()
        .filter(with_encoder)
        .filter(|group| group.split() == split)
        .collect();
    let by_variant = of_split.chunk_by(|a, b| a.variant() == b.variant());
    let mut sentences: Vec<String> = by_variant.filter_map(of_encoders).collect();
    sentences.extend(of_contexts(&of_split));
    sentences.extend(of_families(summary, split));
    sentences.extend(of_search(summary));
    sentences
}

fn text(mean: SeedMean) -> String {
    plus_minus(mean.mean_nats, mean.std_error_nats)
}

/// `, 29% of it`; nothing where the whole is not told from none, or its part is no part.
fn share_of(part: SeedMean, whole: SeedMean, name: &str) -> String {
    let is_there = whole.mean_nats > 3.0 * whole.std_error_nats;
    if is_there && (0.0..=whole.mean_nats).contains(&part.mean_nats) {
        let percent = 100.0 * part.mean_nats / whole.mean_nats;
        format!(", {}% of {name}", significant(percent, 2))
    } else {
        String::new()
    }
}

/// What an encoder gains from seeing its neighbours, where the same one was measured with and without.
fn of_contexts(groups: &[&SeedGroup<'_>]) -> Vec<String> {
    let gap = |group: &SeedGroup<'_>| group.mean(|cell| cell.amortization_gap);
    let pairs = groups.iter().flat_map(|with| {
        let without = groups.iter().filter(move |without| {
            let (Some(more), Some(fewer)) = (with.encoder(), without.encoder()) else {
                return false;
            };
            let same_network = (more.kind, &more.hidden) == (fewer.kind, &fewer.hidden);
            more.context > fewer.context && same_network && on_one_problem(with, without)
        });
        without.map(move |without| (*without, *with))
    });
    let sentence = |(without, with): (&SeedGroup<'_>, &SeedGroup<'_>)| {
        let (alone, beside) = (gap(without)?, gap(with)?);
        Some(format!(
            "{}{} has an amortization gap of {} nats on {} points with context {}, and of {} with context {}{}.",
            with.variant()
                .map_or_else(String::new, |name| format!("{name}: ")),
            encoder_name(with),
            text(alone),
            with.split(),
            without.encoder()?.context,
            text(beside),
            with.encoder()?.context,
            share_of(beside, alone, "it")
        ))
    };
    pairs.filter_map(sentence).collect()
}

/// Whether two groups are of one family, and of the same models on the same data.
fn on_one_problem(a: &SeedGroup<'_>, b: &SeedGroup<'_>) -> bool {
    let models = |group: &SeedGroup<'_>| {
        let cells = group.cells.iter();
        let problems = cells.map(|c| (c.seed, c.family, c.dataset.clone(), c.model.clone()));
        problems.collect::<BTreeSet<_>>()
    };
    models(a) == models(b)
}

/// How the gap changes from the narrowest encoder to the widest.
fn of_encoders(groups: &[&SeedGroup<'_>]) -> Option<String> {
    let (first, last) = (groups.first()?, groups.last()?);
    let gap = |group: &SeedGroup<'_>| group.mean(|cell| cell.amortization_gap);
    let (narrow, wide) = (gap(first)?, gap(last)?);
    let variant = last.variant();
    let variant = variant.map_or_else(String::new, |name| format!("{name}: "));
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
            text(narrow),
            text(wide),
            share_of(wide, narrow, "it")
        )
    } else {
        format!(
            "{the} amortization gap of {} on {split} points is {} nats",
            encoder_name(last),
            text(wide)
        )
    };
    let approximation = last.mean(|cell| Some(cell.approximation_gap))?;
    let inference = last.mean(|cell| cell.inference_gap)?;
    let share = share_of(approximation, inference, "the inference gap");
    Some(format!(
        "{variant}{change}. With {} the approximation gap is {} nats{share}.",
        encoder_name(last),
        text(approximation)
    ))
}

/// What larger families gain, and whether any fell below.
fn of_families(summary: &Summary, split: Split) -> Vec<String> {
    let groups = NestingGroup::all(&summary.nesting);
    let mut sentences: Vec<String> = groups
        .iter()
        .filter(|group| group.of_seeds[0].split == split)
        .map(|group| {
            let (mean, std_error) = group.gain();
            let size = if mean > 3.0 * std_error {
                "more than 3 standard errors above 0"
            } else if mean < -3.0 * std_error {
                "below 0 by more than 3 standard errors"
            } else {
                "within 3 standard errors of 0"
            };
            let (larger, smaller) = group.names();
            format!(
                "The best {larger} is {} nats above the best {smaller} on {split} points, {size}.",
                plus_minus(mean, std_error)
            )
        })
        .collect();
    if !groups.is_empty() {
        let n = summary.nesting.len();
        let below: usize = groups.iter().map(NestingGroup::cells_below).sum();
        sentences.push(if below == 0 {
            format!(
                "The nesting law holds in all {n} cells: no family ended more than {NESTING_NATS} nats below one \
                 that it contains."
            )
        } else {
            format!(
                "The nesting law is broken in {below} of {n} cells: there a family ended more than {NESTING_NATS} \
                 nats below one that it contains, so its search failed."
            )
        });
    }
    sentences
}

/// Whether free-form inference ended below an encoder anywhere, by more than the error of the gap and the
/// distance that `q*` itself is estimated to be from its optimum.
fn of_search(summary: &Summary) -> Option<String> {
    let with_gap = summary.cells.iter().filter_map(|cell| {
        let gap = cell.amortization_gap?;
        let own_distance = cell.max_remaining_nats.unwrap_or(0.0).max(0.0);
        let std_error = gap.std_error_nats.max(gap.mc_std_error_nats);
        Some(gap.mean_nats < -2.0 * std_error - own_distance)
    });
    let is_below: Vec<bool> = with_gap.collect();
    let (n, below) = (
        is_below.len(),
        is_below.iter().filter(|below| **below).count(),
    );
    let error = "two standard errors and the distance that q* is estimated to be from its optimum";
    match (n, below) {
        (0, _) => None,
        (_, 0) => Some(format!(
            "Free-form inference ended below no encoder by more than its error ({error}), in any of {n} cells."
        )),
        _ => Some(format!(
            "In {below} of {n} cells free-form inference ended below the encoder by more than its error \
             ({error}): its search failed there, and the gap is too small."
        )),
    }
}
