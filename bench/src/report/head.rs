//! What the report says at its head, whatever its form.

use super::date;
use super::figure::{digits, show};
use super::model::{Kind, Run, Unit};

/// Digits of a commit that people can compare by eye; git calls a few more than it needs short.
const HASH_DIGITS: usize = 12;

impl Kind {
    /// The word in file names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Wire => "wire",
        }
    }

    /// The title of a report.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Memory => "Portreeve in memory: the worker loop on simulated rings",
            Self::Wire => "Portreeve on the wire: real packets, beside its peers",
        }
    }
}

/// What, when, where: a name and a text each.
pub fn facts(run: &Run) -> Vec<(String, String)> {
    let machine = &run.machine;
    let virtual_machine = if machine.virtual_machine { ", a virtual machine" } else { "" };
    let bytes =
        |count: u64| if count == 0 { "unknown".into() } else { show(Unit::Bytes, count as f64) };
    let facts = [
        ("started", format!("{}, took {}", date::utc(run.started), duration(run.seconds))),
        ("commit", short_commit(&run.commit)),
        ("processor", format!("{}, {} online{virtual_machine}", machine.cpu, machine.cores)),
        ("last-level cache", bytes(machine.last_level_cache)),
        ("memory", bytes(machine.memory)),
        ("huge pages", machine.huge_pages.clone()),
        ("kernel", machine.kernel.clone()),
    ];
    let settings = run.settings.iter().map(|(name, value)| (name.clone(), value.clone()));
    facts.map(|(name, text)| (name.to_owned(), text)).into_iter().chain(settings).collect()
}

/// The groups in the order of their first rows.
pub fn groups(run: &Run) -> Vec<&str> {
    let mut groups: Vec<&str> = Vec::new();
    for row in &run.rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(&row.group);
        }
    }
    groups
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{} s", digits(seconds));
    }
    let whole = seconds.round() as u64;
    format!("{} min {} s", whole / 60, whole % 60)
}

fn short_commit(commit: &str) -> String {
    let (hash, changes) = commit.split_at(commit.find('+').unwrap_or(commit.len()));
    let short: String = hash.chars().take(HASH_DIGITS).collect();
    if changes.is_empty() { short } else { format!("{short} with changes that are not committed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_short_and_changes_are_said() {
        assert_eq!(short_commit("0123456789abcdef0123"), "0123456789ab");
        assert_eq!(short_commit("unknown"), "unknown");
        assert!(short_commit("0123456789abcdef+changes").ends_with("not committed"));
    }

    #[test]
    fn long_runs_are_told_in_minutes() {
        assert_eq!([duration(3.21), duration(754.6)], ["3.21 s", "12 min 35 s"]);
    }
}
