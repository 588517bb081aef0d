//! Pictures of posteriors over two latent variables, beside their approximations `q*` and `q`.

mod figures;

use super::interface::{Block, Chapter, PagePlace, Section};
use crate::content::ReportContent;
use crate::figure::{Figure, as_boxed_figures};

pub(super) struct PicturesSection;

impl Section for PicturesSection {
    fn figures(&self, content: &ReportContent<'_>) -> Vec<Box<dyn Figure>> {
        as_boxed_figures(figures::posterior_figures(&content.rows.pictures))
    }

    fn chapters(&self, content: &ReportContent<'_>) -> Vec<Chapter> {
        let chapter = Chapter {
            place: PagePlace::Families,
            heading: "Posteriors",
            blocks: vec![Block::Figures("")],
        };
        let has_some = !content.rows.pictures.is_empty();
        has_some.then_some(chapter).into_iter().collect()
    }
}
