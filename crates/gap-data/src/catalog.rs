//! The data sets that can be loaded by name, with their files, checksums, licences and shapes.

use crate::binarize::binarize;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::{digits, idx};
use gap_torch::{SeedKey, uniform_permutation};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// A file that a data set is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// The file's standard name, without `.gz`.
    pub name: &'static str,
    /// The size of the published file's uncompressed bytes; a longer file is not read.
    pub bytes: u64,
    /// SHA-256 of the published file's uncompressed bytes, as hexadecimal digits.
    pub sha256: &'static str,
}

/// A data set that [`load`] can load, and its properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The name to pass to [`load`].
    pub name: &'static str,
    /// A description in a few words.
    pub title: &'static str,
    /// The number of training points.
    pub n_train: usize,
    /// The number of test points.
    pub n_test: usize,
    /// The number of values in an observation, `X`.
    pub observed_dim: i64,
    /// Height and width of an image, in pixels; `None` if observations are not images.
    pub image_shape: Option<[i64; 2]>,
    /// The licence.
    pub licence: &'static str,
    /// The authors and the publication.
    pub source: &'static str,
    /// The files that the data set is read from.
    pub files: &'static [DataFile],
    /// Whether the files are compiled into the program; otherwise they are read from `--data-dir`.
    pub built_in: bool,
    /// Whether the publication splits the data into a training and a test part; otherwise the split is random
    /// and depends on a seed.
    pub published_split: bool,
    /// Whether every value is 0 or 1; otherwise values are grey levels on `[0, 1]`.
    pub binary: bool,
    /// The number of levels that a value can have, equally spaced from 0 to 1.
    pub n_levels: i64,
    origin: BaseDataset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BaseDataset {
    Digits,
    Mnist,
}

const DIGITS_ENTRY: CatalogEntry = CatalogEntry {
    name: "digits",
    title: "UCI optical digits, grey",
    n_train: digits::N_DIGIT_IMAGES - 500,
    n_test: 500,
    observed_dim: 64,
    image_shape: Some(digits::IMAGE_SHAPE),
    licence: "CC BY 4.0",
    source: "E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI; its 1,797 test digits as distributed with scikit-learn",
    files: &[DataFile {
        name: "digits.csv",
        bytes: 264_712,
        sha256: "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
    }],
    built_in: true,
    published_split: false,
    binary: false,
    n_levels: 17,
    origin: BaseDataset::Digits,
};

const MNIST_ENTRY: CatalogEntry = CatalogEntry {
    name: "mnist",
    title: "MNIST handwritten digits, grey",
    n_train: 60_000,
    n_test: 10_000,
    observed_dim: 784,
    image_shape: Some([28, 28]),
    licence: "CC BY-SA 3.0",
    source: "Y. LeCun, C. Cortes, C. Burges (1998), The MNIST Database of Handwritten Digits",
    files: &[
        DataFile {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        DataFile {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
    ],
    built_in: false,
    published_split: true,
    binary: false,
    n_levels: 256,
    origin: BaseDataset::Mnist,
};

static CATALOG: [CatalogEntry; 4] = [
    DIGITS_ENTRY,
    CatalogEntry {
        name: "digits-binarized",
        title: "UCI optical digits, 1 where grey is at least 8 of 16",
        binary: true,
        n_levels: 2,
        ..DIGITS_ENTRY
    },
    MNIST_ENTRY,
    CatalogEntry {
        name: "mnist-binarized",
        title: "MNIST handwritten digits, 1 where grey is at least 128 of 255",
        binary: true,
        n_levels: 2,
        ..MNIST_ENTRY
    },
];

/// All data sets that can be loaded.
pub fn catalog() -> &'static [CatalogEntry] {
    &CATALOG
}

/// Returns the catalog's entry for the data set `name`.
///
/// # Errors
///
/// [`DataError::UnknownName`] if there is none; it lists the names that exist.
pub fn entry(name: &str) -> Result<&'static CatalogEntry, DataError> {
    let found = CATALOG.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| DataError::UnknownName {
        name: name.to_owned(),
        known: CATALOG.map(|entry| format!("`{}`", entry.name)).join(", "),
    })
}

/// Options of [`load`]: where the files are, and which part of the data to take.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// The folder with the files of data sets that are not built in.
    pub data_dir: Option<&'a Path>,
    /// The seed of the random split of a data set without a published split.
    pub split_seed: u32,
    /// The number of training points to keep, which are the first ones. Default: all.
    pub train_points: Option<u32>,
}

/// A data set, split into its two parts.
#[derive(Debug)]
pub struct Splits {
    /// The points that models and encoders are fitted to.
    pub train: Dataset,
    /// The points that are held out from fitting.
    pub test: Dataset,
}

