//! The host seen with our eyes. Facts are gathered once; each check is a function from facts to
//! findings, so that it can be shown a host that is not there.

use serde::{Deserialize, Serialize};

/// What is looked at.
pub mod facts;
/// The kernel, the rights of a process, memory, the clock.
mod host;
/// Interfaces.
mod ports;
/// Addresses, routes, neighbours, MTUs.
mod paths;
/// Who else has our addresses.
mod owners;
/// What the running gateway says of itself.
mod running;

pub use facts::Facts;
pub use owners::owners;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Packets are lost, or a start is refused.
    Error,
    /// It works, but not as it should, or not for everybody.
    Warning,
    /// Looked at, and nothing is wrong.
    Fine,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word that does not change, for scripts; docs/wrong-setups.md explains those of trouble.
    pub id: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Finding {
    fn new(severity: Severity, id: &str, what: impl Into<String>) -> Self {
        Self { severity, id: id.to_owned(), what: what.into(), help: None }
    }

    fn error(id: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..Self::new(Severity::Error, id, what) }
    }

    fn warning(id: &str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..Self::new(Severity::Warning, id, what) }
    }

    fn fine(id: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Fine, id, what)
    }
}

/// Everything that there is to say, the worst first.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    host::examine(facts, &mut findings);
    ports::examine(facts, &mut findings);
    paths::examine(facts, &mut findings);
    running::examine(facts, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings
}
