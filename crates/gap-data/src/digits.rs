//! The data set that ships with the repository: 1,797 handwritten digits of 8x8 pixels.
//!
//! See `assets/README.md` for where it comes from and its licence. Its labels are not read.

use flate2::read::GzDecoder;
use std::io::Read;

/// How many images there are.
pub(crate) const N_DIGIT_IMAGES: usize = 1797;
/// Height and width in pixels.
pub(crate) const IMAGE_SHAPE: [i64; 2] = [8, 8];
/// The highest grey level.
pub(crate) const WHITE_LEVEL: f64 = 16.0;

const N_PIXELS: usize = 64;

static COMPRESSED_CSV: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// The file, uncompressed: a line for each image, 64 grey levels and a label.
pub(crate) fn decompressed_csv() -> String {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED_CSV)
        .read_to_string(&mut text)
        .expect("the built-in digits are gzipped ASCII");
    text
}

/// Grey levels from 0 to 16, image by image and row by row: `N_DIGIT_IMAGES * 64` of them.
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
