//! The worker that is measured, with a network around it: clients behind a router on port 0,
//! backends on port 1. All of it is large enough that flows spread as they would for real.

/// Services, backends, routes.
mod tables;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};
use dataplane::addr::Addr;
use dataplane::counters::Counters;
use dataplane::drop_reason::DropReason;
use dataplane::flow::FlowTableConfig;
use dataplane::pipeline::tx::{AskHop, Lane};
use dataplane::tables::frontend::Mode;
use dataplane::tables::publish::{self, Publisher};
use dataplane::tables::{PortId, Tables};
use dataplane::worker::command::Command;
use dataplane::worker::idle::{Idle, PollMode};
use dataplane::worker::peers::{Bell, Peers};
use dataplane::worker::{Setup, Worker};
use dataplane::xsk::sim::SimSocket;
use dataplane::xsk::umem::Layout;
use dataplane::xsk::{Pool, Umem};

pub use tables::{backend_mac, frontend, routing, tables, vip};

/// The clients' router.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
/// Our two ports.
pub const PORT_MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// Entries of each ring: the default of the product.
pub const RING: usize = 2_048;

/// What a world is like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Flows that the table can hold.
    pub flows: usize,
    /// Services, each with a VIP of its own in both families.
    pub services: u32,
    /// Backends in each family; all serve every service.
    pub backends: u32,
    /// Our source addresses in each family.
    pub sources: u32,
    /// Their ports.
    pub ports: std::ops::RangeInclusive<u16>,
    /// How packets of all services reach the backends.
    pub mode: Mode,
    /// Nanoseconds that each packet takes longer, to see whether it shows.
    pub delay_ns: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            flows: 1 << 20,
            services: 16,
            backends: 64,
            sources: 8,
            ports: 1_024..=65_535,
            mode: Mode::Snat,
            delay_ns: 0,
        }
    }
}

/// Rings and frames as the product lays them out for one queue on each of two ports.
pub struct Rings {
    /// One socket for each port.
    pub sockets: [SimSocket; 2],
    /// The memory of the frames.
    pub umem: Arc<Umem>,
    /// The free ones.
    pub pool: Pool,
}

impl Rings {
    /// Empty rings over fresh memory.
    #[must_use]
    pub fn new() -> Self {
        let layout = Layout { stride: 2_048, count: 4 * RING as u32 + 1_024 };
        let (umem, pool) = Umem::simulated(layout);
        let umem = Arc::new(umem);
        let socket = || {
            let mut socket = SimSocket::new(Arc::clone(&umem), RING);
            socket.forget_sent();
            socket
        };
        Self { sockets: [socket(), socket()], umem, pool }
    }
}

impl Default for Rings {
    fn default() -> Self {
        Self::new()
    }
}

/// Nobody asks: every next hop is known.
pub struct Known;

impl AskHop for Known {
    fn ask(&self, _port: PortId, _addr: Addr) {}
}

/// A worker and what drives it.
pub struct World {
    /// The worker.
    pub worker: Worker<SimSocket>,
    /// Publishes other tables; lent out while another thread does.
    pub publisher: Option<Publisher<Tables>>,
    /// What the worker counts.
    pub counters: Arc<Counters>,
    _commands: Sender<Command>,
}

impl World {
    /// A worker that has seen nothing yet.
    ///
    /// # Errors
    /// When the kernel gives it no epoll instance.
    pub fn new(shape: &Shape) -> Result<Self> {
        let Rings { sockets, umem, pool } = Rings::new();
        let mut port = 0..;
        let lanes = sockets.map(|socket| Lane {
            port: PortId(port.next().unwrap_or_default()),
            queue: 0,
            socket,
            dirty: false,
        });
        let (publisher, readers) = publish::channel(tables(shape), 1);
        let (commands, obey): (_, Receiver<Command>) = unbounded();
        let counters = Arc::new(Counters::new(16_384, 1));
        let (idle, waker) = Idle::new(PollMode::Busy, &[]).context("make an epoll instance")?;
        let mut peers = Peers::introduce(&umem, &[Bell::new(waker)], 64);
        let worker = Worker::new(Setup {
            lanes: lanes.into(),
            umem,
            pool,
            peers: peers.remove(0),
            tables: readers.into_iter().next().context("one reader")?,
            counters: Arc::clone(&counters),
            commands: obey,
            ask: Box::new(Known),
            flows: config(shape),
            idle,
            more_lanes: crossbeam::channel::never(),
            delay_ns: shape.delay_ns,
        });
        Ok(Self { worker, publisher: Some(publisher), counters, _commands: commands })
    }

    /// A packet arrives on a port.
    ///
    /// # Panics
    /// When the rings have no room: the benchmark is wrong then.
    #[inline]
    pub fn inject(&mut self, port: usize, packet: &[u8]) {
        assert!(self.worker.lanes_mut()[port].socket.inject(packet), "the rings have room");
    }

    /// All packets that ended here, by reason, those that never happened left out.
    #[must_use]
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let drops =
            DropReason::ALL.iter().map(|reason| (reason.name(), self.counters.drops(*reason)));
        drops.filter(|(_, count)| *count > 0).collect()
    }
}

/// The flow table of a world.
#[must_use]
pub fn config(shape: &Shape) -> FlowTableConfig {
    FlowTableConfig { flows: shape.flows, pairs: (shape.flows / 16).clamp(1_024, 65_536) }
}
