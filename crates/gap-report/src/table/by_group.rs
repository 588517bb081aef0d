//! Tables with a row, or several, for each variant, encoder and split.

use super::content::Table;
use super::number::text_or_absent;
use crate::across_seeds::SeedGroup;
use gap_schema::Summary;
use std::collections::BTreeSet;

/// Returns a table of the rows that `rows` makes of each group, each preceded by the group's variant, encoder
/// and split. The column of variants is left out if no group has one.
pub(crate) fn table_by_group(
    groups: &[SeedGroup<'_>],
    headings: &[&str],
    rows: impl Fn(&SeedGroup<'_>) -> Vec<Vec<String>>,
) -> Table {
    let mut table = Table::new(3, &[&["variant", "encoder", "split"], headings].concat());
    for group in groups {
        let names = [
            text_or_absent(group.variant(), str::to_owned),
            encoder_name(group),
            group.split().to_string(),
        ];
        let rows = rows(group).into_iter();
        table
            .rows
            .extend(rows.map(|row| [&names[..], &row].concat()));
    }
    if groups.iter().all(|group| group.variant().is_none()) {
        table.without_column("variant")
    } else {
        table
    }
}

/// Returns a table of what belongs to models and not to their encoders: as [`table_by_group`] does, but once
/// for all encoders that share a decoder, and without the column of encoders where all share theirs.
pub(crate) fn table_by_model(
    summary: &Summary,
    headings: &[&str],
    rows: impl Fn(&SeedGroup<'_>) -> Vec<Vec<String>>,
) -> Table {
    let groups = SeedGroup::groups_of_distinct_models(summary);
    let table = table_by_group(&groups, headings, rows);
    let places = groups.iter().map(|group| (group.variant(), group.split()));
    let places: BTreeSet<_> = places.collect();
    if places.len() == groups.len() {
        table.without_column("encoder")
    } else {
        table
    }
}

/// Returns the short name of the group's encoder, or `(none)`.
pub(crate) fn encoder_name(group: &SeedGroup<'_>) -> String {
    group
        .encoder()
        .map_or_else(|| "(none)".to_owned(), |encoder| encoder.short_name())
}
