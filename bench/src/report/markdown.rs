//! The run as plain text: Markdown whose tables are aligned, so that a terminal shows them well.

use super::head;
use super::model::Run;
use super::{bars, group};

/// The report as Markdown.
#[must_use]
pub fn render(run: &Run) -> String {
    let mut out = format!("# {}\n\n", run.kind.title());
    for (name, text) in head::facts(run) {
        out += &format!("- {name}: {}\n", one_line(&text));
    }
    if !run.notes.is_empty() {
        out += "\n## Notes\n\n";
        out += &list(&run.notes);
    }
    for name in head::groups(run) {
        out += &group_text(run, name);
    }
    // Last, where a reader's terminal stops.
    if let Some(count) = bars::count(run) {
        out += &format!("\n## Bars: {count}\n\n{}", bars::table(run).markdown());
    }
    out
}

fn group_text(run: &Run, name: &str) -> String {
    let tables =
        [Some(group::figures(run, name)), group::latencies(run, name), group::stages(run, name)];
    let mut out = format!("\n## {}\n", one_line(name));
    for table in tables.into_iter().flatten() {
        out += &format!("\n{}", table.markdown());
    }
    let notes = group::notes(run, name);
    if !notes.is_empty() {
        out += &format!("\n{}", list(&notes));
    }
    out
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("- {}\n", one_line(item))).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
