use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dataplane::addr::Addr;
use dataplane::counters::Counters;
use dataplane::pipeline::tx::{AskHop, Lane};
use dataplane::tables::publish::{self, Publisher};
use dataplane::tables::{Hop, HopId, PortId, Tables};
use dataplane::worker::command::Command;
use dataplane::worker::idle::{Idle, PollMode};
use dataplane::worker::{Setup, Worker, default_core};
use dataplane::xsk::Socket as _;
use dataplane::xsk::kernel::{BindMode, KernelSocket};
use dataplane::xsk::registered::KernelUmem;
use mio::Waker;
use tokio::sync::Notify;

use super::hops::Carried;
use crate::compile::Compiled;
use crate::desired::{self, Desired};
use crate::memory::{self, PortFacts};
use crate::netlink::Netlink;
use crate::privileges::{self, Role};
use crate::steer::{ModeChoice, PortAttach, Steer};

/// How long a worker may take until it has room for the command to stop, and then to end.
const STOP: Duration = Duration::from_secs(1);
/// Commands that may wait for a worker.
const COMMANDS: usize = 256;

/// A socket that a worker serves, as control knows it.
#[derive(Debug, Clone, Copy)]
pub struct LaneInfo {
    /// The port.
    pub port: PortId,
    /// Its queue.
    pub queue: u32,
    /// Whether the kernel granted zero-copy.
    pub zero_copy: bool,
}

/// What it takes to ask a worker something.
#[derive(Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands a command to the worker and wakes it. Returns whether there was room; without it the
    /// command is dropped, and with it the way back for an answer, which its asker notices.
    pub(super) fn command(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        if let Err(error) = self.waker.wake() {
            tracing::warn!("cannot wake the worker: {error}");
        }
        taken
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

/// The data plane as control holds it.
pub struct Engine {
    publisher: Publisher<Tables>,
    counters: Arc<Counters>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    ended: Arc<Notify>,
    /// Closes when the thread ends.
    closed: Receiver<()>,
    /// The sockets in force.
    pub lanes: Vec<LaneInfo>,
    /// The core that the worker is pinned to.
    pub core: Option<usize>,
    carried: Carried,
}

/// What the steering program is to be attached to.
pub(super) fn attachments(desired: &Desired, netlink: &Netlink) -> Result<Vec<PortAttach>> {
    (0..)
        .zip(&desired.ports)
        .map(|(port_id, port)| {
            let name = port.name.as_str();
            let link = netlink.topology().link(name);
            let link = link.ok_or_else(|| anyhow!("port {name}: there is no such interface"))?;
            let mode = match port.mode {
                desired::XdpMode::Auto => ModeChoice::Auto,
                desired::XdpMode::Native => ModeChoice::Native,
                desired::XdpMode::Skb => ModeChoice::Skb,
            };
            let queues = link.rx_queues.max(1);
            Ok(PortAttach { ifindex: link.ifindex, name: name.to_owned(), port_id, queues, mode })
        })
        .collect()
}

impl Engine {
    /// Makes memory and sockets and starts the worker. Packets come once the sockets are given
    /// to the steering program.
    pub(super) fn start(
        desired: &Desired,
        compiled: &Compiled,
        netlink: &Netlink,
        steer: &mut Steer,
        ask: Box<dyn AskHop + Send>,
        delay_ns: u64,
    ) -> Result<Self> {
        let queues: Vec<_> = attachments(desired, netlink)?
            .iter()
            .map(|port| (port.port_id, port.name.clone(), port.queues))
            .collect();
        let facts = PortFacts {
            queues: queues.iter().map(|(_, _, count)| *count as usize).sum(),
            mtu: compiled.tables.ports.iter().map(|port| u32::from(port.mtu)).max().unwrap_or(0),
        };
        let layout = memory::layout(&desired.worker, facts);
        let (umem, pool) = KernelUmem::new(layout, desired.worker.ring)?;
        tracing::info!(
            frames = layout.count,
            frame_bytes = layout.stride,
            pages = umem.pages().name(),
            "packet memory"
        );
        let lanes = bind_all(&umem, &queues)?;
        for lane in &lanes {
            steer.set_socket(lane.port.0, lane.queue, lane.socket.as_fd())?;
        }
        let infos: Vec<_> = lanes.iter().map(LaneInfo::of).collect();
        let fds: Vec<_> = lanes.iter().filter_map(|lane| lane.socket.fd()).collect();
        let (idle, waker) = Idle::new(poll_mode(desired.worker.poll), &fds)
            .context("make the worker's epoll instance")?;
        let (publisher, readers) = publish::channel(compiled.tables.clone(), 1);
        let tables = readers.into_iter().next().context("one reader for one worker")?;
        let (commands, obey) = bounded(COMMANDS);
        let counters = Arc::new(Counters::new(memory::FRONTEND_COUNTERS));
        let setup = Setup {
            lanes,
            umem: umem.memory(),
            pool,
            tables,
            counters: Arc::clone(&counters),
            commands: obey,
            ask,
            flows: memory::flow_table(&desired.worker),
            idle,
            delay_ns,
        };
        let core = desired.worker.core.or_else(default_core);
        let ended = Arc::new(Notify::new());
        let (open, closed) = bounded(0);
        let guard = Ended { notify: Arc::clone(&ended), _open: open };
        let thread = Some(spawn(setup, core, guard)?);
        let carried = Carried::default();
        let handle = Handle { commands, waker };
        Ok(Self { publisher, counters, handle, thread, ended, closed, lanes: infos, core, carried })
    }

    /// Makes `tables` the ones that the worker uses from its next burst on.
    pub(super) fn publish(&mut self, tables: Tables) {
        self.publisher.publish(tables);
        if let Err(error) = self.handle.waker.wake() {
            tracing::warn!("cannot wake the worker: {error}");
        }
    }

    /// Whether the worker looks into no older tables.
    pub(super) fn adopted(&self) -> bool {
        self.publisher.all_adopted(self.publisher.epoch())
    }

    /// The epoch of the tables published last.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.publisher.epoch().get()
    }

    /// Frees tables that no worker holds any more.
    pub(super) fn reap(&mut self) {
        self.publisher.reap();
    }

    /// What the worker has counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Has the worker tell a link that we have an address.
    /// Returns whether it could take that up.
    pub(super) fn announce(&self, addr: Addr, port: PortId) -> bool {
        self.handle.command(Command::Announce { addr, port })
    }

    /// What it takes to ask the worker something, for a task of its own.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Notified when the worker thread ends.
    pub(super) fn ended(&self) -> &Notify {
        &self.ended
    }

    /// Next hops that have carried packets since the last call.
    pub(super) fn hops_used(&mut self, tables: &Tables) -> Vec<(HopId, Hop)> {
        let mut used = Vec::new();
        let mut carried = Carried::new();
        for (id, hop) in tables.routing.hops() {
            let packets = self.counters.hop_packets(id);
            if packets != self.carried.get(&id).copied().unwrap_or(0) {
                used.push((id, *hop));
            }
            carried.insert(id, packets);
        }
        self.carried = carried;
        used
    }

    /// Ends the worker and waits for it.
    pub(super) fn stop(&mut self) {
        // A worker that takes no command for so long will not end by being asked; one that has
        // ended takes none either.
        let told = self.handle.commands.send_timeout(Command::Stop, STOP);
        if told.is_err() {
            tracing::warn!("the worker does not take the command to stop");
        }
        if let Err(error) = self.handle.waker.wake() {
            tracing::warn!("cannot wake the worker: {error}");
        }
        // Nobody sends: the channel ends with the thread, or this wait does.
        let open = self.closed.recv_timeout(STOP) == Err(RecvTimeoutError::Timeout);
        if open {
            tracing::error!("the worker does not listen; it ends with the process");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the worker had panicked");
        }
    }
}

