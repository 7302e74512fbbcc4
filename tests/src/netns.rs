use std::fs::File;
use std::path::Path;
use std::sync::Once;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cleanup::Undo;
use crate::iproute::ip;
use crate::run_dir::{is_orphan, sweep};

const DIR: &str = "/run/netns";

/// A network namespace that goes with its guard. Only the network is separate: mounts are shared
/// with the test, so that a bpffs is the same inside and outside.
#[derive(Debug)]
pub struct Netns {
    name: String,
    file: File,
    _undo: Undo,
}

impl Netns {
    /// Makes the namespace `name`.
    ///
    /// # Errors
    /// When it exists already, or without the right to make it.
    pub fn create(name: &str) -> Result<Self> {
        sweep_once();
        ip(&["netns", "add", name])?;
        let gone = name.to_owned();
        let undo = Undo::on_drop(move || remove(&gone));
        let path = Path::new(DIR).join(name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { name: name.to_owned(), file, _undo: undo })
    }

    /// Its name, as `ip netns` has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `action` inside, on a thread of its own; a panic in it goes on in the caller.
    ///
    /// # Errors
    /// When the thread may not enter the namespace.
    pub fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("enter the network namespace {}", self.name))?;
            Ok(action())
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Ends every process inside the namespace `name`, then removes it.
pub fn remove(name: &str) {
    let inside = ip(&["netns", "pids", name]).unwrap_or_default();
    for pid in inside.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        // It may have ended by itself meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    // Nothing is left to do when it is gone already.
    let _ = ip(&["netns", "del", name]);
}

/// Names of the namespaces that begin with `prefix`.
#[must_use]
pub fn list(prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(DIR) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

/// Removes what runs left that were killed with -9: their process is gone, their names are not.
fn sweep_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for name in list("").iter().filter(|name| is_orphan(name)) {
            remove(name);
        }
        sweep();
    });
}
