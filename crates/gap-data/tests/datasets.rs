//! Tests that names, ids and rows of data sets stay together in splits, selections and batches.
#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, not in what they call"
)]

use flate2::read::GzDecoder;
use gap_data::{DataError, Dataset, LoadOptions, Splits, catalog, check, entry, load};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

fn values(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.reshape([-1])).unwrap()
}

/// The rows of both parts of a data set, by id; panics if an id occurs twice.
fn rows(parts: [&Dataset; 2]) -> BTreeMap<u64, Vec<f32>> {
    let mut rows = BTreeMap::new();
    for part in parts {
        let width = part.observed_dim() as usize;
        for (&id, row) in part.ids().iter().zip(values(part.x()).chunks(width)) {
            assert!(rows.insert(id, row.to_vec()).is_none(), "id {id} twice");
        }
    }
    rows
}

fn with_seed(name: &str, split_seed: u32) -> Splits {
    let options = LoadOptions {
        split_seed,
        ..LoadOptions::default()
    };
    load(name, &options).unwrap()
}

/// The built-in file, read without the code under test.
fn digits_text() -> String {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/digits.csv.gz"));
    let mut text = String::new();
    GzDecoder::new(file.unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The lines of the built-in file as numbers.
fn digits_csv() -> Vec<Vec<u32>> {
    let line = |line: &str| line.split(',').map(|v| v.parse().unwrap()).collect();
    digits_text().lines().map(line).collect()
}

#[test]
fn the_catalog_has_the_size_of_the_built_in_file() {
    let file = gap_data::entry("digits").unwrap().files[0];
    assert_eq!(file.bytes, digits_text().len() as u64);
}

#[test]
fn every_digit_is_in_one_part_with_the_pixels_of_its_row() {
    let splits = with_seed("digits", 0);
    assert_eq!((splits.train.len(), splits.test.len()), (1297, 500));
    let rows = rows([&splits.train, &splits.test]);
    let csv = digits_csv();
    assert_eq!(csv.len(), 1797);
    assert!(rows.keys().copied().eq(0..1797));
    for (id, line) in csv.iter().enumerate() {
        assert_eq!(line.len(), 65, "64 pixels and a label");
        let grey: Vec<f32> = line[..64].iter().map(|&v| v as f32 / 16.0).collect();
        assert_eq!(rows[&(id as u64)], grey, "row {id}");
    }
    // The beginning of the first image, as in scikit-learn's documentation.
    let first: Vec<f32> = rows[&0][..8].iter().map(|v| v * 16.0).collect();
    assert_eq!(first, [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
}

#[test]
fn binarized_digits_are_one_where_grey_is_at_least_eight() {
    let splits = with_seed("digits-binarized", 0);
    let rows = rows([&splits.train, &splits.test]);
    let mut n_ones = 0;
    for (id, line) in digits_csv().iter().enumerate() {
        let expected: Vec<f32> = line[..64].iter().map(|&v| f32::from(v >= 8)).collect();
        assert_eq!(rows[&(id as u64)], expected, "row {id}");
        n_ones += line[..64].iter().filter(|&&v| v >= 8).count();
    }
    assert_eq!(n_ones, 37_151);
    assert_eq!(splits.train.name(), "digits-binarized");
    assert_eq!(splits.test.image_shape(), Some([8, 8]));
}

#[test]
fn a_split_depends_on_the_seed_and_not_on_the_binarization() {
    let base = with_seed("digits", 3);
    let binarized = with_seed("digits-binarized", 3);
    assert_eq!(base.train.ids(), with_seed("digits", 3).train.ids());
    assert_eq!(base.train.ids(), binarized.train.ids());
    assert_eq!(base.test.ids(), binarized.test.ids());
    assert_ne!(base.train.digest(), binarized.train.digest());

    let other = with_seed("digits", 4);
    let common = other
        .test
        .ids()
        .iter()
        .filter(|id| base.test.ids().contains(id))
        .count();
    // The number of common ids is hypergeometric, with mean 139 and standard deviation 8.5.
    assert!((100..180).contains(&common), "{common}");
}

#[test]
fn fewer_training_points_are_the_first_of_them_and_leave_the_test_part_alone() {
    let all = with_seed("digits", 0);
    let options = LoadOptions {
        train_points: Some(1000),
        ..LoadOptions::default()
    };
    let fewer = load("digits", &options).unwrap();
    assert_eq!(fewer.train.ids(), &all.train.ids()[..1000]);
    assert_eq!(fewer.train.digest(), all.train.first(1000).digest());
    assert_eq!(fewer.test.digest(), all.test.digest());
}

#[test]
fn more_training_points_than_there_are_is_an_error_that_names_both_numbers_and_the_key() {
    let options = LoadOptions {
        train_points: Some(1298),
        ..LoadOptions::default()
    };
    let error = load("digits-binarized", &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "data.train_points is 1298 but `digits-binarized` has 1297 training points; set `data.train_points` to at most 1297"
    );
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = load("minst", &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::UnknownName { .. }));
    assert_eq!(
        error.to_string(),
        "unknown data set `minst`; use one of `digits`, `digits-binarized`, `mnist`, `mnist-binarized`"
    );
}

#[test]
fn the_catalog_agrees_with_what_is_loaded() {
    for listed in catalog().iter().filter(|listed| listed.built_in) {
        assert_eq!(entry(listed.name).unwrap(), listed);
        let splits = with_seed(listed.name, 0);
        for (part, n) in [
            (&splits.train, listed.n_train),
            (&splits.test, listed.n_test),
        ] {
            assert_eq!((part.name(), part.len()), (listed.name, n));
            assert_eq!(part.observed_dim(), listed.observed_dim);
            assert_eq!(part.image_shape(), listed.image_shape);
            let values = values(part.x());
            assert!(values.iter().all(|v| (0.0..=1.0).contains(v)));
            assert_eq!(values.iter().all(|&v| v == 0.0 || v == 1.0), listed.binary);
        }
        let checked = check(listed.name, None).unwrap();
        assert_eq!(checked.len(), 1);
        assert!(checked[0].ok, "{checked:?}");
    }
}

/// The folder with the published MNIST files, if this machine has it.
fn mnist_dir() -> Option<PathBuf> {
    let given = std::env::var_os("AMORTGAP_MNIST_DIR").map(PathBuf::from);
    let dir = given.unwrap_or_else(|| {
        PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/data/mnist"
        ))
    });
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!(
        "skipped: no MNIST in {} (set AMORTGAP_MNIST_DIR)",
        dir.display()
    );
    None
}

#[test]
fn the_published_mnist_loads_with_its_counts_ids_and_pixels() {
    let Some(dir) = mnist_dir() else { return };
    let options = LoadOptions {
        data_dir: Some(&dir),
        ..LoadOptions::default()
    };
    let grey = load("mnist", &options).unwrap();
    let binary = load("mnist-binarized", &options).unwrap();
    for (splits, name) in [(&grey, "mnist"), (&binary, "mnist-binarized")] {
        assert_eq!((splits.train.name(), splits.test.name()), (name, name));
        assert!(splits.train.ids().iter().copied().eq(0..60_000));
        assert!(splits.test.ids().iter().copied().eq(60_000..70_000));
        assert_eq!(splits.train.x().size(), [60_000, 784]);
        assert_eq!(splits.test.x().size(), [10_000, 784]);
        assert_eq!(splits.test.image_shape(), Some([28, 28]));
    }
    // The published mean grey level of the training images.
    let mean = grey.train.x().mean(Kind::Double).double_value(&[]);
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
    for (grey, binary) in [(&grey.train, &binary.train), (&grey.test, &binary.test)] {
        let levels = (grey.x() * 255.0).round(); // [N, X]
        let expected = levels.ge(128.0).to_kind(Kind::Float);
        assert_eq!(binary.x(), &expected);
    }

    let seeded = LoadOptions {
        split_seed: 1,
        train_points: Some(100),
        ..options
    };
    let few = load("mnist", &seeded).unwrap();
    assert_eq!(few.train.digest(), grey.train.first(100).digest());
    assert_eq!(few.test.digest(), grey.test.digest());

    let checked = check("mnist", Some(&dir)).unwrap();
    assert_eq!(checked.len(), 2);
    assert!(checked.iter().all(|file| file.ok), "{checked:?}");
}

/// A data set whose rows can be told apart: row `i` is `[i, -i]` and has the id `10 i`.
fn numbered(n: usize) -> Dataset {
    let x: Vec<f32> = (0..n).flat_map(|i| [i as f32, -(i as f32)]).collect();
    let ids = (0..n as u64).map(|i| 10 * i).collect();
    let x = Tensor::from_slice(&x).view([n as i64, 2]);
    Dataset::new("numbered", ids, x, None)
}

proptest! {
    #[test]
    fn batches_give_every_row_once_in_order(n in 0_usize..40, batch_size in 1_usize..50) {
        let data = numbered(n);
        let (mut ids, mut x) = (Vec::new(), Vec::new());
        for batch in data.batches(batch_size, Device::Cpu) {
            prop_assert!(batch.len() <= batch_size && !batch.is_empty());
            ids.extend_from_slice(batch.ids());
            x.extend(values(batch.x()));
        }
        prop_assert_eq!(ids.as_slice(), data.ids());
        prop_assert_eq!(x, values(data.x()));
    }

    #[test]
    fn a_selection_keeps_ids_and_rows_together(
        positions in proptest::collection::vec(0_usize..20, 0..40),
    ) {
        let data = numbered(20);
        let expected_ids: Vec<u64> = positions.iter().map(|&i| 10 * i as u64).collect();
        let expected: Vec<f32> = positions.iter().flat_map(|&i| [i as f32, -(i as f32)]).collect();

        let selected = data.select(&positions);
        prop_assert_eq!(selected.name(), data.name());
        prop_assert_eq!(selected.ids(), expected_ids.as_slice());
        prop_assert_eq!(&values(selected.x()), &expected);

        let batch = data.batch_at(&positions, Device::Cpu);
        prop_assert_eq!(batch.ids(), expected_ids.as_slice());
        prop_assert_eq!(values(batch.x()), expected);
    }
}

#[test]
fn the_digest_tells_ids_values_and_shapes_apart_and_nothing_else() {
    let data = numbered(6);
    assert_eq!(data.digest(), numbered(6).digest());
    assert_eq!(data.digest(), data.first(6).digest());
    let other = |ids: Vec<u64>, x: Tensor| Dataset::new("numbered", ids, x, None);
    let (ids, x) = (data.ids().to_vec(), data.x());
    let renumbered = other((0..6).collect(), x.copy());
    let changed = other(ids, x + 1e-6);
    let reversed = data.select(&[5, 4, 3, 2, 1, 0]);
    for different in [&renumbered, &changed, &reversed, &data.first(5)] {
        assert_ne!(data.digest(), different.digest());
    }
}

#[test]
fn a_column_major_array_is_stored_as_if_it_were_row_major() {
    let data = numbered(5);
    let transposed = data.x().tr().contiguous().tr();
    let again = Dataset::new("numbered", data.ids().to_vec(), transposed, None);
    assert_eq!(again.digest(), data.digest());
}

#[test]
#[should_panic(expected = "the first 7 of `numbered`, which has 6 rows")]
fn more_first_rows_than_there_are_is_a_mistake_of_ours() {
    numbered(6).first(7);
}
