//! Pictures of posteriors over two latent variables: the rows that a run writes, and its figures.

#![cfg(feature = "compute")]

mod experiment;

use experiment::{Bench, DIGITS, edited, refusal, succeeds};
use gap_schema::picture::{Pictured, PosteriorGridCellRow};
use gap_schema::rows_file;
use gap_spec::Family;
use std::collections::BTreeMap;

/// The small experiment with two latent dimensions, a variant for each of two families, and pictures of three
/// points.
fn small() -> String {
    let text = edited(DIGITS, "seeds = [0, 1]", "seeds = [0]");
    let text = edited(&text, "latent_dim = 4", "latent_dim = 2");
    format!(
        "{text}\n[pictures]\npoints = 3\ncells = 20\n\n\
         [variants.diagonal.family]\nkind = \"diagonal-gaussian\"\n\n\
         [variants.full.family]\nkind = \"full-gaussian\"\n"
    )
}

#[test]
fn pictures_hold_the_mass_of_what_they_show_and_every_point_has_its_figure() {
    let bench = Bench::with(&small());
    succeeds(&mut bench.run("out", &[]));
    let rows: Vec<PosteriorGridCellRow> =
        rows_file::read_csv_rows(&bench.path("out/pictures.csv")).unwrap();
    let mut masses: BTreeMap<(u64, Family, Pictured), f64> = BTreeMap::new();
    let mut means: BTreeMap<(u64, Family, Pictured), [f64; 2]> = BTreeMap::new();
    for row in &rows {
        let key = (row.datapoint, row.family, row.pictured);
        *masses.entry(key).or_default() += row.mass;
        let mean = means.entry(key).or_default();
        mean[0] += row.mass * row.z_1;
        mean[1] += row.mass * row.z_2;
        assert_eq!(row.encoder.is_some(), row.pictured == Pictured::Amortized);
        assert!((row.z_1 - row.middle_1).abs() < row.half_width);
    }
    assert_eq!(masses.len(), 3 * 2 * 3);
    for (key, mass) in &masses {
        assert!(*mass < 1.0 + 1e-6, "{key:?}: {mass}");
        if key.2 == Pictured::Posterior {
            // The half-width of the square is four standard deviations.
            assert!(*mass > 0.98, "{key:?}: {mass}");
            let row = rows.iter().find(|row| row.datapoint == key.0).unwrap();
            let [mean_1, mean_2] = means[key].map(|sum| sum / mass);
            let off = (mean_1 - row.middle_1).hypot(mean_2 - row.middle_2);
            assert!(off < 0.05 * row.half_width, "{key:?}: {off}");
            assert_eq!(
                *mass,
                masses[&(key.0, Family::FullGaussian, Pictured::Posterior)]
            );
        } else if key.2 == Pictured::FreeForm {
            assert!(*mass > 0.5, "{key:?}: {mass}");
            // Each axis is checked by itself, since exchanged axes would move the mean.
            let row = rows.iter().find(|row| row.datapoint == key.0).unwrap();
            for (sum, middle) in means[key].into_iter().zip([row.middle_1, row.middle_2]) {
                let off = (sum / mass - middle).abs();
                assert!(off < 0.3 * row.half_width, "{key:?}: {off}");
            }
        }
    }
    let points: Vec<u64> = masses.keys().map(|key| key.0).collect();
    for point in points {
        for extension in ["svg", "png"] {
            let name = format!("out/figures/posterior-seed-0-point-{point}.{extension}");
            assert!(bench.path(&name).is_file(), "{name}");
        }
        let svg = format!("out/figures/posterior-seed-0-point-{point}.svg");
        let svg = std::fs::read_to_string(bench.path(&svg)).unwrap();
        for text in ["p(z | x)", "q*", "diagonal", "full", "q, mlp-4"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}

#[test]
fn pictures_of_anything_but_two_variables_are_refused() {
    let bench = Bench::with(&small());
    let refused = |set: &str| refusal(&mut bench.run("out", &["--set", set]));
    let message = refused("model.latent_dim=3");
    assert!(
        message.contains("`pictures` are of two latent variables, and `model.latent_dim` is 3"),
        "{message}"
    );
    let message = refused("pictures.points=41");
    assert!(
        message.contains("`pictures.points` is 41, more than the 40 of `data.measure_test`"),
        "{message}"
    );
    let message = refused("pictures.cells=1");
    assert!(
        message.contains("`pictures.cells` is 1; use 2 to 200"),
        "{message}"
    );
}
