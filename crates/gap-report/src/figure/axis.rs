//! The scales of the axes and their ticks.

/// The horizontal axis of a panel.
pub(crate) enum XAxis {
    /// Categories, numbered from 0; each has a label of one or more lines.
    Categories(Vec<Vec<String>>),
    /// A logarithmic [`Scale`].
    Log(Scale),
}

impl XAxis {
    /// Returns the position of `x` between 0 (left) and 1 (right); `x` is the number of a category, or a value.
    pub(crate) fn fraction_along_axis(&self, x: f64) -> f64 {
        match self {
            Self::Categories(categories) => (x + 0.5) / categories.len() as f64,
            Self::Log(scale) => scale.fraction_along_axis(x),
        }
    }
}

/// The largest absolute value at the end of a linear scale. The length of a scale must be finite, so that larger
/// values, which no sound result has, are put at the end.
const MAX_LINEAR_END: f64 = 0.2 * f64::MAX;

/// The decades that numbers of 64 bits have.
const DECADES: std::ops::RangeInclusive<i32> = f64::MIN_10_EXP..=f64::MAX_10_EXP;

/// The most decades, approximately, between the linear part of a [`Scale::Signed`] and its largest value.
const MAX_SIGNED_DECADES: i32 = 5;

/// A map from values to positions between 0 (bottom or left) and 1 (top or right).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear {
        low: f64,
        high: f64,
    },
    /// The ends are decimal logarithms of values.
    Log {
        low: f64,
        high: f64,
    },
    /// Approximately linear between `−linear` and `linear`, and logarithmic in the absolute value beyond. The
    /// ends are inverse hyperbolic sines of values divided by `linear`, which is a power of ten.
    Signed {
        linear: f64,
        low: f64,
        high: f64,
    },
}

impl Scale {
    /// Returns a scale that shows all `points`, each of which is a value with the ends of its error bar.
    ///
    /// It is logarithmic if all values are positive and span more than a factor of 10; a linear scale includes
    /// zero. All values are inside, but error bars may extend below the bottom of a logarithmic scale.
    pub(crate) fn covering(points: impl Iterator<Item = (f64, [f64; 2])> + Clone) -> Self {
        let values = || points.clone().map(|(value, _)| value);
        let bars = points.clone().map(|(value, [low, high])| {
            let is_finite = low.is_finite() && high.is_finite();
            if is_finite {
                (low, high)
            } else {
                (value, value)
            }
        });
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(f64::NEG_INFINITY, f64::max);
        let top = bars
            .clone()
            .map(|(_, high)| high)
            .fold(f64::NEG_INFINITY, f64::max);
        let bottom = bars.map(|(low, _)| low).fold(f64::INFINITY, f64::min);
        if least > 0.0 && most > 10.0 * least {
            Self::logarithmic([bottom.max(0.5 * least), top].into_iter())
        } else {
            let low = bottom.clamp(-MAX_LINEAR_END, 0.0);
            let high = top.clamp(0.0, MAX_LINEAR_END);
            let margin = if high > low { 0.05 * (high - low) } else { 1.0 };
            Self::Linear {
                low: if low < 0.0 { low - margin } else { 0.0 },
                high: if high > 0.0 || low == 0.0 {
                    high + margin
                } else {
                    0.0
                },
            }
        }
    }

