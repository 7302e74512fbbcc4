use serde::{Deserialize, Serialize};

use super::metadata::Metadata;

/// An object of which only the metadata is understood here; the rest is kept as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Raw {
    /// Name, labels and annotations.
    pub metadata: Metadata,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}
