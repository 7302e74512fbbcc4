use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::error::{SteerError, io};
use super::lock::lock;
use super::{bpffs, link, maps};

/// Takes the steering program off its ports and removes all that is pinned in `pin_dir`, and the
/// directory unless a bpffs is mounted right there. Says how many links there were; none is no
/// error.
///
/// # Errors
/// When an instance runs with this directory, when the directory does not lie on a bpffs or holds
/// files that are not ours, or when the kernel refuses.
pub fn detach(pin_dir: &Path) -> Result<usize, SteerError> {
    bpffs::require(pin_dir)?;
    if !pin_dir.try_exists().map_err(io("inspect", pin_dir))? {
        return Ok(0);
    }
    let _lock = lock(pin_dir)?;
    remove(pin_dir)
}

/// Removes pins and directory, links first: a program without maps would only pass.
pub(super) fn remove(pin_dir: &Path) -> Result<usize, SteerError> {
    let links = link::pinned(pin_dir)?;
    let count = links.len();
    links.into_iter().try_for_each(link::Pinned::discard)?;
    maps::discard(pin_dir)?;
    match fs::remove_dir(pin_dir) {
        // A bpffs mounted right there is not ours to unmount.
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(count),
        removed => removed.map(|()| count).map_err(io("remove", pin_dir)),
    }
}