    /// Returns a logarithmic scale that shows all `values`, which must be positive.
    pub(crate) fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let low = low.max(f64::MIN_POSITIVE).log10();
        let high = values.fold(f64::MIN_POSITIVE, f64::max).log10();
        let margin = if high > low { 0.04 * (high - low) } else { 0.5 };
        Self::Log {
            low: low - margin,
            high: high + margin,
        }
    }

    /// Returns a scale for `points` of either sign. It includes zero, so that it shows which error bars span
    /// zero.
    ///
    /// Its linear part extends from zero about as far as the smallest error, below which no detail is known.
    pub(crate) fn signed(points: impl Iterator<Item = (f64, [f64; 2])> + Clone) -> Self {
        let ends = points
            .clone()
            .flat_map(|(value, bar)| [value, bar[0], bar[1]]);
        let ends = ends.filter(|end| end.is_finite());
        let largest = ends.clone().map(f64::abs).fold(0.0, f64::max);
        let errors = points.map(|(_, [low, high])| 0.5 * (high - low));
        let sizes = errors.filter(|error| *error > 0.0 && error.is_finite());
        let smallest = sizes.fold(f64::INFINITY, f64::min);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let fewest = largest * 10f64.powi(-MAX_SIGNED_DECADES);
        let linear = smallest.clamp(fewest, largest).log10().floor();
        let linear = 10f64.powf(linear).max(f64::MIN_POSITIVE);
        let place = |end: f64| (end / linear).asinh();
        let low = ends.clone().map(place).fold(0.0, f64::min);
        let high = ends.map(place).fold(0.0, f64::max);
        let margin = if high > low { 0.05 * (high - low) } else { 1.0 };
        Self::Signed {
            linear,
            low: low - margin,
            high: high + margin,
        }
    }

    /// Returns the scale, extended where needed so that it includes `value`, which must be positive on a
    /// logarithmic one.
    pub(crate) fn extended_to_include(self, value: f64) -> Self {
        match self {
            Self::Linear { low, high } => Self::Linear {
                low: low.min(value).max(-MAX_LINEAR_END),
                high: high.max(value).min(MAX_LINEAR_END),
            },
            Self::Log { low, high } => {
                let margin = 0.04 * (high - low);
                Self::Log {
                    low: low.min(value.log10() - margin),
                    high: high.max(value.log10() + margin),
                }
            }
            Self::Signed { linear, low, high } => Self::Signed {
                linear,
                low: low.min((value / linear).asinh()),
                high: high.max((value / linear).asinh()),
            },
        }
    }

    /// Returns the position of `value`; a value outside the scale is put at the nearer end.
    pub(crate) fn fraction_along_axis(self, value: f64) -> f64 {
        let (position, low, high) = match self {
            Self::Linear { low, high } => (value, low, high),
            Self::Log { low, high } if value > 0.0 => (value.log10(), low, high),
            Self::Log { .. } => return 0.0,
            Self::Signed { linear, low, high } => ((value / linear).asinh(), low, high),
        };
        ((position - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Returns the values to mark, in increasing order, with their labels.
    pub(crate) fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { low, high } => linear_ticks(low, high),
            Self::Log { low, high } if high - low > 4.0 => log_ticks(low, high, &[1]),
            Self::Log { low, high } => log_ticks(low, high, &[1, 2, 5]),
            Self::Signed { linear, low, high } => signed_ticks(linear, low, high),
        }
    }

    /// Returns [`Scale::ticks`], but on a logarithmic scale only those at powers of ten.
    pub(crate) fn decade_ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { .. } | Self::Signed { .. } => self.ticks(),
            Self::Log { low, high } => log_ticks(low, high, &[1]),
        }
    }
}

fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 8.0;
    let decade = rough.log10().floor();
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter();
    let step = factor
        .map(|factor| factor * 10f64.powf(decade))
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(rough);
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|i| {
            let value = i as f64 * step;
            (value, format!("{value:.decimals$}"))
        })
        .collect()
}

/// Returns ticks at zero and at powers of ten of either sign, as many as fit.
fn signed_ticks(linear: f64, low: f64, high: f64) -> Vec<(f64, String)> {
    let first = linear.log10().round() as i32;
    // The margin at the end may be beyond the largest number, whose logarithm is then infinite.
    let last = (linear * low.abs().max(high).sinh()).log10().floor() as i32;
    let last = last.min(*DECADES.end());
    let decades = (high - low) / f64::ln(10.0);
    let stride = ((decades / 8.0).ceil() as usize).max(1);
    // The first power of ten is closer to zero than to the next power, so it is left out of a long scale.
    let first = if decades > 6.0 { first + 1 } else { first };
    let powers = (first..=last).step_by(stride).map(decade_label);
    let mut ticks: Vec<(f64, String)> = vec![(0.0, "0".to_owned())];
    for (value, label) in powers {
        ticks.push((-value, format!("−{label}")));
        ticks.push((value, label));
    }
    ticks.retain(|(value, _)| (low..=high).contains(&(value / linear).asinh()));
    ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
    ticks
}

/// Returns a power of ten and its label.
fn decade_label(decade: i32) -> (f64, String) {
    let value = power_of_ten(1, decade);
    (value, power_label(value, 1, decade))
}

/// Returns the `f64` nearest to `mantissa · 10^decade`; computing it by powers could be wrong in the last
/// digit.
fn power_of_ten(mantissa: u8, decade: i32) -> f64 {
    let text = format!("{mantissa}e{decade}");
    text.parse().expect("a number in scientific notation")
}

fn power_label(value: f64, mantissa: u8, decade: i32) -> String {
    if (-5..6).contains(&decade) {
        value.to_string()
    } else {
        format!("{mantissa}e{decade}")
    }
}

