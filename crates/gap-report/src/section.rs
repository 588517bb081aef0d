//! The topics of a report, each in a folder of its own: how it is analysed, and what it contributes to
//! the page, to tables and to figures. All else loops over [`SECTIONS`].
//!
//! To add a topic, make a folder with what it needs of `analysis.rs` (from rows to its part of the
//! summary), `tables.rs`, `figures.rs` and `prose.rs`, put a `Section` in front of it that says where
//! these go, and name that in the list:
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
//! A new kind of rows has a type and a file in `gap-schema` (`results.rs`), and the summary a field for
//! what follows from them.

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

/// The topics, in the order of tables and sentences.
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

/// The sections that a report of `summary` shows: without gaps, those that stand alone, if some do.
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
