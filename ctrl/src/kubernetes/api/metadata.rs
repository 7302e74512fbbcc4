use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::null;

/// The metadata of an object (`ObjectMeta`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Unique among the objects of its kind, within its namespace if it has one.
    pub name: String,
    /// Empty for objects of the whole cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Tells an object from an earlier one of the same name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Counts the changes of `spec`; 0 for kinds that do not count them.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When it was made.
    #[serde(deserialize_with = "null::as_empty")]
    pub creation_timestamp: Timestamp,
    /// For selectors.
    #[serde(deserialize_with = "null::as_empty")]
    pub labels: BTreeMap<String, String>,
    /// For everything else.
    #[serde(deserialize_with = "null::as_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A point in time as the API server writes it: RFC 3339, UTC, whole seconds. All have one form, so
/// that their order as text is their order in time; the empty one is before all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub String);

/// Where a namespaced object is: by namespace, then name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Metadata {
    /// Where the object is.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Its place in the order by age, then namespace and name: the order in which we do what Cilium
    /// does in an order that varies.
    #[must_use]
    pub fn seniority(&self) -> (&Timestamp, &str, &str) {
        (&self.creation_timestamp, &self.namespace, &self.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) fn is_zero(number: &i64) -> bool {
    *number == 0
}
