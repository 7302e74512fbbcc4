use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Instructions per packet, and the compiler that made them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// `rustc 1.95.0`: another one makes other code.
    pub compiler: String,
    /// By case.
    pub per_packet: BTreeMap<String, f64>,
}

impl Counts {
    /// What is checked in.
    ///
    /// # Errors
    /// When there is no such file, or it holds something else.
    pub fn read(file: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
    }

    /// Replaces what is checked in.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("write counts as JSON")? + "\n";
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }
}
