use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::is_zero;

/// A statement about an object.
// When it changed last is for whoever writes it to say: what is decided here must not depend on a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about; an object has one condition of a type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: Truth,
    /// The `metadata.generation` that it was found for; 0 where none is counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Why, as one word for programs.
    pub reason: String,
    /// Why, for humans.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Neither is claimed.
    Unknown,
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Conditions as they are written at `now`, an RFC 3339 time: each change of what one says counts as a
/// transition, as with Cilium.
#[must_use]
pub fn stamped<'c>(
    conditions: impl IntoIterator<Item = &'c Condition>,
    now: &impl Serialize,
) -> Vec<Value> {
    let stamp = |condition| {
        let mut said = json!(condition);
        said["lastTransitionTime"] = json!(now);
        said
    };
    conditions.into_iter().map(stamp).collect()
}

/// The condition of this type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Puts a condition in the place of the one of its type, or behind all others.
pub fn set(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|held| held.kind == condition.kind) {
        Some(held) => *held = condition,
        None => conditions.push(condition),
    }
}
