//! The table of an experiment that compares ascents, one row for each variant, split, start and ascent.

use crate::across_seeds::{SeedMean, SpreadOver, error_bar_meaning};
use crate::table::Table;
use crate::table::number::{
    self, grouped, mean_text, seconds, significant, text_or_absent, value_or_range_text,
};
use crate::variant::variant_sort_key;
use gap_schema::Summary;
use gap_schema::summary::{AscentCell, CostToReachOptimum, Mean};
use gap_schema::trace::{MIN_OTHER_OPTIMUM_NATS, REACHED_TOLERANCE_NATS};

/// The ascent that is the baseline: the times of all ascents are divided by its time.
const BASELINE_ASCENT_NAME: &str = "default";

/// The cells of one ascent from one start, one for each seed.
struct AscentGroup<'a> {
    cells: Vec<&'a AscentCell>,
}

impl<'a> AscentGroup<'a> {
    /// Returns the groups, sorted by variant, data set, split and start, and then by the median time until they
    /// reached the optimum. That is infinite if at least half of the seeds did not reach it.
    fn group_ascent_cells(summary: &'a Summary) -> Vec<Self> {
        let mut cells: Vec<&AscentCell> = summary.ascents.iter().collect();
        let key = |cell: &AscentCell| (cell.ascent.clone(), cell.seed);
        cells.sort_by(|a, b| {
            comparison_key(a)
                .cmp(&comparison_key(b))
                .then(key(a).cmp(&key(b)))
        });
        let mut groups: Vec<Self> = cells
            .chunk_by(|a, b| comparison_key(a) == comparison_key(b) && a.ascent == b.ascent)
            .map(|cells| Self {
                cells: cells.to_vec(),
            })
            .collect();
        let time = |group: &Self| group.cost_to_reach(|reached| reached.seconds).median;
        groups.sort_by(|a, b| {
            let places = comparison_key(a.cells[0]).cmp(&comparison_key(b.cells[0]));
            places.then(time(a).total_cmp(&time(b)))
        });
        groups
    }

    /// Returns the median and range, over seeds, of the cost until the ascent reached the optimum. The cost is
    /// infinite for a seed where the ascent did not reach it.
    fn cost_to_reach(&self, cost: impl Fn(&CostToReachOptimum) -> f64) -> MedianAndRange {
        let costs = self.cells.iter().map(|cell| cell.reached.as_ref());
        MedianAndRange::new(costs.map(|reached| reached.map_or(f64::INFINITY, &cost)))
            .expect("a group has a cell")
    }

    /// Returns, as text, the median and range over seeds of the ascent's time divided by the baseline's. Seeds
    /// where either did not reach the optimum are left out; if none is left, the text is [`number::ABSENT`].
    fn time_ratio(&self, summary: &Summary) -> String {
        let time = |cell: &AscentCell| Some(cell.reached?.seconds);
        let ratios = self.cells.iter().filter_map(|cell| {
            let mut others = summary.ascents.iter();
            let baseline = others.find(|other| {
                other.ascent == BASELINE_ASCENT_NAME
                    && other.seed == cell.seed
                    && comparison_key(other) == comparison_key(cell)
            });
            Some(time(cell)? / time(baseline?)?)
        });
        let (n, of) = (ratios.clone().count(), self.cells.len());
        let text = text_or_absent(MedianAndRange::new(ratios), |median| {
            median.text(|r| significant(r, 3))
        });
        if n == 0 || n == of {
            text
        } else {
            format!("{text}, {n} of {of} seeds")
        }
    }

    fn nats_to_go(&self) -> Option<SeedMean> {
        let ends = self.cells.iter().map(|cell| Mean {
            mean_nats: cell.end.nats_to_go,
            std_error_nats: cell.end.std_error_nats,
            mc_std_error_nats: f64::NAN,
        });
        SeedMean::new(
            &ends.collect::<Vec<_>>(),
            SpreadOver::from_seed_count(self.cells.len()),
        )
    }

    /// Returns the largest distance of any datapoint at the end; NaN if it is NaN for one of the seeds.
    fn largest_nats_to_go(&self) -> f64 {
        let worst = self.cells.iter().map(|cell| cell.end.worst_nats);
        worst.fold(f64::NEG_INFINITY, |a, b| {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                b.max(a)
            }
        })
    }

    fn total(&self, count: impl Fn(&AscentCell) -> u64) -> u64 {
        self.cells.iter().map(|cell| count(cell)).sum()
    }
}

