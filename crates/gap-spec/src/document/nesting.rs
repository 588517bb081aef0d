//! Refuses texts whose tables and lists are nested too deeply. The parser, serde and destructors call themselves
//! once for each level, so that a few thousand levels would end the program by a stack overflow.

use super::fault::{Fault, shortened};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most levels of tables and lists. The deepest keys of a spec, such as an element of
/// `variants.z2.model.training.encoder_hidden`, have 6.
pub(super) const MAX_LEVELS: usize = 16;

/// The fault of a text in which a key or a list element is nested more than [`MAX_LEVELS`] deep; `None` for any
/// other text, also for one that is not TOML.
pub(super) fn nesting_fault(text: &str) -> Option<Fault> {
    let document = DeTable::parse(text).ok()?;
    let too_deep = too_deep_place(document.get_ref())?;
    let name = shortened(text.get(too_deep.clone()).unwrap_or_default(), 40);
    Some(Fault {
        key: String::new(),
        at: too_deep.start,
        message: format!(
            "`{name}` is nested more than {MAX_LEVELS} levels deep, deeper than any key of a spec; remove it"
        ),
    })
}

/// The place of a key or list element below [`MAX_LEVELS`] levels. It is found without recursion.
fn too_deep_place(document: &DeTable<'_>) -> Option<Range<usize>> {
    type Level<'a> = (usize, &'a Spanned<DeValue<'a>>);
    let mut open: Vec<Level<'_>> = document.values().map(|value| (1, value)).collect();
    while let Some((level, value)) = open.pop() {
        let below = level + 1;
        match value.get_ref() {
            DeValue::Table(table) => {
                if let Some(name) = table.keys().next().filter(|_| below > MAX_LEVELS) {
                    return Some(name.span());
                }
                open.extend(table.values().map(|value| (below, value)));
            }
            DeValue::Array(items) => {
                if let Some(item) = items.first().filter(|_| below > MAX_LEVELS) {
                    return Some(item.span());
                }
                open.extend(items.iter().map(|item| (below, item)));
            }
            _ => {}
        }
    }
    None
}
