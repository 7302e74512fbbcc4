use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::bpffs::unmount;
use crate::cleanup::Undo;

/// Names of everything that a run leaves in the system begin so, followed by its process id.
const MARK: &str = "prlab";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A name that no other lab on this machine has: `prlab<pid>-<n>`.
#[must_use]
pub fn unique_name() -> String {
    format!("{MARK}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The process that a name of ours belongs to.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(MARK)?.split_once('-')?.0.parse().ok()
}

/// Whether a name belongs to a process that is gone without having tidied up.
pub(crate) fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Removes directories, and the bpffs in them, of runs that were killed with -9.
pub(crate) fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_orphan) {
            unmount(&entry.path().join("bpf"));
            // Somebody else's leftovers are no reason to fail.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_process_that_made_them() {
        assert_eq!(owner(&unique_name()), Some(std::process::id()));
        assert!(!is_orphan(&unique_name()));
        assert!(is_orphan("prlab4194305-0"), "above the kernel's largest process id");
        assert_eq!(owner("portreeve-demo"), None);
        assert_eq!(owner("pr12-review"), None);
    }
}
