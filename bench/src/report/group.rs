//! The tables of one group of rows, the same in every form of the report.

use super::basis::short_name;
use super::believed::{self, Summary};
use super::figure::{UnitScale, multiple, plain, show, with_unit};
use super::model::{Extra, Latency, Row, Run, Unit};
use super::table::{Side, Table};

/// With more kinds of further figures than this, a column each would leave most cells empty.
const EXTRA_COLUMNS: usize = 4;
/// The percentiles of the table; the plot has them all.
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// The rows of `group`.
pub fn rows<'a>(run: &'a Run, group: &str) -> Vec<&'a Row> {
    run.rows.iter().filter(|row| row.group == group).collect()
}

/// Median, spread, ratios and further figures.
pub fn figures(run: &Run, group: &str) -> Table {
    let rows = rows(run, group);
    let (ratios, extras) = (ratio_names(&rows), extra_columns(&rows));
    let mut table = Table::new(&[
        ("row", Side::Left),
        ("median", Side::Right),
        ("least to most", Side::Right),
        ("rounds", Side::Right),
    ]);
    let further = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "further".to_owned());
    let names = ratios.iter().map(|name| format!("vs {name}")).chain(extras.iter().map(further));
    table.head.extend(names.map(|name| (name, Side::Right)));
    for row in rows {
        let summary = Summary::of_row(row);
        let scale = UnitScale::of(row.unit, summary.median);
        let (median, spread) = (scale.show(summary.median), scale.span(summary.range));
        let mut cells = vec![row.label.clone(), median, spread, believed::rounds(row)];
        cells.extend(ratios.iter().map(|name| ratio_cell(run, row, name)));
        cells.extend(extras.iter().map(|kind| extra_cell(row, kind.as_deref())));
        table.rows.push(cells);
    }
    table
}

/// Percentiles of the rows that have them.
pub fn latencies(run: &Run, group: &str) -> Option<Table> {
    let timed = rows(run, group).into_iter().filter_map(|row| Some((row, row.latency.as_ref()?)));
    let mut table =
        Table::new(&[("row", Side::Left), ("time of", Side::Left), ("count", Side::Right)]);
    let names = PERCENTILES.map(|percentile| (format!("{percentile} %"), Side::Right));
    table.head.extend(names.into_iter().chain([("longest".to_owned(), Side::Right)]));
    for (row, latency) in timed {
        let count = plain(latency.count as f64);
        let mut cells = vec![row.label.clone(), latency.of.clone(), count];
        cells.extend(PERCENTILES.map(|percentile| at(latency, percentile)));
        cells.push(show(Unit::Ns, latency.max_ns as f64));
        table.rows.push(cells);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Where the time goes, of the rows that know.
pub fn stages(run: &Run, group: &str) -> Option<Table> {
    let rows: Vec<&Row> =
        rows(run, group).into_iter().filter(|row| !row.stages.is_empty()).collect();
    let names = stage_names(&rows);
    let mut table = Table::new(&[("ns/packet by stage", Side::Left)]);
    table.head.extend(names.iter().map(|name| ((*name).to_owned(), Side::Right)));
    for row in &rows {
        let of = |name: &&str| row.stages.iter().find(|stage| stage.name == **name);
        let cell = |name| of(name).map_or_else(String::new, |stage| show(Unit::Ns, stage.ns));
        table.rows.push(std::iter::once(row.label.clone()).chain(names.iter().map(cell)).collect());
    }
    (!rows.is_empty()).then_some(table)
}

/// Every round with what it is divided by, the unreliable ones marked.
pub fn rounds(run: &Run, group: &str) -> Table {
    let rows = rows(run, group);
    let most = rows.iter().map(|row| row.rounds.len()).max().unwrap_or(0);
    let mut table = Table::new(&[("row", Side::Left)]);
    table.head.extend((1..=most).map(|round| (format!("round {round}"), Side::Right)));
    for row in rows {
        let scale = UnitScale::of(row.unit, Summary::of_row(row).median);
        let rounds = row.rounds.iter().map(|round| {
            let stolen = show(Unit::Ns, round.stolen_us * 1_000.0);
            let mark = if round.unreliable {
                format!(" unreliable, {stolen} stolen")
            } else {
                String::new()
            };
            scale.show(round.value) + &mark
        });
        table.rows.push(padded(row.label.clone(), rounds, most));
        for ratio in &row.ratios {
            let name = format!("{}, vs {}", row.label, ratio.to);
            table.rows.push(padded(name, ratio.rounds.iter().copied().map(multiple), most));
        }
    }
    table
}

/// The notes of the rows, each with the label that it belongs to.
pub fn notes(run: &Run, group: &str) -> Vec<String> {
    let rows = rows(run, group).into_iter();
    rows.flat_map(|row| row.notes.iter().map(|note| format!("{}: {note}", row.label))).collect()
}

/// The names of stages in the order of the pipeline.
pub fn stage_names<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    distinct(rows.iter().flat_map(|row| row.stages.iter().map(|stage| stage.name.as_str())))
}

fn ratio_names(rows: &[&Row]) -> Vec<String> {
    distinct(
        rows.iter().flat_map(|row| row.ratios.iter().map(|ratio| short_name(&row.id, &ratio.to))),
    )
}

/// A column for each kind of further figure, or one without a name for all of them.
fn extra_columns(rows: &[&Row]) -> Vec<Option<String>> {
    let kinds = rows.iter().flat_map(|row| row.extra.iter().map(|extra| Some(extra.name.clone())));
    let kinds = distinct(kinds);
    if kinds.len() > EXTRA_COLUMNS { vec![None] } else { kinds }
}

fn ratio_cell(run: &Run, row: &Row, name: &str) -> String {
    let named = row.ratios.iter().filter(|ratio| short_name(&row.id, &ratio.to) == name);
    let medians = named.map(|ratio| multiple(Summary::of_ratio(run, row, ratio).median));
    medians.collect::<Vec<_>>().join(", ")
}

fn extra_cell(row: &Row, kind: Option<&str>) -> String {
    let value = |extra: &Extra| with_unit(plain(extra.value), &extra.unit);
    let all = row.extra.iter();
    let cells: Vec<String> = match kind {
        Some(name) => all.filter(|extra| extra.name == name).map(value).collect(),
        None => all.map(|extra| format!("{}: {}", extra.name, value(extra))).collect(),
    };
    cells.join("; ")
}

/// The first point at or above `percentile`.
fn at(latency: &Latency, percentile: f64) -> String {
    let point = latency.percentiles.iter().find(|(at, _)| *at >= percentile);
    point.map_or_else(String::new, |(_, ns)| show(Unit::Ns, *ns as f64))
}

fn padded(name: String, cells: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let empty = std::iter::repeat_with(String::new);
    std::iter::once(name).chain(cells.chain(empty).take(width)).collect()
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}