fn log_ticks(low: f64, high: f64, mantissas: &[u8]) -> Vec<(f64, String)> {
    let first = (low.floor() as i32).max(*DECADES.start());
    let last = (high.ceil() as i32).min(*DECADES.end());
    let decades = first..=last;
    decades
        .flat_map(|decade| mantissas.iter().map(move |mantissa| (*mantissa, decade)))
        .filter_map(|(mantissa, decade)| {
            let value = power_of_ten(mantissa, decade);
            let inside = (low..=high).contains(&value.log10());
            inside.then(|| (value, power_label(value, mantissa, decade)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scale of values that each have a standard error.
    fn covering(points: &[(f64, f64)]) -> Scale {
        let bars = points.iter().map(|(v, e)| (*v, [v - e, v + e]));
        Scale::covering(bars)
    }

    fn labels(points: &[(f64, f64)]) -> Vec<String> {
        let ticks = covering(points).ticks();
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn a_negative_value_makes_the_scale_linear_and_stays_inside() {
        let points = [(-0.2, 0.05), (3.0, 0.1)];
        let scale = covering(&points);
        assert!(matches!(scale, Scale::Linear { .. }), "{scale:?}");
        assert!(
            scale.fraction_along_axis(-0.25) > 0.0,
            "the bar's end is inside"
        );
        let expected = ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"];
        assert_eq!(labels(&points), expected);
    }

    #[test]
    fn a_zero_makes_the_scale_linear() {
        let scale = covering(&[(0.0, 0.0), (3.0, 0.1)]);
        assert!(matches!(scale, Scale::Linear { low: 0.0, .. }), "{scale:?}");
    }

    #[test]
    fn a_wide_positive_range_is_logarithmic_and_labels_have_no_trailing_zeros() {
        let points = [(0.03, 0.05), (12.0, 1.0)];
        assert_eq!(
            labels(&points),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10"]
        );
        let scale = covering(&points);
        assert!(scale.fraction_along_axis(0.03) > 0.0 && scale.fraction_along_axis(13.0) < 1.0);
        assert_eq!(
            scale.fraction_along_axis(-1.0),
            0.0,
            "a bar that passes zero ends at the bottom"
        );
    }

    /// The signed scale of values that each have a standard error.
    fn signed(points: &[(f64, f64)]) -> Scale {
        Scale::signed(points.iter().map(|(v, e)| (*v, [v - e, v + e])))
    }

    #[test]
    fn a_signed_scale_tells_small_values_apart_beside_large_ones_and_keeps_their_order() {
        let scale = signed(&[(-0.4, 0.02), (-0.003, 0.002), (0.004, 0.002)]);
        let places: Vec<f64> = [-0.4, -0.005, -0.001, 0.0, 0.004, 0.006]
            .map(|value| scale.fraction_along_axis(value))
            .to_vec();
        assert!(places.is_sorted(), "{places:?}");
        assert!(places[0] > 0.0 && places[5] < 1.0, "{places:?}");
        assert!(places[4] - places[3] > 0.1, "{places:?}");
        let labels: Vec<String> = scale.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["−0.1", "−0.01", "−0.001", "0", "0.001"]);
    }

    #[test]
    fn a_signed_scale_of_zeros_or_of_huge_ranges_is_still_one() {
        for points in [
            &[(0.0, 0.0)][..],
            &[(1e6, 1e-9), (-1e6, 0.0)],
            &[(2.0, f64::NAN)],
        ] {
            let scale = signed(points);
            for (value, _) in points {
                let place = scale.fraction_along_axis(*value);
                assert!((0.0..=1.0).contains(&place), "{scale:?}");
            }
            let n = scale.ticks().len();
            assert!((2..=16).contains(&n), "{scale:?} has {n} ticks");
        }
    }

    #[test]
    fn scales_of_any_numbers_are_finite_and_have_few_ticks() {
        let extremes = [
            f64::MAX,
            1e308,
            1e-308,
            5e-324,
            1.0,
            0.0,
            -1.0,
            -1e-320,
            f64::MIN,
        ];
        for first in extremes {
            for second in extremes {
                let points = [
                    (first, second.abs()),
                    (second, 1.0),
                    (0.5 * first, f64::INFINITY),
                ];
                for scale in [covering(&points), signed(&points)] {
                    let scale = match second {
                        positive if positive > 0.0 => scale.extended_to_include(positive),
                        _ => scale,
                    };
                    for value in extremes {
                        let place = scale.fraction_along_axis(value);
                        assert!((0.0..=1.0).contains(&place), "{value:e} in {scale:?}");
                    }
                    let ticks = scale.ticks();
                    assert!(ticks.len() <= 1000, "{scale:?} has {} ticks", ticks.len());
                    assert!(
                        ticks.iter().all(|(value, _)| value.is_finite()),
                        "{scale:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn small_steps_have_enough_decimals() {
        let expected = [
            "0.000", "0.002", "0.004", "0.006", "0.008", "0.010", "0.012",
        ];
        assert_eq!(labels(&[(0.012, 0.001)]), expected);
    }

    #[test]
    fn a_constant_zero_still_has_a_scale() {
        let scale = covering(&[(0.0, 0.0)]);
        assert!(
            scale.fraction_along_axis(0.0).is_finite() && scale.ticks().len() > 1,
            "{scale:?}"
        );
    }
}
