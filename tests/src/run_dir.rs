use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::cleanup::Undo;

/// Names of everything that a run leaves in the system begin so, followed by its process id.
pub(crate) const MARK: &str = "pr";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other lab on this machine has: `pr<pid>-<n>`.
#[must_use]
pub fn unique_name() -> String {
    format!("{MARK}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The process that a name of ours belongs to.
pub(crate) fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(MARK)?.split_once('-')?.0.parse().ok()
}

/// A directory that goes with its guard.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _undo: Undo,
}

impl RunDir {
    /// A fresh directory of its own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        Self::at(std::env::temp_dir().join(unique_name()))
    }

    /// This directory, which must not exist yet.
    ///
    /// # Errors
    /// When it exists or cannot be made.
    pub fn at(path: PathBuf) -> Result<Self> {
        std::fs::create_dir(&path)
            .with_context(|| format!("create the directory {}", path.display()))?;
        let gone = path.clone();
        let undo = Undo::on_drop(move || drop(std::fs::remove_dir_all(gone)));
        Ok(Self { path, _undo: undo })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
