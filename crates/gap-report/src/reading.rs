//! The outcome in sentences: what the numbers say to the questions that experiments of this suite ask.
//!
//! Each sentence is made from the summary alone, so it cannot say what was not measured.

use crate::across_seeds::{SeedGroup, SeedMean};
use crate::nesting::NestingGroup;
use crate::table::encoder_name;
use crate::table::number::{plus_minus, significant};
use gap_schema::Summary;
use gap_schema::record::Split;
use gap_schema::summary::NESTING_NATS;

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

fn percent(part: f64, whole: f64) -> String {
    format!("{}%", significant(100.0 * part / whole, 2))
}

/// `, 29% of it`; nothing where the whole is not told from none, or smaller than its part.
fn share_of(part: SeedMean, whole: SeedMean) -> String {
    let is_there = whole.mean_nats > 3.0 * whole.std_error_nats;
    if is_there && part.mean_nats < whole.mean_nats {
        format!(", {} of it", percent(part.mean_nats, whole.mean_nats))
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
            more.context > fewer.context && (more.kind, &more.hidden) == (fewer.kind, &fewer.hidden)
        });
        without.map(move |without| (*without, *with))
    });
    let sentence = |(without, with): (&SeedGroup<'_>, &SeedGroup<'_>)| {
        let (alone, beside) = (gap(without)?, gap(with)?);
        Some(format!(
            "{} with context {}: {} nats on {} points; with context {}: {}{}.",
            encoder_name(with),
            without.encoder()?.context,
            text(alone),
            with.split(),
            with.encoder()?.context,
            text(beside),
            share_of(beside, alone)
        ))
    };
    pairs.filter_map(sentence).collect()
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
            share_of(wide, narrow)
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
    let share = if inference.mean_nats > 0.0 {
        format!(
            ", {} of the inference gap",
            percent(approximation.mean_nats, inference.mean_nats)
        )
    } else {
        String::new()
    };
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
            let first = group.of_seeds[0];
            let size = if mean > 3.0 * std_error {
                "more than 3 standard errors above 0"
            } else if mean < -3.0 * std_error {
                "below 0 by more than 3 standard errors"
            } else {
                "within 3 standard errors of 0"
            };
            format!(
                "The best {} is {} nats above the best {} on {split} points, {size}.",
                first.larger,
                plus_minus(mean, std_error),
                first.smaller
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

/// Whether free-form inference ended below an encoder anywhere.
fn of_search(summary: &Summary) -> Option<String> {
    let gaps: Vec<_> = summary
        .cells
        .iter()
        .filter_map(|c| c.amortization_gap)
        .collect();
    if gaps.is_empty() {
        return None;
    }
    let is_below = |gap: &&gap_schema::summary::Mean| {
        let std_error = gap.std_error_nats.max(gap.mc_std_error_nats);
        gap.mean_nats < -2.0 * std_error
    };
    let below = gaps.iter().filter(is_below).count();
    let n = gaps.len();
    Some(if below == 0 {
        format!(
            "Free-form inference ended below no encoder by more than two standard errors, in any of {n} cells."
        )
    } else {
        format!(
            "In {below} of {n} cells free-form inference ended below the encoder by more than two standard \
             errors: its search failed there, and the gap is too small."
        )
    })
}
