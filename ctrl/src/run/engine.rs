//! The data plane as control holds it: packet memory, sockets and worker threads.

/// One worker thread.
pub mod worker;
/// Queues that come while we run.
mod grow;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use crossbeam::channel::{bounded, unbounded};
use dataplane::addr::Addr;
use dataplane::counters::Counters;
use dataplane::pipeline::tx::Lane;
use dataplane::tables::publish::{self, Publisher};
use dataplane::tables::{Hop, HopId, PortId, Tables};
use dataplane::worker::command::Command;
use dataplane::worker::idle::{Idle, PollMode};
use dataplane::worker::peers::{Bell, Peers};
use dataplane::worker::{Setup, last_cores};
use dataplane::xsk::kernel::{BindMode, KernelSocket};
use dataplane::xsk::registered::KernelUmem;
use dataplane::xsk::umem::Layout;
use dataplane::xsk::{Pool, Socket as _};
use tokio::sync::Notify;

use super::hops::{Carried, HopRequests};
use crate::compile::Compiled;
use crate::desired::{self, Desired};
use crate::memory::{self, PortFacts};
use crate::netlink::Netlink;
use crate::steer::{ModeChoice, PortAttach, Steer};
use worker::{COMMANDS, Handle, LaneInlet, WorkerThread};

/// A socket that a worker serves, as control knows it.
#[derive(Debug, Clone, Copy)]
pub struct LaneInfo {
    /// The port.
    pub port: PortId,
    /// Its queue.
    pub queue: u32,
    /// The worker that serves it.
    pub worker: usize,
    /// Whether the kernel granted zero-copy.
    pub zero_copy: bool,
}

/// The data plane.
pub struct Engine {
    publisher: Publisher<Tables>,
    workers: Vec<WorkerThread>,
    ended: Arc<Notify>,
    umem: KernelUmem,
    layout: Layout,
    /// Largest MTU of the ports at the start, in bytes: chunks are as large as that takes.
    mtu: u32,
    /// The sockets in force.
    pub lanes: Vec<LaneInfo>,
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
    /// Makes memory and sockets and starts the workers. Packets come once the sockets are given
    /// to the steering program.
    pub(super) fn start(
        desired: &Desired,
        compiled: &Compiled,
        netlink: &Netlink,
        steer: &mut Steer,
        hops: &HopRequests,
        delay_ns: u64,
    ) -> Result<Self> {
        let settings = &desired.worker;
        let workers = settings.count;
        let queues: Vec<_> = attachments(desired, netlink)?
            .iter()
            .map(|port| (port.port_id, port.name.clone(), port.queues))
            .collect();
        let mtu = compiled.tables.ports.iter().map(|port| u32::from(port.mtu)).max();
        let mtu = mtu.unwrap_or(0);
        let facts = facts(queues.iter().map(|(_, _, count)| *count), workers, mtu);
        let layout = memory::layout(settings, facts);
        let (umem, pool) = packet_memory(layout, settings.ring)?;
        let lanes = bind_all(&umem, &queues, workers)?;
        for lane in lanes.iter().flatten() {
            steer.set_socket(lane.port.0, lane.queue, lane.socket.as_fd())?;
        }
        let infos: Vec<_> = (0..)
            .zip(&lanes)
            .flat_map(|(worker, lanes)| lanes.iter().map(move |lane| LaneInfo::of(worker, lane)))
            .collect();
        let (publisher, readers) = publish::channel(compiled.tables.clone(), workers);
        let mut idles = Vec::new();
        let mut bells = Vec::new();
        let mut watches = Vec::new();
        for lanes in &lanes {
            let (idle, bell) = sleep(settings.poll, lanes)?;
            watches.push(idle.watch().context("share a worker's epoll instance")?);
            idles.push(idle);
            bells.push(bell);
        }
        let ways = memory::handover(layout, workers);
        let peers = Peers::introduce(&umem.memory(), &bells, ways);
        let ended = Arc::new(Notify::new());
        let mut threads = Vec::new();
        let parts = lanes.into_iter().zip(pool.divide(workers)).zip(peers).zip(readers);
        let cores = cores(settings);
        let wakes = idles.into_iter().zip(bells).zip(watches);
        for ((((lanes, pool), peers), tables), ((idle, bell), watch)) in parts.zip(wakes) {
            let number = threads.len();
            let (commands, obey) = bounded(COMMANDS);
            let (give, more_lanes) = unbounded();
            let setup = Setup {
                lanes,
                more_lanes,
                umem: umem.memory(),
                pool,
                peers,
                tables,
                counters: Arc::new(Counters::new(memory::FRONTEND_COUNTERS, workers)),
                commands: obey,
                ask: hops.asker(),
                flows: memory::flow_table(settings),
                idle,
                delay_ns,
            };
            let core = cores.get(number).copied();
            let handle = Handle { commands, bell };
            let inlet = LaneInlet { give, watch };
            threads.push(WorkerThread::start(number, setup, core, (handle, inlet), &ended)?);
        }
        let carried = Carried::default();
        Ok(Self { publisher, workers: threads, ended, umem, layout, mtu, lanes: infos, carried })
    }

