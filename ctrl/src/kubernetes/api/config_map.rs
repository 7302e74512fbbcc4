use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::null;

/// Settings of somebody, as texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Name and namespace.
    pub metadata: Metadata,
    /// Texts by key.
    #[serde(deserialize_with = "null::as_empty")]
    pub data: BTreeMap<String, String>,
}