/// Ascents with the same key can be compared.
fn comparison_key(cell: &AscentCell) -> impl Ord + use<'_> {
    let variant = variant_sort_key(cell.variant.as_deref());
    (variant, &cell.dataset, cell.split, cell.start)
}

/// The median of a number over seeds, and its range. The number is infinite for a seed where the ascent did not
/// reach the optimum.
struct MedianAndRange {
    median: f64,
    least: f64,
    most: f64,
}

impl MedianAndRange {
    fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let n = values.len();
        Some(Self {
            median: 0.5 * (values[(n - 1) / 2] + values[n / 2]),
            least,
            most,
        })
    }

    fn text(&self, number: impl Fn(f64) -> String) -> String {
        let text = |value: f64| match value {
            f64::INFINITY => "never".to_owned(),
            value => number(value),
        };
        if self.least == f64::INFINITY {
            number::ABSENT.to_owned()
        } else if self.least == self.most {
            text(self.median)
        } else {
            let Self {
                median,
                least,
                most,
            } = *self;
            format!("{} ({}–{})", text(median), text(least), text(most))
        }
    }
}

fn joint_gradients_text(value: f64) -> String {
    if value < 100.0 {
        significant(value, 3)
    } else {
        grouped(value.round() as u64)
    }
}

/// Returns the table of what each ascent cost until it reached the optimum, and where it ended; it has no rows
/// if no ascents were compared.
pub(super) fn ascents_table(summary: &Summary) -> Table {
    let groups = AscentGroup::group_ascent_cells(summary);
    let to = |what: &str| format!("{what} to {REACHED_TOLERANCE_NATS} nats");
    let mut table = Table::new(
        5,
        &[
            "variant",
            "split",
            "start",
            "ascent",
            "phases",
            &to("joint gradients"),
            &to("seconds"),
            &format!("time / {BASELINE_ASCENT_NAME}"),
            "nats to go at the end",
            "worst",
            &format!("above {REACHED_TOLERANCE_NATS}/other/unfinished/non-fin"),
        ],
    );
    for group in &groups {
        let cell = group.cells[0];
        table.rows.push(vec![
            text_or_absent(cell.variant.clone(), |variant| variant),
            cell.split.to_string(),
            cell.start.to_string(),
            cell.ascent.clone(),
            cell.phases.clone(),
            group
                .cost_to_reach(|r| r.joint_gradients)
                .text(joint_gradients_text),
            group.cost_to_reach(|r| r.seconds).text(seconds),
            group.time_ratio(summary),
            mean_text(group.nats_to_go()),
            significant(group.largest_nats_to_go(), 2),
            format!(
                "{}/{}/{}/{}",
                group.total(|c| c.end.above_tolerance),
                group.total(|c| c.end.other_optimum),
                group.total(|c| c.end.unfinished),
                group.total(|c| c.end.non_finite)
            ),
        ]);
    }
    table.notes = ascents_table_notes(summary, &groups);
    if summary.ascents.iter().all(|cell| cell.variant.is_none()) {
        table = table.without_column("variant");
    }
    let mut splits = summary.ascents.iter().map(|cell| cell.split);
    let first = splits.next();
    if splits.all(|split| Some(split) == first) {
        table = table.without_column("split");
    }
    table
}

fn ascents_table_notes(summary: &Summary, groups: &[AscentGroup<'_>]) -> Vec<String> {
    if groups.is_empty() {
        return Vec::new();
    }
    let n = value_or_range_text(summary.ascents.iter().map(|cell| cell.n));
    let n_seeds: Vec<usize> = groups.iter().map(|group| group.cells.len()).collect();
    vec![
        format!(
            "Nats to go: mean distance per datapoint below the optimum that its ascent leads to, on draws \
             that no ascent saw, whichever the start; ± is {}",
            error_bar_meaning(&n_seeds)
        ),
        format!(
            "To {REACHED_TOLERANCE_NATS} nats: what it took until the mean distance stayed below that, median over \
             seeds (least–most; – or never: it did not). Seconds are of all {n} points together, joint \
             gradients are per point."
        ),
        format!(
            "time / {BASELINE_ASCENT_NAME}: seconds to {REACHED_TOLERANCE_NATS} nats over those of `{BASELINE_ASCENT_NAME}` from the same start \
             in the same seed; – where either did not get there."
        ),
        format!(
            "Counted at the end, over all seeds: points above {REACHED_TOLERANCE_NATS} nats; points near another \
             optimum, more than {MIN_OTHER_OPTIMUM_NATS} nats worse than the best known; points that had not \
             met the ascent's own stopping rule; non-finite points, which are in no mean."
        ),
    ]
}