impl LaneInfo {
    fn of(lane: &Lane<KernelSocket>) -> Self {
        Self { port: lane.port, queue: lane.queue, zero_copy: lane.socket.zero_copy() }
    }
}

/// One UMEM has one mode: zero-copy only when every queue can, else copy for all.
fn bind_all(umem: &KernelUmem, queues: &[(u8, String, u32)]) -> Result<Vec<Lane<KernelSocket>>> {
    let copy = BindMode { zero_copy: false, scatter_gather: true };
    let mut lanes = Vec::new();
    for (port, name, count) in queues {
        for queue in 0..*count {
            let socket = KernelSocket::bind(umem, name, queue, copy)?;
            lanes.push(Lane { port: PortId(*port), queue, socket, dirty: false });
        }
    }
    Ok(lanes)
}

fn spawn(setup: Setup<KernelSocket>, core: Option<usize>, ended: Ended) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("worker-0".into())
        .spawn(move || {
            let _ended = ended;
            if let Err(error) = privileges::drop_for_this_thread(Role::Worker) {
                tracing::warn!("{error:#}");
            }
            Worker::new(setup).run(core);
        })
        .context("start the worker thread")
}

const fn poll_mode(mode: desired::PollMode) -> PollMode {
    match mode {
        desired::PollMode::Busy => PollMode::Busy,
        desired::PollMode::Adaptive => PollMode::Adaptive,
        desired::PollMode::Interrupt => PollMode::Interrupt,
    }
}
