use crate::report::figure::{multiple, percent, show};
use crate::report::table::{Side, Table};

use super::{Change, Comparison, MOST_MOVED, RowChange, Verdict};

impl Verdict {
    const ALL: [Self; 7] = [
        Self::Worse,
        Self::Better,
        Self::Same,
        Self::NotComparable,
        Self::Unreliable,
        Self::Gone,
        Self::New,
    ];

    /// The word for people.
    fn word(self) -> &'static str {
        match self {
            Self::Worse => "WORSE",
            Self::Better => "better",
            Self::Same => "same",
            Self::NotComparable => "not comparable",
            Self::Unreliable => "unreliable",
            Self::Gone => "only in the old run",
            Self::New => "only in the new run",
        }
    }
}

/// The comparison for people; the sum stands last.
pub fn render(comparison: &Comparison) -> String {
    let mut out = format!("old: {}\nnew: {}\n", comparison.old_commit, comparison.new_commit);
    for note in &comparison.notes {
        out += &format!("note: {note}\n");
    }
    if !comparison.references.is_empty() {
        out += &format!("\n{}", references(comparison).markdown());
    }
    if !comparison.rows.is_empty() {
        out += &format!("\n{}", rows(comparison).markdown());
    }
    if !comparison.comparable {
        let most = MOST_MOVED * 100.0;
        let moved = comparison.references.iter().filter(|reference| reference.moved).count();
        out += &format!(
            "\nNOT COMPARABLE: {moved} of the yardsticks moved by more than {most:.0} %; \
             rows that rest on them are not judged.\n"
        );
    }
    let counts = Verdict::ALL.map(|verdict| (comparison.count(verdict), verdict.word()));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let sum = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    out + &format!("\nrows: {sum}\n")
}

fn references(comparison: &Comparison) -> Table {
    let head = [("yardstick or peer", Side::Left), ("old", Side::Right), ("new", Side::Right)];
    let mut table = Table::new(&head);
    table.head.extend([("change".to_owned(), Side::Right), ("moved".to_owned(), Side::Left)]);
    for reference in &comparison.references {
        let moved = if reference.moved { "too far" } else { "" };
        table.rows.push(vec![
            reference.label.clone(),
            show(reference.unit, reference.old),
            show(reference.unit, reference.new),
            percent(reference.change),
            moved.to_owned(),
        ]);
    }
    table
}

fn rows(comparison: &Comparison) -> Table {
    let mut table = Table::new(&[
        ("verdict", Side::Left),
        ("row", Side::Left),
        ("measured by", Side::Left),
        ("old", Side::Right),
        ("new", Side::Right),
        ("change", Side::Right),
        ("noise", Side::Right),
    ]);
    table.rows = comparison.rows.iter().flat_map(lines).collect();
    table
}

/// A line for each figure; the verdict stands on the first.
fn lines(row: &RowChange) -> Vec<Vec<String>> {
    let reason = row.reason.as_ref().map(|reason| format!(" ({reason})"));
    let verdict = row.verdict.word().to_owned() + &reason.unwrap_or_default();
    let mut lines: Vec<Vec<String>> = row.changes.iter().map(|change| line(row, change)).collect();
    if lines.is_empty() {
        lines.push(vec![String::new(); 7]);
    }
    (lines[0][0], lines[0][1]) = (verdict, row.label.clone());
    lines
}

fn line(row: &RowChange, change: &Change) -> Vec<String> {
    let value = |value: f64| match change.against {
        Some(_) => multiple(value),
        None => show(row.unit, value),
    };
    vec![
        String::new(),
        String::new(),
        change.against.clone().unwrap_or_else(|| "the figure".to_owned()),
        value(change.old),
        value(change.new),
        percent(change.change),
        format!("{:.1} %", change.noise * 100.0),
    ]
}
