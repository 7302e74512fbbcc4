//! A network namespace with a veth pair, and a bpffs: what adoption needs of a host.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use portreeve::steer::{ModeChoice, PortAttach, bpffs};
use tempfile::TempDir;

/// A bpffs on a directory of its own, until dropped.
pub struct Bpffs(TempDir);

impl Bpffs {
    pub fn mount() -> Self {
        let dir = TempDir::with_prefix("portreeve-bpffs-").unwrap();
        assert!(bpffs::ensure(dir.path()).unwrap(), "a temporary directory is no bpffs yet");
        assert!(!bpffs::ensure(dir.path()).unwrap(), "once is enough");
        Self(dir)
    }

    /// Where an instance pins; not there yet.
    pub fn pins(&self) -> PathBuf {
        self.0.path().join("instance")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // Nobody can be told, and the directory is emptied next.
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Runs `test` on a thread with a network namespace of its own, which goes with the thread.
/// Mounts are shared with all other threads.
pub fn in_netns<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        test()
    };
    std::thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Makes the pair `port` - `peer`, both up, with room for jumbo frames.
pub fn veth(port: &str, peer: &str) {
    ip(&["link", "add", port, "mtu", "9001", "type", "veth", "peer", "name", peer, "mtu", "9001"]);
    ip(&["link", "set", port, "up"]);
    ip(&["link", "set", peer, "up"]);
}

pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What to attach to the interface `name` of this thread's network namespace.
pub fn port(name: &str, mode: ModeChoice) -> PortAttach {
    let ifindex = nix::net::if_::if_nametoindex(name).unwrap();
    PortAttach { ifindex, name: name.to_owned(), port_id: 0, queues: 1, mode }
}
