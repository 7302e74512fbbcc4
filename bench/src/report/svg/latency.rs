use crate::report::escape::slug;
use crate::report::figure::tick;
use crate::report::group;
use crate::report::model::{Latency, Row, Run, Unit};

use super::Chart;
use super::axis::{self, Area, Mark, marks};
use super::canvas::Canvas;
use super::legend::Legend;
use super::palette::stroke;
use super::scale::Scale;

/// Percentiles to mark: each has a tenth of the times above it that the one before has.
const NINES: [f64; 8] = [0.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999, 99.999_99];

/// The times of `group` by percentile. The x scale gives each further nine the same room: what
/// happens to one packet in ten thousand is as wide as what happens to one in ten.
pub fn chart(run: &Run, group: &str) -> Option<Chart> {
    let timed = group::rows(run, group).into_iter();
    let timed: Vec<(&Row, &Latency)> =
        timed.filter_map(|row| Some((row, row.latency.as_ref()?))).collect();
    let points = || timed.iter().flat_map(|(_, latency)| &latency.percentiles);
    let most_odds = timed.iter().map(|(_, latency)| most_odds(latency)).fold(1.0, f64::max);
    let times = || points().map(|(_, ns)| *ns as f64).filter(|ns| *ns > 0.0);
    let (least, most) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    // A plot without a point is none.
    times().next()?;
    let names: Vec<String> =
        timed.iter().map(|(row, latency)| format!("{} ({})", row.label, latency.of)).collect();
    let legend = Legend::new(&names);
    let area = Area::new(96.0, 320.0);
    let x = Scale::log((1.0, most_odds), area.across(), true);
    let y = Scale::log((least, most), area.up(), true);

    let mut canvas = Canvas::new(&format!("{group}: latency"), area.below() + legend.height());
    axis::x(&mut canvas, &area, &nines(&x, most_odds), "percentile of the times");
    axis::y(&mut canvas, &area, &marks(&y, |ns| tick(Unit::Ns, ns)), "time; less is better");
    for (number, (_, latency)) in timed.iter().enumerate() {
        let shown = latency.percentiles.iter().filter(|(_, ns)| *ns > 0);
        let place = |(at, ns): &(f64, u64)| (x.at(odds(*at, latency)), y.at(*ns as f64));
        canvas.line(&shown.map(place).collect::<Vec<_>>(), stroke(number));
    }
    legend.draw(&mut canvas, area.below(), |canvas, at, from, to| {
        canvas.line(&[from, to], stroke(at));
    });
    let svg = canvas.finish();
    Some(Chart { name: format!("latency-{}", slug(group)), group: Some(group.to_owned()), svg })
}

/// One time in how many is above `percentile`. Above the last of `count` times is none; it stands
/// at one in `count`.
fn odds(percentile: f64, latency: &Latency) -> f64 {
    let above = (100.0 - percentile).max(0.0) / 100.0;
    (1.0 / above).min(most_odds(latency))
}

fn most_odds(latency: &Latency) -> f64 {
    (latency.count as f64).max(1.0)
}

fn nines(x: &Scale, most_odds: f64) -> Vec<Mark> {
    let odds = |percentile: f64| 100.0 / (100.0 - percentile);
    // 100 - 99.9 is, in binary, not quite 0.1; half a power of ten forgives that.
    let end = 10_f64.powf((most_odds.log10() - 1e-9).ceil() + 0.5);
    let within = NINES.into_iter().filter(|at| odds(*at) < end);
    within.map(|at| (x.at(odds(at)), format!("{at} %"))).collect()
}
