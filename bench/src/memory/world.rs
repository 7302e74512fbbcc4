//! The worker that is measured, with a network around it: clients behind a router on port 0,
//! backends on port 1. All of it is large enough that flows spread as they would for real.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use crossbeam::channel::{Receiver, Sender, unbounded};
use dataplane::addr::{Addr, Family, Mac, Proto};
use dataplane::counters::Counters;
use dataplane::drop_reason::DropReason;
use dataplane::flow::FlowTableConfig;
use dataplane::pipeline::tx::{AskHop, Lane};
use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::maglev::Member;
use dataplane::tables::publish::{self, Publisher};
use dataplane::tables::route::HopRef;
use dataplane::tables::*;
use dataplane::worker::command::Command;
use dataplane::worker::idle::{Idle, PollMode};
use dataplane::worker::peers::{Bell, Peers};
use dataplane::worker::{Setup, Worker};
use dataplane::xsk::sim::SimSocket;
use dataplane::xsk::umem::Layout;
use dataplane::xsk::{Pool, Umem};

use super::packets::Kind;

/// The clients' router.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
/// Our two ports.
pub const PORT_MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// Entries of each ring: the default of the product.
pub const RING: usize = 2_048;
/// Ports of each service: 53 for UDP, 80 for TCP.
const SERVICE_PORTS: [(u16, Proto); 2] = [(53, Proto::Udp), (80, Proto::Tcp)];
const TABLE_SIZE: u32 = 16_381;

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

/// Address of service `n`.
#[must_use]
pub fn vip(family: Family, n: u32) -> Addr {
    address(family, 1, n)
}

/// MAC of backend `n`.
#[must_use]
pub fn backend_mac(n: u32) -> [u8; 6] {
    let [a, b, c, d] = n.to_be_bytes();
    [2, 1, a, b, c, d]
}

fn backend(family: Family, n: u32) -> Addr {
    address(family, 2, n)
}

/// Source address `n` towards backends.
#[must_use]
pub fn source(family: Family, n: u32) -> Addr {
    address(family, 3, n)
}

