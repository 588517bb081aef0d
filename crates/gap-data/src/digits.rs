//! The data set that ships with the repository: 1,797 handwritten digits of 8x8 pixels.
//!
//! `assets/README.md` states its origin and licence. Its labels are ignored.

use flate2::read::GzDecoder;
use std::io::Read;

/// The number of images.
pub(crate) const N_DIGIT_IMAGES: usize = 1797;
/// Height and width of an image, in pixels.
pub(crate) const IMAGE_SHAPE: [i64; 2] = [8, 8];
/// The highest grey level, which stands for white.
pub(crate) const WHITE_LEVEL: f64 = 16.0;

const N_PIXELS: usize = 64;

static COMPRESSED_CSV: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// Returns the uncompressed file, which has a line of 64 grey levels and a label for each image.
pub(crate) fn decompressed_csv() -> String {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED_CSV)
        .read_to_string(&mut text)
        .expect("the built-in digits are gzipped ASCII");
    text
}

/// Returns the `N_DIGIT_IMAGES * 64` grey levels, from 0 to 16, image by image and row by row.
pub(crate) fn grey_levels() -> Vec<u8> {
    let levels: Vec<u8> = decompressed_csv()
        .lines()
        .flat_map(|line| line.split(',').take(N_PIXELS))
        .map(|level| level.parse().expect("a built-in grey level is a number"))
        .collect();
    assert_eq!(
        levels.len(),
        N_DIGIT_IMAGES * N_PIXELS,
        "every built-in digit is whole"
    );
    levels
}
