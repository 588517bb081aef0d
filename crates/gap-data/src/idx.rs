//! Reads IDX files of images, the format of MNIST: big-endian sizes, then one unsigned byte per pixel.
//!
//! Any well-formed file is accepted here; the catalog compares checksums.

use crate::error::DataError;
use flate2::read::MultiGzDecoder;
use gap_spec::input_file::{self, InputFileError};
use std::path::Path;

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
const HEADER_BYTES: usize = 16;

/// Grey images, all of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The number of images, `N`.
    pub n: usize,
    /// The height of an image, in pixels.
    pub height: usize,
    /// The width of an image, in pixels.
    pub width: usize,
    /// Grey levels from 0 to 255, image by image and row by row.
    pub pixels: Vec<u8>,
}

/// Reads the regular file `path`, and decompresses it if its name ends in `.gz`. No more is read or
/// decompressed than the published file needs, which has `published` bytes uncompressed.
///
/// # Errors
///
/// [`DataError::Unreadable`] if the file cannot be read, [`DataError::Gzip`] if it does not decompress,
/// [`DataError::TooLong`] if it is longer than the published file.
pub fn read_decompressed(path: &Path, published: u64) -> Result<Vec<u8>, DataError> {
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let too_long = || DataError::TooLong {
        path: path.to_owned(),
        published,
    };
    let most_stored = if is_packed {
        most_gzip_bytes(published)
    } else {
        published
    };
    let stored = input_file::read(path, most_stored).map_err(|source| match source {
        InputFileError::TooLong { .. } => too_long(),
        source => DataError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?;
    if !is_packed {
        return Ok(stored);
    }
    input_file::read_stream(MultiGzDecoder::new(stored.as_slice()), published).map_err(|source| {
        match source {
            InputFileError::TooLong { .. } => too_long(),
            source => DataError::Gzip {
                path: path.to_owned(),
                source,
            },
        }
    })
}

/// The size of the longest gzip file that holds `bytes` bytes: deflate stores what it cannot compress in blocks
/// with a header each, which add less than a thousandth, and gzip's own header has a name and a comment.
const fn most_gzip_bytes(bytes: u64) -> u64 {
    bytes + bytes / 1000 + 4096
}

/// Parses `bytes`, the uncompressed contents of the file `path`, into images. Errors name `path`.
///
/// # Errors
///
/// The first of these that applies: [`DataError::NotIdx`], [`DataError::Labels`],
/// [`DataError::TruncatedHeader`], [`DataError::Truncated`], [`DataError::TrailingBytes`].
pub fn parse_images(bytes: &[u8], path: &Path) -> Result<Images, DataError> {
    let cut_short = || DataError::TruncatedHeader {
        path: path.to_owned(),
        found: bytes.len() as u64,
    };
    let word = |at: usize| -> Result<u32, DataError> {
        let word = bytes.get(at..at + 4).ok_or_else(cut_short)?;
        Ok(word
            .iter()
            .fold(0, |value, &byte| value << 8 | u32::from(byte)))
    };
    match word(0)? {
        IMAGES_MAGIC => {}
        LABELS_MAGIC => {
            return Err(DataError::Labels {
                path: path.to_owned(),
                wanted: images_file_name(path),
            });
        }
        magic => {
            return Err(DataError::NotIdx {
                path: path.to_owned(),
                magic,
                wanted: images_file_name(path),
            });
        }
    }
    let [n, height, width] = [word(4)?, word(8)?, word(12)?];
    // The product of three 32-bit sizes can overflow 64 bits. It saturates then, and so exceeds the size of
    // any file.
    let promised = [height, width].iter().fold(u64::from(n), |product, &size| {
        product.saturating_mul(u64::from(size))
    });
    let pixels = &bytes[HEADER_BYTES..];
    let (path, found) = (path.to_owned(), pixels.len() as u64);
    match found.cmp(&promised) {
        std::cmp::Ordering::Less => Err(DataError::Truncated {
            path,
            promised,
            found,
        }),
        std::cmp::Ordering::Greater => Err(DataError::TrailingBytes {
            path,
            promised,
            found,
        }),
        std::cmp::Ordering::Equal => Ok(Images {
            n: n as usize,
            height: height as usize,
            width: width as usize,
            pixels: pixels.to_vec(),
        }),
    }
}

/// Returns the name of the file to use instead of `path`: the same file name without `.gz`, and with
/// `images-idx3` in place of `labels-idx1`.
fn images_file_name(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    name.trim_end_matches(".gz")
        .replace("labels-idx1", "images-idx3")
}
