use crate::addr::{Addr, L4Port, Proto};
use crate::capture::Recorder;
use crate::flow::{Flow, FlowTable, State};
use crate::pipeline::rehearse::{FlowName, KnownFlow};
use crate::tables::frontend::Mode;
use crate::tables::{FrontendId, PortId, Tables};
use crate::time::Tick;

/// What control may ask of a worker. Answers come by a function that must not block.
pub enum Command {
    /// Tell the link of `port` that we have `addr` (gratuitous ARP, unsolicited advertisement).
    Announce {
        /// The address.
        addr: Addr,
        /// The port.
        port: PortId,
    },
    /// Show some flows.
    ListFlows(ListFlows),
    /// Show one flow, if the worker has it.
    FindFlow(FlowName, Box<dyn FnOnce(Option<KnownFlow>) + Send>),
    /// Say where every chunk is.
    TakeCensus(Box<dyn FnOnce(Census) + Send>),
    /// Copy packets from now on, and say so.
    BeginCapture(Box<Recorder>, Box<dyn FnOnce() + Send>),
    /// Copy no more packets, and give back what copied them, if there is such a thing.
    EndCapture(Box<dyn FnOnce(Option<Box<Recorder>>) + Send>),
    /// Take the sockets that wait for it.
    TakeLanes,
    /// End the loop.
    Stop,
}

/// Where the chunks of the UMEM are that one worker holds, or all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// All chunks.
    pub total: usize,
    /// Free ones.
    pub pool: usize,
    /// In fill and rx rings, and in chains half received.
    pub rx: usize,
    /// In tx and completion rings.
    pub tx: usize,
    /// Waiting for a next hop, or for the first fragment of their datagram.
    pub waiting: usize,
    /// On the way from one worker to another, or home.
    pub between: usize,
    /// Packets that the kernel dropped because an rx ring was full.
    pub rx_ring_full: u64,
    /// Packets that the kernel dropped because a fill ring was empty.
    pub fill_ring_empty: u64,
}

impl Census {
    /// Whether every chunk is accounted for. With several workers this holds for the sum of them,
    /// while no packets come: workers owe each other chunks.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.pool + self.rx + self.tx + self.waiting + self.between == self.total
    }
}

impl std::iter::Sum for Census {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            total: a.total + b.total,
            pool: a.pool + b.pool,
            rx: a.rx + b.rx,
            tx: a.tx + b.tx,
            waiting: a.waiting + b.waiting,
            between: a.between + b.between,
            rx_ring_full: a.rx_ring_full + b.rx_ring_full,
            fill_ring_empty: a.fill_ring_empty + b.fill_ring_empty,
        })
    }
}

/// One flow, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowInfo {
    /// TCP or UDP.
    pub proto: Proto,
    /// Address and port of the client.
    pub client: (Addr, L4Port),
    /// What it talks to; `None` when that was removed.
    pub vip: Option<(Addr, L4Port)>,
    /// The frontend, to find the service by.
    pub frontend: FrontendId,
    /// How its packets are forwarded.
    pub mode: Mode,
    /// Our address and port towards the backend; no address: removed, or the mode takes none.
    pub snat: (Option<Addr>, L4Port),
    /// The backend.
    pub backend: (Addr, L4Port),
    /// Where the connection stands.
    pub state: State,
    /// Milliseconds since the last packet.
    pub idle_ms: u32,
}

/// Some flows, starting from a place of the table.
pub struct ListFlows {
    /// The place to start from: 0, or what the last answer said.
    pub cursor: usize,
    /// Places to look at, at most: bounds the time that packets wait.
    pub places: usize,
    /// Filled by the worker; its memory is control's, so that the worker allocates nothing while
    /// it has room.
    pub buffer: Vec<FlowInfo>,
    /// Called with the flows and the place to go on from.
    pub reply: Box<dyn FnOnce(Vec<FlowInfo>, Option<usize>) + Send>,
}

impl ListFlows {
    pub(super) fn answer(self, tables: &Tables, flows: &FlowTable, now: Tick) {
        let places = self.places.min(self.buffer.capacity() - self.buffer.len());
        let mut buffer = self.buffer;
        let (found, next) = flows.list(self.cursor, places);
        buffer.extend(found.map(|flow| describe(tables, flows, flow, now)));
        (self.reply)(buffer, next);
    }
}

fn describe(tables: &Tables, flows: &FlowTable, flow: &Flow, now: Tick) -> FlowInfo {
    let pair = flows.pair(flow.pair);
    FlowInfo {
        proto: flow.proto,
        client: (flow.client, flow.client_port),
        vip: tables.frontends.get(flow.frontend).map(|f| (f.key.addr, f.key.port)),
        frontend: flow.frontend,
        mode: flow.mode,
        snat: (tables.snat.get(pair.key.snat).map(|snat| snat.addr), flow.snat_port),
        backend: (pair.key.addr, pair.key.port),
        state: flow.state(),
        idle_ms: now.since(flow.seen),
    }
}
