//! One worker thread as control holds it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dataplane::counters::Counters;
use dataplane::worker::command::Command;
use dataplane::worker::peers::Bell;
use dataplane::worker::{Setup, Worker};
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
        handle: Handle,
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
        Ok(Self { number, core, counters, handle, thread: Some(thread), closed })
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
