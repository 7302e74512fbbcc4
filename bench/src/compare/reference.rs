use serde::Serialize;

use crate::report::basis::{self, YARDSTICK};
use crate::report::believed::Summary;
use crate::report::figure::percent;
use crate::report::model::{Row, Run, Unit};

/// How far a yardstick may move between two runs before what rests on it says nothing: 10 %.
pub const MOST_MOVED: f64 = 0.10;
/// 10 % more is, in binary, a little more than 10 % more.
const ROUNDING: f64 = 1e-9;

/// A row that others are divided by, in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reference {
    /// The row's id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What its figure counts.
    pub unit: Unit,
    /// Median of the earlier run.
    pub old: f64,
    /// Median of the later run.
    pub new: f64,
    /// The difference as a share of the earlier median.
    pub change: f64,
    /// Whether it is a yardstick that moved by more than [`MOST_MOVED`], either way. A peer may:
    /// that it moves with the machine is what it is for.
    pub moved: bool,
}

/// Yardsticks, and peers that are measured by nothing else, which both runs have.
pub fn all(old: &Run, new: &Run) -> Vec<Reference> {
    let mut references = Vec::new();
    for row in new.rows.iter().filter(|row| is_reference(new, row)) {
        if let Some(earlier) = old.rows.iter().find(|earlier| earlier.id == row.id) {
            references.push(Reference::between(earlier, row));
        }
    }
    references
}

impl Reference {
    fn between(old: &Row, new: &Row) -> Self {
        let (before, now) = (Summary::of_row(old).median, Summary::of_row(new).median);
        let change = if before == 0.0 { now - before } else { now / before - 1.0 };
        // Either way is as far: from 10 to 11, and from 11 to 10.
        let apart = before.max(now) > before.min(now) * (1.0 + MOST_MOVED + ROUNDING);
        Self {
            id: new.id.clone(),
            label: new.label.clone(),
            unit: new.unit,
            old: before,
            new: now,
            change,
            moved: apart && new.id.starts_with(YARDSTICK),
        }
    }
}

/// Why a ratio of `row` to `to` says nothing, if so: the yardstick under it moved, or is not in both
/// runs, so that nobody knows whether it did.
pub fn objection(all: &[Reference], run: &Run, row: &Row, to: &str) -> Option<String> {
    let rows = basis::rows(run, row, to);
    let under = |reference: &&Reference| rows.iter().any(|row| row.id == reference.id);
    let known: Vec<&Reference> = all.iter().filter(under).collect();
    if basis::is_yardstick(to) && known.is_empty() {
        return Some(format!("the yardstick {to} is not a row of both runs"));
    }
    let moved = known.iter().find(|reference| reference.moved)?;
    Some(format!("{} moved by {}", moved.id, percent(moved.change)))
}

fn is_reference(run: &Run, row: &Row) -> bool {
    let mut ratios = run.rows.iter().flat_map(|row| &row.ratios);
    row.id.starts_with(YARDSTICK) || row.ratios.is_empty() && ratios.any(|ratio| ratio.to == row.id)
}
