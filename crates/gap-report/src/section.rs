//! The topics of a report, one module each: how a topic is analysed, and what it adds to the page, the tables
//! and the figures. The rest of the crate loops over [`SECTIONS`].
//!
//! To add a topic, make a folder with those of these files that it needs: `analysis.rs` (from rows to the
//! topic's part of the summary), `tables.rs`, `figures.rs` and `prose.rs`. Its module file implements
//! [`Section`], which says where the results of these files go. Then add that section to [`SECTIONS`]. For
//! example:
//!
//! ```ignore
//! pub(crate) struct NestingSection;
//!
//! impl Section for NestingSection {
//!     fn analyse(&self, input: &AnalysisInput<'_>, summary: &mut Summary) {
//!         summary.nesting = analysis::compare_nested_families(input.cells);
//!     }
//!
//!     fn main_tables(&self, summary: &Summary) -> Vec<Table> {
//!         tables::nesting_table(summary).into_vec_unless_empty()
//!     }
//!
//!     fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
//!         let table = tables::nesting_table(content.summary);
//!         Chapter::of_table(PagePlace::Families, "Families within families", table)
//!             .into_iter()
//!             .collect()
//!     }
//! }
//! ```
//!
//! A new kind of rows also needs a type in a file of its own in `gap-schema` (see `results.rs` there), and a
//! field of the summary for what is computed from them.

mod ascents;
mod calibration;
mod costs;
mod evidence;
mod gaps;
mod interface;
mod nesting;
mod pictures;
mod reliability;
mod sandwich;

pub(crate) use interface::{AnalysisInput, Block, Chapter, Section};

use gap_schema::Summary;

/// The topics, in the order of their tables and sentences.
pub(crate) static SECTIONS: [&dyn Section; 9] = [
    &gaps::GapsSection,
    &evidence::EvidenceSection,
    &pictures::PicturesSection,
    &nesting::NestingSection,
    &sandwich::SandwichesSection,
    &ascents::AscentsSection,
    &calibration::CalibrationsSection,
    &reliability::ReliabilitySection,
    &costs::CostsSection,
];

/// Returns the sections that a report of `summary` shows: all of them, unless no gaps were measured and some
/// sections have results that stand alone; then only those sections.
pub(crate) fn sections_to_show(summary: &Summary) -> Vec<&'static dyn Section> {
    let alone = SECTIONS
        .iter()
        .filter(|section| section.has_standalone_results(summary));
    let alone: Vec<&dyn Section> = alone.copied().collect();
    if summary.cells.is_empty() && !alone.is_empty() {
        alone
    } else {
        SECTIONS.to_vec()
    }
}