/// Loads the data set `name`, with values on `[0, 1]`.
///
/// A datapoint's id is the number of its row, counted from 0 through the published files, training file first.
/// Without a published split the test part is drawn uniformly at random; the grey and the binarized data set
/// are split alike.
///
/// # Errors
///
/// [`DataError::UnknownName`] or [`DataError::TooManyTrainPoints`]. If the data set is not built in, its files
/// can cause every other variant of [`DataError`]; if several apply to a file, the one declared first is
/// returned.
pub fn load(name: &str, options: &LoadOptions<'_>) -> Result<Splits, DataError> {
    let entry = entry(name)?;
    let n_train = match options.train_points {
        None => entry.n_train,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|&n| n <= entry.n_train)
            .ok_or(DataError::TooManyTrainPoints {
                name: entry.name,
                asked,
                available: entry.n_train,
            })?,
    };
    let grey = match entry.origin {
        BaseDataset::Digits => split_digits(entry, options.split_seed, n_train),
        BaseDataset::Mnist => read_mnist(entry, options.data_dir, n_train)?,
    };
    if !entry.binary {
        return Ok(grey);
    }
    Ok(Splits {
        train: binarize(&grey.train, entry.name),
        test: binarize(&grey.test, entry.name),
    })
}

fn split_digits(entry: &CatalogEntry, split_seed: u32, n_train: usize) -> Splits {
    let ids = (0..digits::N_DIGIT_IMAGES as u64).collect();
    let all = grey_dataset(entry, ids, &digits::grey_levels(), digits::WHITE_LEVEL);
    let key = SeedKey::root(u64::from(split_seed)).for_role("digits-split");
    let order = uniform_permutation(key, all.len());
    Splits {
        train: all.select(&order[..n_train]),
        test: all.select(&order[entry.n_train..]),
    }
}

fn read_mnist(
    entry: &'static CatalogEntry,
    data_dir: Option<&Path>,
    n_train: usize,
) -> Result<Splits, DataError> {
    let part = |file: &DataFile, first_id: usize, n: usize| {
        let (path, bytes) = locate_and_read_file(entry, file, data_dir)?;
        let images = idx::parse_images(&bytes, &path)?;
        let found = sha256_hex(&bytes);
        if found != file.sha256 {
            return Err(DataError::WrongChecksum {
                path,
                expected: file.sha256,
                found,
            });
        }
        let ids = (first_id as u64..(first_id + n) as u64).collect();
        let kept = &images.pixels[..n * images.height * images.width];
        Ok(grey_dataset(entry, ids, kept, 255.0))
    };
    Ok(Splits {
        train: part(&entry.files[0], 0, n_train)?,
        test: part(&entry.files[1], entry.n_train, entry.n_test)?,
    })
}

/// Makes a data set of grey levels from 0 to `white`, scaled to `[0, 1]`.
fn grey_dataset(entry: &CatalogEntry, ids: Vec<u64>, levels: &[u8], white: f64) -> Dataset {
    let x = Tensor::from_slice(levels)
        .view([ids.len() as i64, entry.observed_dim]) // [N, X]
        .to_kind(Kind::Float)
        / white;
    Dataset::new(entry.name, ids, x, entry.image_shape)
}

/// The result of [`check`] for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumResult {
    /// The path of the file; for a built-in file, its name.
    pub path: PathBuf,
    /// SHA-256 of the file's uncompressed bytes, as hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the published file's uncompressed bytes.
    pub expected_sha256: &'static str,
    /// Whether the two digests are equal.
    pub ok: bool,
}

/// Compares the checksums of the files of the data set `name` with those of the published files. A difference
/// is reported in the result; it is not an error.
///
/// # Errors
///
/// [`DataError::UnknownName`], or an error that says that a file cannot be found, read or decompressed.
pub fn check(name: &str, data_dir: Option<&Path>) -> Result<Vec<ChecksumResult>, DataError> {
    let entry = entry(name)?;
    let check_file = |file: &DataFile| {
        let (path, bytes) = locate_and_read_file(entry, file, data_dir)?;
        let found = sha256_hex(&bytes);
        Ok(ChecksumResult {
            path,
            ok: found == file.sha256,
            sha256: found,
            expected_sha256: file.sha256,
        })
    };
    entry.files.iter().map(check_file).collect()
}

/// Finds `file`, and returns its path and its uncompressed bytes.
fn locate_and_read_file(
    entry: &CatalogEntry,
    file: &DataFile,
    data_dir: Option<&Path>,
) -> Result<(PathBuf, Vec<u8>), DataError> {
    if entry.built_in {
        return Ok((
            PathBuf::from(file.name),
            digits::decompressed_csv().into_bytes(),
        ));
    }
    let data_dir = data_dir.ok_or(DataError::NoDataDir {
        name: entry.name,
        file: file.name,
    })?;
    let folders = [data_dir.to_owned(), data_dir.join("mnist")];
    let found = folders
        .iter()
        .flat_map(|folder| {
            [
                folder.join(file.name),
                folder.join(format!("{}.gz", file.name)),
            ]
        })
        .find(|path| path.exists());
    let path = found.ok_or_else(|| DataError::Missing {
        file: file.name,
        searched: folders
            .map(|folder| folder.display().to_string())
            .join(" or "),
    })?;
    let bytes = idx::read_decompressed(&path, file.bytes)?;
    Ok((path, bytes))
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
