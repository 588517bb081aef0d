//! The order of variants: a number in a name counts as a number, so that `z2` comes before `z10`.

/// Returns the key that variants are sorted by. `None` sorts before all names, and only equal names have equal
/// keys.
pub(crate) fn variant_sort_key(variant: Option<&str>) -> impl Ord + use<'_> {
    variant.map(|name| {
        let (mut runs, mut rest) = (Vec::new(), name);
        while let Some(first) = rest.chars().next() {
            let is_number = first.is_ascii_digit();
            let end = rest.find(|symbol: char| symbol.is_ascii_digit() != is_number);
            let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
            runs.push((run.parse().unwrap_or(0u64), run));
            rest = after;
        }
        runs
    })
}

#[cfg(test)]
mod tests {
    use super::variant_sort_key;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted = [
            None,
            Some("digits-z2"),
            Some("digits-z10"),
            Some("mnist-z2"),
        ];
        assert!(sorted.is_sorted_by_key(|&variant| variant_sort_key(variant)));
        assert!(variant_sort_key(Some("z02")) != variant_sort_key(Some("z2")));
    }
}
