use crate::report::basis;
use crate::report::believed;
use crate::report::model::{Ratio, Row, Run, Unit};

use super::reference::{self, Reference};
use super::sample::{Finding, Sample};
use super::{Change, RowChange, Verdict};

/// Quartiles of fewer rounds say nothing about noise.
const LEAST_ROUNDS: usize = 3;

/// A row with the run that it is of.
type Of<'a> = (&'a Run, &'a Row);

/// What became of a row that both runs have.
pub fn compare(old: Of<'_>, new: Of<'_>, references: &[Reference]) -> RowChange {
    let mut result = alone(new.1, Verdict::NotComparable);
    let unjudged = |mut result: RowChange, verdict: Verdict, reason: String| {
        (result.verdict, result.reason) = (verdict, Some(reason));
        result
    };
    if old.1.unit != new.1.unit {
        return unjudged(result, Verdict::NotComparable, "it counts something else now".into());
    }
    let targets = if is_absolute(new.1.unit) { vec![None] } else { targets(old.1, new.1) };
    if targets.is_empty() {
        let reason = "no ratio to a yardstick or peer that both runs have";
        return unjudged(result, Verdict::NotComparable, reason.into());
    }
    let objection = |to: &Option<&str>| reference::objection(references, new.0, new.1, (*to)?);
    if let Some(reason) = targets.iter().find_map(objection) {
        return unjudged(result, Verdict::NotComparable, reason);
    }
    for to in targets {
        let (Some(before), Some(now)) = (rounds(old, to), rounds(new, to)) else {
            let reason = "too few rounds can be believed";
            return unjudged(result, Verdict::Unreliable, reason.into());
        };
        result.changes.push(change(&before, &now, to, new.1.unit));
    }
    (result.verdict, result.reason) = together(&result.changes, new.1.unit);
    result
}

/// A row without anything to compare it with.
pub fn alone(row: &Row, verdict: Verdict) -> RowChange {
    RowChange {
        id: row.id.clone(),
        label: row.label.clone(),
        unit: row.unit,
        verdict,
        reason: None,
        changes: Vec::new(),
    }
}

/// Whether figures of this unit are the same on every machine.
fn is_absolute(unit: Unit) -> bool {
    matches!(unit, Unit::Bytes | Unit::Count)
}

/// What both rows are divided by: yardsticks, or else peers.
fn targets<'a>(old: &Row, new: &'a Row) -> Vec<Option<&'a str>> {
    let has = |to: &str| old.ratios.iter().any(|ratio| ratio.to == to);
    let shared = new.ratios.iter().map(|ratio| ratio.to.as_str()).filter(|to| has(to));
    let (yardsticks, peers): (Vec<_>, Vec<_>) = shared.partition(|to| basis::is_yardstick(to));
    let chosen = if yardsticks.is_empty() { peers } else { yardsticks };
    chosen.into_iter().map(Some).collect()
}

/// The rounds that count, unless too few do.
fn rounds((run, row): Of<'_>, to: Option<&str>) -> Option<Vec<f64>> {
    let (believed, all, least) = match to {
        Some(to) => {
            let ratio: &Ratio = row.ratios.iter().find(|ratio| ratio.to == to)?;
            (believed::ratios(run, row, ratio), ratio.rounds.len(), LEAST_ROUNDS)
        }
        // Bytes and counts need no second look.
        None => (believed::values(row), row.rounds.len(), 1),
    };
    (believed.len() >= least && believed.len() * 2 >= all).then_some(believed)
}

fn change(old: &[f64], new: &[f64], to: Option<&str>, unit: Unit) -> Change {
    let (old, new) = (Sample::of(old), Sample::of(new));
    let (change, noise) = new.change(&old);
    Change {
        against: to.map(str::to_owned),
        old: old.median(),
        new: new.median(),
        change,
        noise,
        finding: new.against(&old, unit.less_is_better()),
    }
}

/// One verdict from all figures of a row: see [`super::compare`].
fn together(changes: &[Change], unit: Unit) -> (Verdict, Option<String>) {
    let sign = if unit.less_is_better() { 1.0 } else { -1.0 };
    let findings =
        [(Finding::Worse, Verdict::Worse, sign), (Finding::Better, Verdict::Better, -sign)];
    for (finding, verdict, sign) in findings {
        let clear = changes.iter().filter(|change| change.finding == finding);
        // Of two clear ones the smaller asks less of the others.
        let Some(least) = clear.map(|change| change.change.abs()).reduce(f64::min) else {
            continue;
        };
        if changes.iter().all(|change| change.change * sign >= least / 2.0) {
            return (verdict, None);
        }
    }
    let contradicted = changes.iter().any(|change| change.finding != Finding::Same);
    (Verdict::Same, contradicted.then(|| "its ratios do not agree".to_owned()))
}
