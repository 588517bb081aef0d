//! Static binarization: turns a data set of grey levels into one of zeros and ones, with a new name.
//!
//! Dynamic binarization, which draws new pixels in every epoch (Salakhutdinov and Murray 2008), is deliberately
//! left out: a datapoint's gap is defined for one fixed `x`.

use crate::dataset::Dataset;
use tch::Kind;

/// Returns a data set called `name` that has 1 where `grey`, with values on `[0, 1]`, is at least one half, and
/// 0 elsewhere. Ids and image shape are kept.
///
/// One half is level 8 on a scale from 0 to 16, and lies between levels 127 and 128 on one from 0 to 255.
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
