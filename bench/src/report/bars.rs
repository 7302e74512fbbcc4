//! The bars of the design: what was promised, and what was reached.

use super::model::{Bar, Row, Run};
use super::table::{Side, Table};

/// What stands in the column `bar` of a promise that is not kept. In capitals, so that it is seen
/// without colours.
pub const MISSED: &str = "MISSED";
/// The same of one that is.
pub const MET: &str = "met";

/// Every bar of the run.
pub fn table(run: &Run) -> Table {
    let head = ["bar", "row", "promised", "reached"].map(|name| (name, Side::Left));
    let mut table = Table::new(&head);
    table.rows = all(run).map(|(row, bar)| line(row, bar)).collect();
    table
}

/// How many bars are met: `7 of 9 met`. Nothing when the run has none.
pub fn count(run: &Run) -> Option<String> {
    let (met, count) = (all(run).filter(|(_, bar)| bar.met).count(), all(run).count());
    (count > 0).then(|| format!("{met} of {count} met"))
}

fn all(run: &Run) -> impl Iterator<Item = (&Row, &Bar)> {
    run.rows.iter().flat_map(|row| row.bars.iter().map(move |bar| (row, bar)))
}

fn line(row: &Row, bar: &Bar) -> Vec<String> {
    let met = if bar.met { MET } else { MISSED };
    // Two rows of different groups may have one label.
    let name = format!("{}: {}", row.group, row.label);
    vec![met.to_owned(), name, bar.text.clone(), bar.reached.clone()]
}
