use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::error::{SteerError, io};

/// How long a holder may take to die: the kernel lets go of the lock with the last descriptor,
/// which a killed process, or its child between fork and exec, still has for a moment.
const PATIENCE_MS: u32 = 200;

/// Takes `pin_dir` for this process, as long as the descriptor is open.
pub(super) fn lock(pin_dir: &Path) -> Result<OwnedFd, SteerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir =
        open(pin_dir, flags, Mode::empty()).map_err(|errno| io("open", pin_dir)(errno.into()))?;
    for _ in 0..PATIENCE_MS {
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(dir),
            // A blocking lock would tell the moment, but has no time limit.
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
            Err(errno) => return Err(io("lock", pin_dir)(errno.into())),
        }
    }
    Err(SteerError::InUse { path: pin_dir.into() })
}
