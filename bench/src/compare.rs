//! Two runs beside each other: what became slower. Machines differ from day to day, so what counts
//! is not the figure but its multiple of the yardsticks or peers of the same run.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde::Serialize;

use crate::report::json;
use crate::report::model::{Run, Unit};

/// The rounds of one figure, and when two of them differ.
pub mod sample;
/// One row in both runs.
mod row;
/// What the rows are divided by, in both runs.
mod reference;
/// The comparison as text.
mod text;

pub use reference::{MOST_MOVED, Reference};
pub use sample::Finding;

/// What to compare.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// The earlier run, as the harness wrote it.
    #[arg(value_name = "OLD.json")]
    pub old: PathBuf,
    /// The later run.
    #[arg(value_name = "NEW.json")]
    pub new: PathBuf,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// Two runs beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Commit of the earlier run.
    pub old_commit: String,
    /// Commit of the later run.
    pub new_commit: String,
    /// Whether every yardstick stayed where it was, within [`MOST_MOVED`]. If not, the rows that
    /// rest on those that moved are not judged.
    pub comparable: bool,
    /// Yardsticks and peers that both runs have.
    pub references: Vec<Reference>,
    /// All other rows of either run, in the order of the later one; at the end those that it lacks.
    pub rows: Vec<RowChange>,
    /// What else differs between the runs.
    pub notes: Vec<String>,
}

/// One row in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowChange {
    /// The row's id.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What its figure counts.
    pub unit: Unit,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, when the figures do not say.
    pub reason: Option<String>,
    /// The figures that were compared.
    pub changes: Vec<Change>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No difference that stands out from the noise.
    Same,
    /// Better than before.
    Better,
    /// Slower, or larger, than before.
    Worse,
    /// What it is measured by moved, or is missing.
    NotComparable,
    /// Too few rounds of one run can be believed.
    Unreliable,
    /// Only the earlier run has it.
    Gone,
    /// Only the later run has it.
    New,
}

/// One figure of a row in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The yardstick or peer that the row is divided by; none when the figure itself is compared.
    pub against: Option<String>,
    /// Median of the earlier run: a multiple, or a figure in the row's unit.
    pub old: f64,
    /// Median of the later run.
    pub new: f64,
    /// The difference as a share of the earlier median: 0.05 is 5 % more.
    pub change: f64,
    /// How large a change must be to stand out, as such a share.
    pub noise: f64,
    /// Whether it stands out.
    pub finding: Finding,
}

impl Comparison {
    /// How many rows have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

/// Reads both runs, prints the comparison, and says whether a row became worse.
///
/// # Errors
/// When a run cannot be read, they are of different kinds, or nobody reads the output.
pub fn run(options: &Options) -> Result<bool> {
    let (old, new) = (json::read(&options.old)?, json::read(&options.new)?);
    let comparison = compare(&old, &new)?;
    let text = if options.json {
        serde_json::to_string_pretty(&comparison).context("a comparison that is no JSON")? + "\n"
    } else {
        text::render(&comparison)
    };
    // Not print!: it panics when a reader goes away early.
    std::io::stdout().write_all(text.as_bytes()).context("writing the comparison")?;
    Ok(comparison.count(Verdict::Worse) > 0)
}

/// Compares the rows of two runs by their ids.
///
/// - A row with ratios to yardsticks is compared by these; one without, by its ratios to peers. A
///   row whose figure has nothing to do with the speed of the machine (bytes, counts) is compared
///   by the figure itself. Other rows are not comparable.
/// - A row is not comparable either where a yardstick that it rests on moved by more than
///   [`MOST_MOVED`]: then it was another machine, and a memory-bound row and a compute-bound
///   yardstick need not move alike. Nor where a run lacks the yardstick's own row: then nobody knows.
/// - [`sample::Sample::against`] says when a figure stands out from the noise. A row with several
///   ratios is worse when one of them stands out as worse, and all others moved at least half as
///   far in the same direction: if only one moved, it was the yardstick.
///
/// # Errors
/// When the runs are of different kinds.
pub fn compare(old: &Run, new: &Run) -> Result<Comparison> {
    ensure!(
        old.kind == new.kind,
        "one run is of kind {}, the other of kind {}: they have no row in common",
        old.kind.word(),
        new.kind.word()
    );
    let references = reference::all(old, new);
    let mut rows = Vec::new();
    for later in &new.rows {
        match old.rows.iter().find(|row| row.id == later.id) {
            Some(_) if references.iter().any(|of| of.id == later.id) => {}
            Some(earlier) => rows.push(row::compare((old, earlier), (new, later), &references)),
            None => rows.push(row::alone(later, Verdict::New)),
        }
    }
    let lacks = |id: &str| !new.rows.iter().any(|row| row.id == id);
    let gone = old.rows.iter().filter(|row| lacks(&row.id));
    rows.extend(gone.map(|row| row::alone(row, Verdict::Gone)));
    Ok(Comparison {
        old_commit: old.commit.clone(),
        new_commit: new.commit.clone(),
        comparable: !references.iter().any(|reference| reference.moved),
        references,
        rows,
        notes: notes(old, new),
    })
}

/// What differs beside the figures.
fn notes(old: &Run, new: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    let mut say = |what: &str, old: &str, new: &str| {
        if old != new {
            notes.push(format!("{what} differs: {old}, now {new}"));
        }
    };
    say("the processor", &old.machine.cpu, &new.machine.cpu);
    say("the kernel", &old.machine.kernel, &new.machine.kernel);
    say("huge pages", &old.machine.huge_pages, &new.machine.huge_pages);
    let names = old
        .settings
        .keys()
        .chain(new.settings.keys().filter(|name| !old.settings.contains_key(*name)));
    for name in names {
        let value = |run: &Run| run.settings.get(name).cloned().unwrap_or_else(|| "not set".into());
        say(&format!("the setting {name}"), &value(old), &value(new));
    }
    notes
}

#[cfg(test)]
mod tests;
