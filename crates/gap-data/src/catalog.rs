//! What can be asked for by name: files, checksums, licence and shape of each data set.

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
    /// Its standard name, without `.gz`.
    pub name: &'static str,
    /// SHA-256 of its uncompressed bytes, as hexadecimal digits.
    pub sha256: &'static str,
}

/// A data set that [`load`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// The name to ask for.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Training points.
    pub n_train: usize,
    /// Test points.
    pub n_test: usize,
    /// Numbers in an observation, `X`.
    pub observed_dim: i64,
    /// Height and width in pixels.
    pub image_shape: Option<[i64; 2]>,
    /// Its licence.
    pub licence: &'static str,
    /// Who made it, and where it was published.
    pub source: &'static str,
    /// The files that it is read from.
    pub files: &'static [DataFile],
    /// Whether those files are part of the program; otherwise they are read from `--data-dir`.
    pub built_in: bool,
    /// Whether it was published in a training and a test part; otherwise a seed chooses them.
    pub published_split: bool,
    /// Whether every number is 0 or 1; otherwise numbers are grey levels on `[0, 1]`.
    pub binary: bool,
    /// Equally spaced levels from 0 to 1 that numbers lie on.
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
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        DataFile {
            name: "t10k-images-idx3-ubyte",
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

/// Every data set that is known.
pub fn catalog() -> &'static [CatalogEntry] {
    &CATALOG
}

/// The data set of that name.
///
/// # Errors
///
/// [`DataError::UnknownName`], with the names that are known.
pub fn entry(name: &str) -> Result<&'static CatalogEntry, DataError> {
    let found = CATALOG.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| DataError::UnknownName {
        name: name.to_owned(),
        known: CATALOG.map(|entry| format!("`{}`", entry.name)).join(", "),
    })
}

/// Where to look, and which part to take.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// The folder of files that are not built in.
    pub data_dir: Option<&'a Path>,
    /// Which random split, for data without a published one.
    pub split_seed: u32,
    /// Training points to keep, from the first on. Default: all.
    pub train_points: Option<u32>,
}

/// The two parts of a data set.
#[derive(Debug)]
pub struct Splits {
    /// What models and encoders are fitted to.
    pub train: Dataset,
    /// What they have not seen.
    pub test: Dataset,
}

/// The data set `name`, with values on `[0, 1]`.
///
/// An id is the row's number in the published files, training file first. Without a published split
/// the test part is drawn uniformly, and equally for the grey and the binarized data set.
///
/// # Errors
///
/// [`DataError::UnknownName`], [`DataError::TooManyTrainPoints`], and for data that is not built in
/// one of the others, in the order in which they are declared: the first that holds.
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

/// Levels from 0 to `white` as numbers on `[0, 1]`.
fn grey_dataset(entry: &CatalogEntry, ids: Vec<u64>, levels: &[u8], white: f64) -> Dataset {
    let x = Tensor::from_slice(levels)
        .view([ids.len() as i64, entry.observed_dim]) // [N, X]
        .to_kind(Kind::Float)
        / white;
    Dataset::new(entry.name, ids, x, entry.image_shape)
}

/// What [`check`] found out about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumResult {
    /// The file, or the name of a built-in one.
    pub path: PathBuf,
    /// SHA-256 of its uncompressed bytes, as hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the published ones.
    pub expected_sha256: &'static str,
    /// Whether they agree.
    pub ok: bool,
}

/// Compares the files of the data set `name` with the published ones; a file of other bytes is a
/// result, not an error.
///
/// # Errors
///
/// [`DataError::UnknownName`], or that a file cannot be found, read or decompressed.
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

/// Where `file` is, and its uncompressed bytes.
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
    let bytes = idx::read_decompressed(&path)?;
    Ok((path, bytes))
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
