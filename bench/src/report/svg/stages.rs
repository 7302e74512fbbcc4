use crate::report::escape::slug;
use crate::report::figure::{short, show};
use crate::report::group;
use crate::report::model::{Row, Run, Unit};

use super::Chart;
use super::axis::{self, marks};
use super::bands::{Bands, THICK};
use super::canvas::Canvas;
use super::legend::Legend;
use super::palette::colour;
use super::scale::Scale;

/// Room for the sum behind the longest bar, in pixels.
const SUM: f64 = 90.0;

/// Where the time goes in the rows of `group` that know.
pub fn chart(run: &Run, group: &str) -> Option<Chart> {
    let rows: Vec<&Row> =
        group::rows(run, group).into_iter().filter(|row| !row.stages.is_empty()).collect();
    if rows.is_empty() {
        return None;
    }
    let stages = group::stage_names(&rows);
    let labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    let bands = Bands::new(&labels, SUM);
    let sum = |row: &Row| row.stages.iter().map(|stage| stage.ns.max(0.0)).sum::<f64>();
    let x = Scale::linear(rows.iter().map(|row| sum(row)).fold(0.0, f64::max), bands.area.across());

    let names: Vec<String> = stages.iter().map(|stage| (*stage).to_owned()).collect();
    let legend = Legend::new(&names);
    let height = bands.area.below() + legend.height();
    let mut canvas = Canvas::new(&format!("{group}: where the time goes"), height);
    let name = "ns/packet, by stage of the pipeline; less is better";
    axis::x(&mut canvas, &bands.area, &marks(&x, short), name);
    for (number, row) in rows.iter().enumerate() {
        bands.name(&mut canvas, number, &row.label);
        let end = stack(&mut canvas, &bands, &x, number, (row, &stages));
        bands.figure(&mut canvas, number, end, &show(Unit::NsPerPacket, sum(row)));
    }
    legend.draw(&mut canvas, bands.area.below(), |canvas, at, (x, y), (to, _)| {
        canvas.rect((x, y - 5.0), (to - x, 10.0), colour(at));
    });
    let svg = canvas.finish();
    Some(Chart { name: format!("stages-{}", slug(group)), group: Some(group.to_owned()), svg })
}

/// Draws the stages of a row behind each other, and says where the last one ends.
fn stack(
    canvas: &mut Canvas,
    bands: &Bands,
    x: &Scale,
    number: usize,
    (row, stages): (&Row, &[&str]),
) -> f64 {
    let mut reached = 0.0;
    for stage in &row.stages {
        // A stage is a difference of two measurements: noise may make it less than nothing.
        let (from, to) = (reached, reached + stage.ns.max(0.0));
        let place = (x.at(from), bands.top(number));
        let series = stages.iter().position(|name| *name == stage.name).unwrap_or(0);
        canvas.rect(place, (x.at(to) - x.at(from), THICK), colour(series));
        reached = to;
    }
    x.at(reached)
}
