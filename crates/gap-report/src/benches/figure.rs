//! The figure of benches: the throughput of each work.

use super::row::BenchRow;
use super::table::confidence_levels_text;
use crate::figure::{
    Chart, LegendEntry, LineStyle, MarkerPlacement, NO_LINE_THICKNESS, Panel, Point,
    SERIES_COLOURS, SERIES_MARKERS, Scale, Series, XAxis,
};

/// Returns a chart of the throughput of the workloads, or of all benches if none of them is a workload.
pub(super) fn throughput_chart(rows: &[BenchRow]) -> Chart {
    let has_workloads = rows.iter().any(|row| row.workload);
    let shown = rows.iter().filter(|row| row.workload || !has_workloads);
    let shown: Vec<&BenchRow> = shown.collect();
    let mut units: Vec<&str> = Vec::new();
    for row in &shown {
        if !units.contains(&row.unit.as_str()) {
            units.push(&row.unit);
        }
    }
    let (mut legend, mut series) = (Vec::new(), Vec::new());
    for (i, unit) in units.into_iter().enumerate() {
        let style = LineStyle {
            colour: SERIES_COLOURS[i % SERIES_COLOURS.len()],
            marker: Some(SERIES_MARKERS[i % SERIES_MARKERS.len()]),
            dashed: false,
            thickness: NO_LINE_THICKNESS,
        };
        let points = shown.iter().enumerate().filter(|(_, row)| row.unit == unit);
        let points = points.map(|(category, row)| Point {
            x: category as f64,
            value: row.per_second,
            error_bar: [row.low_per_second, row.high_per_second],
        });
        series.push(Series {
            line_breaks: Vec::new(),
            style,
            markers: MarkerPlacement::Every,
            points: points.collect(),
        });
        legend.push(LegendEntry {
            label: unit.to_owned(),
            style,
        });
    }
    let ends = shown.iter().flat_map(|row| {
        let BenchRow {
            per_second,
            low_per_second,
            high_per_second,
            ..
        } = **row;
        [per_second, low_per_second, high_per_second]
    });
    Chart {
        name: "throughput".to_owned(),
        title: "Throughput".to_owned(),
        note: format!(
            "Higher is faster; units differ by colour. Error bars: {} confidence interval.",
            confidence_levels_text(rows)
        ),
        x_label: "work",
        y_label: "per second",
        x_axis: XAxis::Categories(
            shown
                .iter()
                .map(|row| work_label_lines(&row.work))
                .collect(),
        ),
        y_scale: Scale::logarithmic(ends),
        legend,
        panels: vec![Panel {
            title: String::new(),
            series,
        }],
        references: Vec::new(),
    }
}

/// Splits a name into the lines of its label: `W1_B100_S10` has three.
fn work_label_lines(work: &str) -> Vec<String> {
    work.split(['_', '/']).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benches::row::BenchEstimate;

    fn row(work: &str, workload: bool, unit: &str, per_second: f64) -> BenchRow {
        BenchRow {
            work: work.to_owned(),
            workload,
            unit: unit.to_owned(),
            per_second,
            low_per_second: 0.9 * per_second,
            high_per_second: 1.2 * per_second,
            confidence_level: 0.95,
            estimate: BenchEstimate::Mean,
            measured: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn every_workload_stands_in_the_middle_of_its_place_with_its_own_interval() {
        let figure = throughput_chart(&[
            row("a", true, "steps/s", 10.0),
            row("b_c", true, "points/s", 1e5),
            row("d/e", false, "elements/s", 1e9),
            row("f", true, "steps/s", 20.0),
        ]);
        let panel = &figure.panels[0];
        let places: Vec<Vec<f64>> = panel
            .series
            .iter()
            .map(|series| series.points.iter().map(|point| point.x).collect())
            .collect();
        assert_eq!(places, [vec![0.0, 2.0], vec![1.0]]);
        assert!(
            !panel.series_share_places(),
            "none is set apart from others"
        );
        assert_eq!(panel.series[0].points[1].error_bar, [18.0, 24.0]);
        let XAxis::Categories(labels) = &figure.x_axis else {
            panic!("works are categories");
        };
        assert_eq!(labels[..], [vec!["a"], vec!["b", "c"], vec!["f"]]);
        for end in [9.0, 1.2e5] {
            let place = figure.y_scale.fraction_along_axis(end);
            assert!(place > 0.0 && place < 1.0, "{end} is inside: {place}");
        }
    }

    #[test]
    fn points_of_two_series_in_one_place_are_set_apart() {
        let mut figure = throughput_chart(&[
            row("a", true, "steps/s", 1.0),
            row("b", true, "jobs/s", 2.0),
        ]);
        figure.panels[0].series[1].points[0].x = 0.0;
        assert!(figure.panels[0].series_share_places());
    }
}
