use crate::report::basis::{YARDSTICK, last_word};
use crate::report::believed::Summary;
use crate::report::figure::short;
use crate::report::model::{Row, Run, Unit};

use super::Chart;
use super::axis::{self, Area, marks};
use super::canvas::{Canvas, Stroke};
use super::legend::Legend;
use super::palette::{colour, mark, stroke};
use super::scale::Scale;

/// The further figure that says how many flows a row has.
const FLOWS: &str = "flows";

/// A line of the plot.
struct Series<'a> {
    /// What its ids begin with.
    name: String,
    /// Flows and row, rising. Empty for a yardstick that knows no flows.
    points: Vec<(f64, &'a Row)>,
    /// The height of a yardstick that knows no flows.
    level: Option<f64>,
}

/// Nanoseconds per packet against the number of flows, when rows say how many they have.
pub fn chart(run: &Run) -> Option<Chart> {
    let series = all_series(run);
    let points = || series.iter().flat_map(|series| &series.points);
    let counts = || points().map(|(flows, _)| *flows);
    let (least, most) = (counts().fold(f64::INFINITY, f64::min), counts().fold(0.0, f64::max));
    // A plot without a point is none.
    points().next()?;
    let names: Vec<String> = series.iter().map(|series| series.name.clone()).collect();
    let legend = Legend::new(&names);
    let area = Area::new(78.0, 320.0);
    let tops = points().map(|(_, row)| Summary::of_row(row).range.1);
    let levels = series.iter().filter_map(|series| series.level);
    let x = Scale::log((least, most), area.across(), true);
    let y = Scale::linear(tops.chain(levels).fold(0.0, f64::max), area.up());

    let title = "Time of a packet against the number of flows";
    let mut canvas = Canvas::new(title, area.below() + legend.height());
    axis::x(&mut canvas, &area, &marks(&x, count), "flows in the table");
    axis::y(&mut canvas, &area, &marks(&y, short), "ns/packet, median; less is better");
    for (number, series) in series.iter().enumerate() {
        draw(&mut canvas, (&x, &y), number, series);
    }
    legend.draw(&mut canvas, area.below(), |canvas, at, from, to| {
        let level = series[at].level.is_some();
        canvas.line(&[from, to], if level { level_stroke(at) } else { stroke(at) });
        if !level {
            mark(canvas, (f64::midpoint(from.0, to.0), from.1), at);
        }
    });
    Some(Chart { name: FLOWS.into(), group: None, svg: canvas.finish() })
}

fn all_series(run: &Run) -> Vec<Series<'_>> {
    let timed = |row: &&Row| matches!(row.unit, Unit::NsPerPacket | Unit::Ns);
    let mut all: Vec<Series<'_>> = Vec::new();
    for row in run.rows.iter().filter(timed) {
        let flows = row.extra.iter().find(|extra| extra.name == FLOWS).map(|extra| extra.value);
        let Some(flows) = flows.filter(|flows| *flows > 0.0) else {
            if row.id.starts_with(YARDSTICK) {
                let level = Some(Summary::of_row(row).median);
                all.push(Series { name: row.id.clone(), points: Vec::new(), level });
            }
            continue;
        };
        let name = prefix(&row.id);
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push((flows, row)),
            None => all.push(Series { name, points: vec![(flows, row)], level: None }),
        }
    }
    all.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    all
}

fn draw(canvas: &mut Canvas, (x, y): (&Scale, &Scale), number: usize, series: &Series<'_>) {
    if let Some(level) = series.level {
        let ((left, right), level) = (x.ends(), y.at(level));
        canvas.line(&[(left, level), (right, level)], level_stroke(number));
        return;
    }
    let summaries = series.points.iter().map(|(flows, row)| (x.at(*flows), Summary::of_row(row)));
    let summaries: Vec<(f64, Summary)> = summaries.collect();
    let places: Vec<(f64, f64)> = summaries.iter().map(|(x, of)| (*x, y.at(of.median))).collect();
    for (x, summary) in &summaries {
        let (least, most) = summary.range;
        canvas.line(&[(*x, y.at(least)), (*x, y.at(most))], Stroke::thin(colour(number)));
    }
    canvas.line(&places, stroke(number));
    places.iter().for_each(|place| mark(canvas, *place, number));
}

/// A yardstick without flows is a level to compare with, not a measurement at each place.
fn level_stroke(number: usize) -> Stroke {
    Stroke { dash: "3 4", width: 1.5, ..stroke(number) }
}

/// `established/ipv4/64/1k` without its last word.
fn prefix(id: &str) -> String {
    id.strip_suffix(last_word(id)).unwrap_or(id).trim_end_matches('/').to_owned()
}

/// `1 k`, `10 M`.
fn count(flows: f64) -> String {
    let steps = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (divisor, name) = steps.into_iter().find(|(step, _)| flows >= *step).unwrap_or((1.0, ""));
    format!("{}{name}", flows / divisor)
}
