//! From trace points to cells: what each ascent cost until it stayed within tolerance of the optimum, and where
//! it ended.

use crate::variant::variant_sort_key;
use gap_schema::summary::{AscentCell, AscentEnd, CostToReachOptimum};
use gap_schema::trace::{REACHED_TOLERANCE_NATS, TracePoint};

/// The points of one ascent of one seed from one start, in order of increasing steps; there is at least one.
pub(super) struct AscentPath<'a> {
    pub(super) points: Vec<&'a TracePoint>,
}

impl<'a> AscentPath<'a> {
    /// Splits a trace into paths, which are sorted by variant, data set, split, start, seed and name. The order
    /// of the trace has no effect.
    pub(super) fn split_trace_into_paths(trace: &'a [TracePoint]) -> Vec<Self> {
        fn key(point: &TracePoint) -> impl Ord + use<'_> {
            (
                variant_sort_key(point.variant.as_deref()),
                &point.dataset,
                point.split,
                point.start,
                point.seed,
                &point.ascent,
            )
        }
        let mut points: Vec<&TracePoint> = trace.iter().collect();
        points.sort_by(|a, b| key(a).cmp(&key(b)).then(a.steps.cmp(&b.steps)));
        points
            .chunk_by(|a, b| key(a) == key(b))
            .map(|points| Self {
                points: points.to_vec(),
            })
            .collect()
    }

    /// Returns the point where the ascent began. Variant, data, start and settings are the same in all points.
    pub(super) fn first_point(&self) -> &'a TracePoint {
        self.points[0]
    }

    /// Returns the cell of the summary for this ascent.
    pub(super) fn cell(&self) -> AscentCell {
        let (first, end) = (self.first_point(), self.points[self.points.len() - 1]);
        AscentCell {
            variant: first.variant.clone(),
            dataset: first.dataset.clone(),
            split: first.split,
            seed: first.seed,
            n: first.n,
            latent_dim: first.latent_dim,
            ascent: first.ascent.clone(),
            phases: first.phases.clone(),
            start: first.start,
            reached: self.cost_to_reach_optimum(),
            end: AscentEnd {
                seconds: end.seconds,
                joint_gradients: end.joint_gradients,
                nats_to_go: end.nats_to_go,
                std_error_nats: end.nats_to_go_std_error,
                worst_nats: end.nats_to_go_worst,
                above_tolerance: end.above_tolerance,
                unfinished: end.climbing,
                other_optimum: end.other_optimum,
                other_optimum_nats: end.other_optimum_nats,
                non_finite: end.non_finite,
            },
            reference_joint_gradients: end.reference_joint_gradients,
        }
    }

    /// Returns the cost at which the distance fell below [`REACHED_TOLERANCE_NATS`] for good; `None` if it did
    /// not. A distance that is NaN does not count as below.
    fn cost_to_reach_optimum(&self) -> Option<CostToReachOptimum> {
        let below = |point: &&TracePoint| point.nats_to_go < REACHED_TOLERANCE_NATS;
        let last_above = self.points.iter().rposition(|point| !below(point));
        let later = self.points.get(last_above.map_or(0, |i| i + 1))?;
        let at_crossing = |cost: fn(&TracePoint) -> f64| match last_above {
            Some(i) => {
                let [earlier, later] =
                    [self.points[i], later].map(|point| (cost(point), point.nats_to_go));
                cost_at_reached_tolerance(earlier, later)
            }
            None => cost(later),
        };
        Some(CostToReachOptimum {
            seconds: at_crossing(|point| point.seconds),
            joint_gradients: at_crossing(|point| point.joint_gradients),
        })
    }
}

/// Returns the cost at which a power law through two points, each a cost and a distance, crosses
/// [`REACHED_TOLERANCE_NATS`]. This is the cost of the later point if that law has no crossing between the two,
/// for example because a distance is not positive.
fn cost_at_reached_tolerance(earlier: (f64, f64), later: (f64, f64)) -> f64 {
    let share = (earlier.1 / REACHED_TOLERANCE_NATS).ln() / (earlier.1 / later.1).ln();
    let cost = earlier.0 * (later.0 / earlier.0).powf(share);
    if later.1 > 0.0 && (earlier.0..=later.0).contains(&cost) {
        cost
    } else {
        later.0
    }
}

/// Returns a cell for each ascent, seed and start of a trace.
pub(super) fn ascent_cells(trace: &[TracePoint]) -> Vec<AscentCell> {
    AscentPath::split_trace_into_paths(trace)
        .iter()
        .map(AscentPath::cell)
        .collect()
}
