use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::cleanup::Undo;

/// A bpffs of one's own, outside every namespace of the lab. Unmounting it drops the pins in it,
/// and with them the program that a killed appliance leaves on its ports.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
    _undo: Undo,
}

impl Bpffs {
    /// Mounts one at `path`, a directory that is made for it.
    ///
    /// # Errors
    /// Without the right to mount.
    pub fn mount(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount a bpffs at {}", path.display()))?;
        let gone = path.clone();
        let undo = Undo::on_drop(move || unmount(&gone));
        Ok(Self { path, _undo: undo })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Unmounts the bpffs at `path`, also while something has it open.
pub fn unmount(path: &Path) {
    // It may be gone already.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = std::fs::remove_dir(path);
}
