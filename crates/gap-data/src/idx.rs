//! Reads IDX files of images, the format of MNIST: big-endian sizes, then one unsigned byte per pixel.
//!
//! Any well-formed file is accepted here; the catalog compares checksums.

use crate::error::DataError;
use flate2::read::MultiGzDecoder;
use std::fs;
use std::io::Read;
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

/// Reads the file `path`, and decompresses it if its name ends in `.gz`.
///
/// # Errors
///
/// [`DataError::Unreadable`] if the file cannot be read, [`DataError::Gzip`] if it does not decompress.
pub fn read_decompressed(path: &Path) -> Result<Vec<u8>, DataError> {
    let stored = fs::read(path).map_err(|source| DataError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(stored);
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(stored.as_slice())
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::Gzip {
            path: path.to_owned(),
            source,
        })?;
    Ok(bytes)
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