fn address(family: Family, role: u8, n: u32) -> Addr {
    match family {
        Family::V4 => {
            let [_, _, c, d] = (n + 1).to_be_bytes();
            Addr::v4(Ipv4Addr::new(10, role, c, d).octets())
        }
        Family::V6 => {
            Addr::v6(Ipv6Addr::new(0xfd00, 0, 0, role.into(), 0, 0, 0, n as u16 + 1).octets())
        }
    }
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The number of something that is there once in each family.
const fn nth(family: Family, each: u32, n: u32) -> u32 {
    match family {
        Family::V4 => n,
        Family::V6 => each + n,
    }
}

/// The tables of a world.
#[must_use]
pub fn tables(shape: &Shape) -> Tables {
    let ports = (0..2).map(|p| Port {
        name: format!("p{p}").into(),
        mac: Mac(PORT_MACS[p]),
        mtu: 1_500,
        ipv4: Some(address(Family::V4, 4, p as u32)),
        ipv6: Some(address(Family::V6, 4, p as u32)),
    });
    Tables {
        ports: ports.collect(),
        addresses: Arc::new(addresses(shape)),
        frontends: Arc::new(frontends(shape)),
        backends: Arc::new(backends(shape)),
        snat: Arc::new(sources(shape).collect()),
        routing: Arc::new(routing(shape, 1)),
        ..Tables::default()
    }
}

fn sources(shape: &Shape) -> impl Iterator<Item = (SnatId, SnatAddress)> {
    let each = shape.sources;
    FAMILIES.into_iter().flat_map(move |family| {
        (0..each).map(move |n| {
            let addr = source(family, n);
            let source = SnatAddress { addr, ports: shape.ports.clone(), shared: false };
            (SnatId::new(nth(family, each, n), 0), source)
        })
    })
}

fn addresses(shape: &Shape) -> Addresses {
    let client_side = PortMask::NONE.with(PortId(0));
    let vip_of = Vip { announce: client_side, retired: false };
    let vips = FAMILIES.into_iter().flat_map(|family| {
        let owned = Owned { vip: Some(vip_of), snat: None, announce: client_side };
        (0..shape.services).map(move |n| (vip(family, n), owned))
    });
    let sources = sources(shape).map(|(id, source)| {
        (source.addr, Owned { vip: None, snat: Some(id), announce: PortMask::ALL })
    });
    vips.chain(sources).collect()
}

/// Every service with both of its ports, in both families; one Maglev table for each family and
/// protocol, as the compiler shares them.
#[must_use]
pub fn frontends(shape: &Shape) -> Frontends {
    let mut all = Vec::new();
    for family in FAMILIES {
        let snat: Box<[_]> =
            (0..shape.sources).map(|n| SnatId::new(nth(family, shape.sources, n), 0)).collect();
        for (port, proto) in SERVICE_PORTS {
            let members: Vec<_> =
                (0..shape.backends).map(|n| member(shape, family, n, proto)).collect();
            let maglev =
                Maglev::build(&Tables::default().seeds, TABLE_SIZE, &members).map(Arc::new);
            for service in 0..shape.services {
                let frontend = Frontend {
                    key: FrontendKey { addr: vip(family, service), port, proto },
                    mode: Mode::Snat,
                    maglev: maglev.clone(),
                    snat: snat.clone(),
                    left: Box::new([]),
                    gone: false,
                    policy: Policy::default(),
                };
                all.push((FrontendId::new(all.len() as u32, 0), Arc::new(frontend)));
            }
        }
    }
    all.into_iter().collect()
}

/// The id of a service in [`frontends`].
#[must_use]
pub fn frontend(shape: &Shape, family: Family, kind: Kind, service: u32) -> FrontendId {
    let before = nth(family, 2, u32::from(kind == Kind::Syn));
    FrontendId::new(before * shape.services + service, 0)
}

fn member(shape: &Shape, family: Family, n: u32, proto: Proto) -> Member {
    let id = BackendId::new(nth(family, shape.backends, n), 0);
    Member { id, addr: backend(family, n), port: 8_080, proto: proto.into(), weight: 100 }
}

fn backends(shape: &Shape) -> Slab<Backend> {
    let each = shape.backends;
    FAMILIES
        .into_iter()
        .flat_map(|family| (0..each).map(move |n| (family, n)))
        .map(|(family, n)| {
            let id = nth(family, each, n);
            let backend = Backend {
                addr: backend(family, n),
                port: 8_080,
                state: BackendState::Active,
                hop: HopRef::Via { hop: HopId::new(id, 0), mtu: 1_500 },
                default_snat: None,
                link: None,
            };
            (BackendId::new(id, 0), backend)
        })
        .collect()
}

/// Clients are behind one router, backends on the link.
#[must_use]
pub fn routing(shape: &Shape, generation: u16) -> Routing {
    let each = shape.backends;
    let routers = FAMILIES.map(|family| address(family, 4, 9));
    let on_link = Route { port: Some(PortId(1)), gateway: None, mtu: None };
    let behind = |router| Route { port: Some(PortId(0)), gateway: Some(router), mtu: None };
    let routes = [
        ("10.2.0.0/16", on_link),
        ("fd00:0:0:2::/64", on_link),
        ("10.128.0.0/9", behind(routers[0])),
        ("fd00:1::/32", behind(routers[1])),
    ];
    let routes = routes.map(|(net, route)| (net.parse().expect("a prefix"), route));
    let backends = FAMILIES.into_iter().flat_map(|family| {
        (0..each).map(move |n| {
            let mac = Some(Mac(backend_mac(nth(family, each, n))));
            let hop = Hop::new(PortId(1), backend(family, n), mac);
            (HopId::new(nth(family, each, n), 0), hop)
        })
    });
    let clients = routers
        .into_iter()
        .zip(2 * each..)
        .map(|(addr, id)| (HopId::new(id, 0), Hop::new(PortId(0), addr, Some(Mac(CLIENT_MAC)))));
    Routing::new(generation, routes, backends.chain(clients))
}
