use crate::report::basis;
use crate::report::believed::Summary;
use crate::report::escape::slug;
use crate::report::figure::{UnitScale, short};
use crate::report::group;
use crate::report::model::{Row, Run, Unit};

use super::Chart;
use super::axis::{self, marks};
use super::bands::{Bands, THICK};
use super::canvas::{Canvas, INK, Stroke};
use super::legend::Legend;
use super::palette::{OURS, PEERS};
use super::scale::Scale;

const RATES: [Unit; 3] = [Unit::PacketsPerSecond, Unit::ConnectionsPerSecond, Unit::BitsPerSecond];
/// The word in the ids of our own rows.
const OUR_NAME: &str = "portreeve";
/// Room for the figure behind the longest bar, in pixels.
const FIGURE: f64 = 150.0;

/// The rates of `group`, one plot for each unit that it has.
pub fn charts(run: &Run, group: &str) -> Vec<Chart> {
    let rows = group::rows(run, group);
    let of = |unit: &Unit| rows.iter().filter(|row| row.unit == *unit).copied().collect();
    let by_unit: Vec<Vec<&Row>> =
        RATES.iter().map(of).filter(|rows: &Vec<_>| !rows.is_empty()).collect();
    by_unit.iter().map(|rows| chart(group, rows)).collect()
}

fn chart(group: &str, rows: &[&Row]) -> Chart {
    let names: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    let bands = Bands::new(&names, FIGURE);
    let summaries: Vec<Summary> = rows.iter().map(|row| Summary::of_row(row)).collect();
    let most = summaries.iter().map(|summary| summary.range.1).fold(0.0, f64::max);
    let scale = Scale::linear(most, bands.area.across());
    let unit = UnitScale::of(rows[0].unit, most);

    let legend_names = ["Portreeve", "others", "least to most of the rounds"].map(str::to_owned);
    let legend = Legend::new(&legend_names);
    let height = bands.area.below() + legend.height();
    let mut canvas = Canvas::new(&format!("{group}: median {}", rows[0].unit.name()), height);
    let places = marks(&scale, |value| short(value / unit.divisor));
    axis::x(&mut canvas, &bands.area, &places, &format!("{}; more is better", unit.name));
    for (number, (row, summary)) in rows.iter().zip(&summaries).enumerate() {
        bar(&mut canvas, &bands, &scale, number, (row, summary));
    }
    legend.draw(&mut canvas, bands.area.below(), |canvas, at, (x, y), (to, _)| match at {
        0 => canvas.rect((x, y - 5.0), (to - x, 10.0), OURS),
        1 => canvas.rect((x, y - 5.0), (to - x, 10.0), PEERS),
        _ => whisker(canvas, (x, to), y),
    });
    let svg = canvas.finish();
    Chart { name: format!("rate-{}", slug(group)), group: Some(group.to_owned()), svg }
}

fn bar(canvas: &mut Canvas, bands: &Bands, scale: &Scale, number: usize, of: (&Row, &Summary)) {
    let (row, summary) = of;
    bands.name(canvas, number, &row.label);
    let (left, end) = (bands.area.left, scale.at(summary.median));
    canvas.rect((left, bands.top(number)), (end - left, THICK), colour(row));
    let ends = (scale.at(summary.range.0), scale.at(summary.range.1));
    whisker(canvas, ends, bands.middle(number));
    let figure = UnitScale::of(row.unit, summary.median).show(summary.median);
    bands.figure(canvas, number, ends.1.max(end), &figure);
}

/// A line from the least to the most.
fn whisker(canvas: &mut Canvas, (from, to): (f64, f64), y: f64) {
    let stroke = Stroke { colour: INK, width: 1.5, dash: "" };
    canvas.line(&[(from, y), (to, y)], stroke);
    for x in [from, to] {
        canvas.line(&[(x, y - 5.0), (x, y + 5.0)], stroke);
    }
}

fn colour(row: &Row) -> &'static str {
    let ours = row.id.split('/').any(|word| word.starts_with(OUR_NAME));
    // In memory there are no peers; there all rows but the yardsticks are ours.
    let alone = row.ratios.iter().any(|ratio| basis::is_yardstick(&ratio.to));
    if (ours || alone) && !row.id.starts_with(basis::YARDSTICK) { OURS } else { PEERS }
}