    /// Makes `tables` the ones that the workers use from their next burst on.
    pub(super) fn publish(&mut self, tables: Tables) {
        self.publisher.publish(tables);
        for worker in &self.workers {
            worker.handle.wake();
        }
    }

    /// Whether no worker looks into older tables, those left out that are `excused`.
    pub(super) fn adopted(&self, excused: impl Fn(usize) -> bool) -> bool {
        self.publisher.behind(self.publisher.epoch()).all(excused)
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

    /// The workers, by their numbers.
    #[must_use]
    pub fn workers(&self) -> &[WorkerThread] {
        &self.workers
    }

    /// What all workers together have counted.
    pub(super) fn sum(&self, count: impl Fn(&Counters) -> u64) -> u64 {
        self.workers.iter().map(|worker| count(&worker.counters)).sum()
    }

    /// Has a worker tell a link that we have an address.
    /// Returns whether it could take that up.
    pub(super) fn announce(&self, addr: Addr, port: PortId) -> bool {
        self.workers
            .first()
            .is_some_and(|worker| worker.handle.command(Command::Announce { addr, port }))
    }

    /// What it takes to ask the workers something, for a task of its own.
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.workers.iter().map(|worker| worker.handle.clone()).collect()
    }

    /// Notified when a worker thread ends.
    pub(super) fn ended(&self) -> &Notify {
        &self.ended
    }

    /// Next hops that have carried packets since the last call.
    pub(super) fn hops_used(&mut self, tables: &Tables) -> Vec<(HopId, Hop)> {
        let mut used = Vec::new();
        let mut carried = Carried::new();
        for (id, hop) in tables.routing.hops() {
            let packets = self.sum(|counters| counters.hop_packets(id));
            if packets != self.carried.get(&id).copied().unwrap_or(0) {
                used.push((id, *hop));
            }
            carried.insert(id, packets);
        }
        self.carried = carried;
        used
    }

    /// Ends the workers and waits for them.
    pub(super) fn stop(&mut self) {
        for worker in &self.workers {
            worker.tell_to_stop();
        }
        for worker in &mut self.workers {
            worker.await_end();
        }
    }
}

impl LaneInfo {
    fn of(worker: usize, lane: &Lane<KernelSocket>) -> Self {
        Self { port: lane.port, queue: lane.queue, worker, zero_copy: lane.socket.zero_copy() }
    }
}

fn packet_memory(layout: Layout, ring: u32) -> Result<(KernelUmem, Pool)> {
    let (umem, pool) = KernelUmem::new(layout, ring)?;
    let (frames, frame_bytes, pages) = (layout.count, layout.stride, umem.pages().name());
    tracing::info!(frames, frame_bytes, pages, "packet memory");
    Ok((umem, pool))
}

/// What a worker sleeps on, and how it is woken.
fn sleep(poll: desired::PollMode, lanes: &[Lane<KernelSocket>]) -> Result<(Idle, Bell)> {
    let fds: Vec<_> = lanes.iter().filter_map(|lane| lane.socket.fd()).collect();
    let (idle, waker) =
        Idle::new(poll_mode(poll), &fds).context("make a worker's epoll instance")?;
    Ok((idle, Bell::new(waker)))
}

fn facts(queues: impl Iterator<Item = u32> + Clone, workers: usize, mtu: u32) -> PortFacts {
    PortFacts {
        queues: queues.clone().map(|count| count as usize).sum(),
        busiest: queues.map(|count| (count as usize).div_ceil(workers)).sum(),
        mtu,
    }
}

const COPY: BindMode = BindMode { zero_copy: false, scatter_gather: true };

/// The sockets of each worker: the queues of a port take turns. One UMEM has one mode: zero-copy only
/// when every queue can, else copy for all.
fn bind_all(
    umem: &KernelUmem,
    queues: &[(u8, String, u32)],
    workers: usize,
) -> Result<Vec<Vec<Lane<KernelSocket>>>> {
    let mut lanes: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for (port, name, count) in queues {
        for queue in 0..*count {
            let socket = KernelSocket::bind(umem, name, queue, COPY)?;
            lanes[queue as usize % workers].push(Lane {
                port: PortId(*port),
                queue,
                socket,
                dirty: false,
            });
        }
    }
    Ok(lanes)
}

/// The core of each worker: as the configuration says, else the last ones that the process may use. A
/// worker for which there is none is not pinned.
fn cores(settings: &desired::WorkerSettings) -> Vec<usize> {
    let cores = match settings.cores.as_slice() {
        [] => last_cores(settings.count),
        named => named.to_vec(),
    };
    if cores.len() < settings.count {
        tracing::warn!(
            workers = settings.count,
            cores = cores.len(),
            "more workers than cores: those without one are not pinned, and all share"
        );
    }
    cores
}

const fn poll_mode(mode: desired::PollMode) -> PollMode {
    match mode {
        desired::PollMode::Busy => PollMode::Busy,
        desired::PollMode::Adaptive => PollMode::Adaptive,
        desired::PollMode::Interrupt => PollMode::Interrupt,
    }
}
