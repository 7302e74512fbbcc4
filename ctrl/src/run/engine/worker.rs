//! One worker thread as control holds it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dataplane::counters::Counters;
use dataplane::pipeline::tx::Lane;
use dataplane::worker::command::Command;
use dataplane::worker::idle::Watch;
use dataplane::worker::peers::Bell;
use dataplane::worker::{Setup, Worker};
use dataplane::xsk::Socket as _;
use dataplane::xsk::kernel::KernelSocket;
use tokio::sync::Notify;

use crate::privileges::{self, Role};

/// How long a worker may take until it has room for the command to stop, and then to end.
const STOP: Duration = Duration::from_secs(1);
/// Commands that may wait for a worker.
pub(super) const COMMANDS: usize = 256;

/// What it takes to ask a worker something.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: Sender<Command>,
    pub(super) bell: Bell,
}

impl Handle {
    /// Hands a command to the worker and wakes it. Returns whether there was room; without it the
    /// command is dropped, and with it the way back for an answer, which its asker notices.
    pub(in crate::run) fn command(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        self.wake();
        taken
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.bell.wake() {
            tracing::warn!("cannot wake a worker: {error}");
        }
    }
}

/// How a worker is given sockets of queues that came while it runs.
pub(super) struct LaneInlet {
    pub(super) give: Sender<Lane<KernelSocket>>,
    pub(super) watch: Watch,
}

impl LaneInlet {
    /// Hands a socket to the worker, which takes it when it is told to.
    fn give(&self, lane: Lane<KernelSocket>) -> Result<()> {
        if let Some(fd) = lane.socket.fd() {
            self.watch.add(fd).context("have a worker watch one more socket")?;
        }
        self.give.send(lane).map_err(|_| anyhow!("the worker has ended"))
    }
}

/// Says that the worker thread has ended, however it did: to the loop, and by the closed channel
/// to whoever waits for the end.
struct Ended {
    notify: Arc<Notify>,
    _open: Sender<()>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.notify.notify_one();
    }
}

/// A running worker.
pub struct WorkerThread {
    number: usize,
    /// The core that it is pinned to.
    pub core: Option<usize>,
    /// What it has counted.
    pub counters: Arc<Counters>,
    pub(super) handle: Handle,
    inlet: LaneInlet,
    thread: Option<JoinHandle<()>>,
    /// Closes when the thread ends.
    closed: Receiver<()>,
}

impl WorkerThread {
    /// Starts a worker on `core`; `ended` is notified when its thread ends.
    pub(super) fn start(
        number: usize,
        setup: Setup<KernelSocket>,
        core: Option<usize>,
        (handle, inlet): (Handle, LaneInlet),
        ended: &Arc<Notify>,
    ) -> Result<Self> {
        let counters = Arc::clone(&setup.counters);
        let (open, closed) = bounded(0);
        let guard = Ended { notify: Arc::clone(ended), _open: open };
        let thread = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                let _ended = guard;
                if let Err(error) = privileges::drop_for_this_thread(Role::Worker) {
                    tracing::warn!("{error:#}");
                }
                Worker::new(setup).run(core);
            })
            .with_context(|| format!("start the thread of worker {number}"))?;
        Ok(Self { number, core, counters, handle, inlet, thread: Some(thread), closed })
    }

    /// Has the worker serve one more socket.
    pub(super) fn add_lane(&self, lane: Lane<KernelSocket>) -> Result<()> {
        self.inlet.give(lane)?;
        // Without room for the command, the next one takes this socket, too.
        if !self.handle.command(Command::TakeLanes) {
            bail!("worker {} takes no commands", self.number);
        }
        Ok(())
    }

    /// Asks the worker to end.
    pub(super) fn tell_to_stop(&self) {
        // A worker that takes no command for so long will not end by being asked; one that has
        // ended takes none either.
        if self.handle.commands.send_timeout(Command::Stop, STOP).is_err() {
            tracing::warn!("worker {} does not take the command to stop", self.number);
        }
        self.handle.wake();
    }

    /// Waits for the end of a worker that was told to stop.
    pub(super) fn await_end(&mut self) {
        // Nobody sends: the channel ends with the thread, or this wait does.
        let open = self.closed.recv_timeout(STOP) == Err(RecvTimeoutError::Timeout);
        if open {
            tracing::error!("worker {} does not listen; it ends with the process", self.number);
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("worker {} had panicked", self.number);
        }
    }
}
