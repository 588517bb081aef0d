//! Static binarization: grey levels become a new data set of zeros and ones, under a new name.
//!
//! Drawing pixels anew in every epoch (Salakhutdinov and Murray 2008) is deliberately not here: the
//! gap of a datapoint is a property of one fixed `x`.

use crate::dataset::Dataset;
use tch::Kind;

/// A new data set `name` of 0 and 1, 1 where an observation of `grey` on `[0, 1]` is at least one
/// half; ids and image shape are kept.
///
/// One half is level 8 of 16, and lies between levels 127 and 128 of 255.
pub fn binarize(grey: &Dataset, name: &str) -> Dataset {
    let x = grey.x().ge(0.5).to_kind(Kind::Float); // [N, X]
    Dataset::new(name, grey.ids().to_vec(), x, grey.image_shape())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn one_half_separates_the_levels_of_both_scales() {
        let levels = [
            0.0,
            7.0 / 16.0,
            8.0 / 16.0,
            127.0 / 255.0,
            128.0 / 255.0,
            1.0_f32,
        ];
        let grey = Dataset::new(
            "grey",
            vec![4],
            Tensor::from_slice(&levels).view([1, 6]),
            None,
        );
        let binary = binarize(&grey, "black-and-white");
        assert_eq!(binary.name(), "black-and-white");
        assert_eq!(binary.ids(), [4]);
        let values = Vec::<f32>::try_from(binary.x().reshape([-1])).unwrap();
        assert_eq!(values, [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]);
        assert_ne!(binary.digest(), grey.digest());
    }
}
