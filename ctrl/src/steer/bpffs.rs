use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use rustix::fs::{major, minor, statfs};

use super::error::{SteerError, io};

/// `BPF_FS_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0xcafe_4a11;

/// Makes `dir` a bpffs unless it lies on one already. Says whether it mounted one.
///
/// # Errors
/// When the directory cannot be made, or without the right to mount.
pub fn ensure(dir: &Path) -> Result<bool, SteerError> {
    make_dir(dir)?;
    if is_bpffs(dir)? {
        return Ok(false);
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), dir, Some("bpf"), flags, Some("mode=0700"))
        .map_err(|errno| io("mount a bpffs at", dir)(errno.into()))?;
    Ok(true)
}

/// Refuses a pin directory whose bpffs process 1 does not see: it lies in a mount namespace of our
/// own, as `ip netns exec` and some units make one, goes when the last process in that ends, and
/// takes links and program along. Where process 1 is of the same container, it sees what we see,
/// and nothing is refused.
///
/// # Errors
/// [`SteerError::PrivateMount`], or when process 1's mounts cannot be read.
pub fn refuse_private(pin_dir: &Path) -> Result<(), SteerError> {
    let device = nearest_existing(pin_dir).metadata().map_err(io("inspect", pin_dir))?.dev();
    let first = "/proc/1/mountinfo";
    let mounts = fs::read_to_string(first).map_err(io("read", first))?;
    if is_mounted(device, &mounts) {
        return Ok(());
    }
    Err(SteerError::PrivateMount { path: pin_dir.into() })
}

/// Checks that `pin_dir` lies on a bpffs, and makes it.
pub(super) fn open(pin_dir: &Path) -> Result<(), SteerError> {
    require(pin_dir)?;
    make_dir(pin_dir)
}

/// Checks that `pin_dir`, which need not exist yet, lies on a bpffs.
///
/// # Errors
/// [`SteerError::NotBpffs`], or when that cannot be seen.
pub fn require(pin_dir: &Path) -> Result<(), SteerError> {
    let existing = nearest_existing(pin_dir);
    if is_bpffs(&existing)? {
        return Ok(());
    }
    Err(SteerError::NotBpffs { path: pin_dir.into() })
}

fn make_dir(dir: &Path) -> Result<(), SteerError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("create", dir))
}

fn is_bpffs(dir: &Path) -> Result<bool, SteerError> {
    let stat = statfs(dir).map_err(|errno| io("inspect the file system of", dir)(errno.into()))?;
    // The kernel's magic is 32 bits wide; f_type is signed and wider.
    Ok(u64::from(stat.f_type as u32) == MAGIC)
}

fn nearest_existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).into()
}

/// Whether `mountinfo` (proc_pid_mountinfo(5)) names the file system with this device number.
fn is_mounted(device: u64, mountinfo: &str) -> bool {
    let wanted = format!("{}:{}", major(device), minor(device));
    mountinfo.lines().any(|line| line.split(' ').nth(2) == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 22 0:28 / /run/portreeve rw,nosuid - bpf bpf rw,mode=700
";

    #[test]
    fn finds_a_file_system_by_its_device_number() {
        assert!(is_mounted(rustix::fs::makedev(0, 28), MOUNTINFO));
        assert!(is_mounted(rustix::fs::makedev(254, 0), MOUNTINFO));
        assert!(!is_mounted(rustix::fs::makedev(0, 2), MOUNTINFO));
        assert!(!is_mounted(rustix::fs::makedev(0, 29), MOUNTINFO));
    }

    #[test]
    fn refuses_a_pin_directory_on_another_file_system() {
        let error = require(Path::new("/proc/nowhere/pins")).unwrap_err();
        assert!(matches!(error, SteerError::NotBpffs { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("/proc/nowhere/pins is not on a bpffs"), "{text}");
        assert!(
            text.ends_with("mount -t bpf bpf /sys/fs/bpf"),
            "never over a directory in use: {text}"
        );
    }
}
