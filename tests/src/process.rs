use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setpriority_process, setrlimit,
};

use crate::cleanup::Undo;
use crate::netns::Netns;
use crate::program::search_path;

/// The highest ordinary priority.
pub const FIRST: i32 = -20;

/// As many open files as this process may have at all: thousands of connections need more than it is
/// given at first.
pub fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Whoever needs more than there are finds out by itself.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// A program in the background; killed when the guard goes.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Arc<Mutex<Child>>,
    pid: u32,
    ended: OwnedFd,
    _undo: Undo,
}

impl Process {
    /// Starts `command` inside `netns`, in a process group of its own: Ctrl-C reaches the test,
    /// which then ends its programs in order.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(netns: &Netns, mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.env("PATH", search_path()).process_group(0);
        let child = netns
            .enter(|| command.spawn())?
            .with_context(|| format!("start {name} in {}", netns.name()))?;
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        let gone = Arc::clone(&child);
        let undo = Undo::on_drop(move || {
            let mut child = gone.lock().unwrap_or_else(PoisonError::into_inner);
            // Both fail harmlessly when it has ended and been waited for.
            let _ = child.kill();
            let _ = child.wait();
        });
        let raw = i32::try_from(pid).context("process id")?;
        let raw = rustix::process::Pid::from_raw(raw).context("process id 0")?;
        let ended = pidfd_open(raw, PidfdFlags::empty())
            .with_context(|| format!("open a descriptor of process {pid} ({name})"))?;
        Ok(Self { name, child, pid, ended, _undo: undo })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A descriptor that becomes readable when the program ends.
    #[must_use]
    pub fn ended(&self) -> &OwnedFd {
        &self.ended
    }

    /// Its standard output, once, when that was piped.
    #[must_use]
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).stdout.take()
    }

    /// Gives its threads whose names begin so the highest ordinary priority. What shall have a core of its
    /// own has nearly one then, on a machine that has not so many.
    ///
    /// # Errors
    /// When it has ended, or without the right to.
    pub fn prefer_threads(&self, name: &str) -> Result<()> {
        let tasks = format!("/proc/{}/task", self.pid);
        for task in std::fs::read_dir(&tasks).with_context(|| tasks.clone())? {
            let task = task?;
            // Threads of no concern come and go.
            let comm = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if comm.starts_with(name) {
                let id = task.file_name().to_str().and_then(|id| id.parse().ok());
                let id = id.and_then(rustix::process::Pid::from_raw).context("a thread's id")?;
                setpriority_process(Some(id), FIRST).context("raise a thread's priority")?;
            }
        }
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).context("process id")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("send {signal} to {} ({pid})", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn wait_exit(&self, timeout: Duration) -> Result<ExitStatus> {
        let timeout = Timespec::try_from(timeout).context("timeout out of range")?;
        let mut fds = [PollFd::new(&self.ended, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&timeout)).context("wait for a process")?;
        ensure!(ready > 0, "{} (process {}) still runs", self.name, self.pid);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.wait().with_context(|| format!("collect {} ({})", self.name, self.pid))
    }
}
