//! The figures of a report, whatever they show; each is drawn alike as SVG and as PNG.

use super::canvas::{
    BackendRendering, Canvas, DrawError, DrawResult, PAPER_COLOUR, PNG_RENDERING, SVG_RENDERING,
    register_font,
};
use plotters::prelude::*;

/// A figure that can draw itself, alike on an SVG and on a bitmap.
pub(crate) trait Draw {
    /// The stem of the figure's file name.
    fn name(&self) -> &str;

    fn title(&self) -> &str;

    /// The text below the heading, which says what lines, bars and markers stand for.
    fn note(&self) -> &str;

    /// Returns width and height in pixels, with `scale` pixels for one unit of the SVG.
    fn size_in_pixels(&self, scale: f64) -> (u32, u32) {
        let pixels = |length: f64| (length * scale).ceil() as u32;
        let (width, height) = self.size();
        (pixels(width), pixels(height))
    }

    /// Returns width and height in units of the SVG.
    fn size(&self) -> (f64, f64);

    fn draw<DB: DrawingBackend>(&self, canvas: &Canvas<DB>) -> DrawResult<DB>;
}

/// A figure as the report handles it; every type that implements [`Draw`] is one.
pub(crate) trait Figure {
    /// The stem of the figure's file name.
    fn name(&self) -> &str;

    fn title(&self) -> &str;

    /// The text below the heading, which says what lines, bars and markers stand for.
    fn note(&self) -> &str;

    /// Returns the figure as an SVG document.
    fn to_svg(&self) -> Result<String, DrawError>;

    /// Returns the figure as the content of a PNG file.
    fn to_png(&self) -> Result<Vec<u8>, DrawError>;
}

impl<D: Draw> Figure for D {
    fn name(&self) -> &str {
        Draw::name(self)
    }

    fn title(&self) -> &str {
        Draw::title(self)
    }

    fn note(&self) -> &str {
        Draw::note(self)
    }

    fn to_svg(&self) -> Result<String, DrawError> {
        register_font();
        let mut text = String::new();
        let backend = SVGBackend::with_string(&mut text, self.size_in_pixels(SVG_RENDERING.scale));
        draw(backend, self, SVG_RENDERING)?;
        Ok(text)
    }

    fn to_png(&self) -> Result<Vec<u8>, DrawError> {
        register_font();
        let (width, height) = self.size_in_pixels(PNG_RENDERING.scale);
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        draw(
            BitMapBackend::with_buffer(&mut pixels, (width, height)),
            self,
            PNG_RENDERING,
        )?;
        encode_png(&pixels, width, height).map_err(|error| DrawError(error.to_string()))
    }
}

/// Returns an image of 8-bit red, green and blue, `[height, width, 3]`, as the content of a PNG file.
fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Default);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Converts drawings of one type to figures of any type.
pub(crate) fn as_boxed_figures<D: Draw + 'static>(drawings: Vec<D>) -> Vec<Box<dyn Figure>> {
    let drawings = drawings.into_iter();
    drawings
        .map(|drawing| Box::new(drawing) as Box<dyn Figure>)
        .collect()
}

fn draw<DB: DrawingBackend>(
    backend: DB,
    drawing: &impl Draw,
    medium: BackendRendering,
) -> Result<(), DrawError> {
    let canvas = Canvas {
        area: backend.into_drawing_area(),
        medium,
    };
    let filled = canvas.area.fill(&PAPER_COLOUR);
    filled
        .and_then(|()| drawing.draw(&canvas))
        .map_err(|error| DrawError(error.to_string()))
}
