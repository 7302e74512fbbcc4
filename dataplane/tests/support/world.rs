//! A worker on simulated rings with a small, fixed world around it: two ports, a router and a
//! client on the first, two backends on the second.

use std::net::IpAddr;
use std::sync::Arc;

use crossbeam::channel::{Sender, unbounded};
use portreeve_dataplane::addr::{Addr, Mac, Proto};
use portreeve_dataplane::counters::Counters;
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::flow::FlowTableConfig;
use portreeve_dataplane::pipeline::tx::{AskHop, Lane};
use portreeve_dataplane::tables::frontend::{FrontendKey, Mode};
use portreeve_dataplane::tables::maglev::Member;
use portreeve_dataplane::tables::publish::{self, Publisher};
use portreeve_dataplane::tables::route::HopRef;
use portreeve_dataplane::tables::*;
use portreeve_dataplane::worker::command::Command;
use portreeve_dataplane::worker::idle::{Idle, PollMode};
use portreeve_dataplane::worker::peers::{Bell, Peers};
use portreeve_dataplane::worker::{Setup, Turn, Worker};
use portreeve_dataplane::xsk::Umem;
use portreeve_dataplane::xsk::sim::SimSocket;
use portreeve_dataplane::xsk::umem::Layout;

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
pub const PORT_MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
pub const BACKEND_MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 0x21], [2, 0, 0, 0, 0, 0x22]];
pub const CLIENT: &str = "10.0.0.9";
pub const CLIENT6: &str = "fd00::9";
pub const VIP: &str = "10.0.0.100";
pub const VIP6: &str = "fd00::100";
pub const SNAT: &str = "10.1.0.1";
pub const SNAT6: &str = "fd01::1";
pub const BACKENDS: [&str; 2] = ["10.1.0.21", "10.1.0.22"];
pub const BACKENDS6: [&str; 2] = ["fd01::21", "fd01::22"];
pub const PORT_ADDRESS: &str = "10.0.0.1";

pub fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

/// What can be chosen.
pub struct Options {
    pub flows: usize,
    pub stride: usize,
    pub mtus: [u16; 2],
    pub snat_ports: std::ops::RangeInclusive<u16>,
    pub frames: u32,
    /// Wasted for each packet between the beginning of the turn and the packet.
    pub delay_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        let mtus = [1500, 1500];
        let snat_ports = 20_000..=29_999;
        Self { flows: 1024, stride: 2048, mtus, snat_ports, frames: 1024, delay_ns: 0 }
    }
}

pub struct Asked(pub Sender<(PortId, Addr)>, pub Sender<(PortId, Addr, Mac)>);

impl AskHop for Asked {
    fn ask(&self, port: PortId, addr: Addr) {
        self.0.send((port, addr)).unwrap();
    }

    fn claimed(&self, port: PortId, addr: Addr, mac: Mac) {
        self.1.send((port, addr, mac)).unwrap();
    }
}

pub struct World {
    pub worker: Worker<SimSocket>,
    pub publisher: Publisher<Tables>,
    pub counters: Arc<Counters>,
    pub commands: Sender<Command>,
    pub asked: crossbeam::channel::Receiver<(PortId, Addr)>,
    pub claimed: crossbeam::channel::Receiver<(PortId, Addr, Mac)>,
}

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let (umem, pool) =
            Umem::simulated(Layout { stride: options.stride, count: options.frames });
        let umem = Arc::new(umem);
        let ring = options.frames as usize / 8;
        let lane = |port| Lane {
            port: PortId(port),
            queue: 0,
            socket: SimSocket::new(Arc::clone(&umem), ring),
            dirty: false,
        };
        let (publisher, mut readers) = publish::channel(tables(&options), 1);
        let (commands, obey) = unbounded();
        let ((ask, asked), (claim, claimed)) = (unbounded(), unbounded());
        let counters = Arc::new(Counters::new(64, 1));
        let (idle, waker) = Idle::new(PollMode::Busy, &[]).unwrap();
        let mut peers = Peers::introduce(&umem, &[Bell::new(waker)], 64);
        let worker = Worker::new(Setup {
            lanes: vec![lane(0), lane(1)],
            umem,
            pool,
            peers: peers.remove(0),
            tables: readers.remove(0),
            counters: Arc::clone(&counters),
            commands: obey,
            ask: Box::new(Asked(ask, claim)),
            flows: FlowTableConfig { flows: options.flows, pairs: 64 },
            idle,
            more_lanes: crossbeam::channel::never(),
            delay_ns: options.delay_ns,
        });
        Self { worker, publisher, counters, commands, asked, claimed }
    }

    /// A packet arrives on a port; what leaves because of it, by port.
    pub fn send(&mut self, port: usize, packet: &[u8]) -> Vec<(usize, Vec<u8>)> {
        assert!(self.worker.lanes_mut()[port].socket.inject(packet), "the rings have room");
        self.turn()
    }

    /// One turn of the worker; what it sent, by port.
    pub fn turn(&mut self) -> Vec<(usize, Vec<u8>)> {
        assert_ne!(self.worker.turn(), Turn::Stop);
        assert!(self.worker.census().balanced(), "{:?}", self.worker.census());
        let mut sent = Vec::new();
        for (port, lane) in self.worker.lanes_mut().iter_mut().enumerate() {
            sent.extend(lane.socket.take_sent().into_iter().map(|packet| (port, packet)));
        }
        sent
    }

    /// Publishes changed tables.
    pub fn change(&mut self, change: impl FnOnce(&mut Tables)) {
        let mut tables = self.publisher.current().clone();
        change(&mut tables);
        self.publisher.publish(tables);
    }

    pub fn drops(&self, reason: DropReason) -> u64 {
        self.counters.drops(reason)
    }

    /// Every received packet has one fate (the conservation law).
    pub fn assert_conserved(&self) {
        let c = &self.counters;
        let received: u64 = (0..2).map(|p| c.port(PortId(p)).rx_packets.get()).sum();
        let dropped: u64 = DropReason::ALL.iter().map(|reason| c.drops(*reason)).sum();
        let waiting = c.waiting.get();
        assert_eq!(received, c.forwarded.get() + c.replied.get() + dropped + waiting);
    }
}

pub fn tables(options: &Options) -> Tables {
    let ports = (0..2).map(|p| Port {
        name: format!("p{p}").into(),
        mac: Mac(PORT_MACS[p]),
        mtu: options.mtus[p],
        ipv4: Some(addr(["10.0.0.1", "10.1.0.254"][p])),
        ipv6: Some(addr(["fd00::1", "fd01::fe"][p])),
    });
    let vip = Owned {
        vip: Some(Vip { announce: PortMask::NONE.with(PortId(0)), retired: false }),
        snat: None,
        announce: PortMask::NONE.with(PortId(0)),
    };
    let snat = |id| Owned { vip: None, snat: Some(SnatId::new(id, 0)), announce: PortMask::ALL };
    let owned =
        [(addr(VIP), vip), (addr(VIP6), vip), (addr(SNAT), snat(0)), (addr(SNAT6), snat(1))];
    let source = |text: &str| SnatAddress {
        addr: addr(text),
        ports: options.snat_ports.clone(),
        shared: false,
    };
    Tables {
        ports: ports.collect(),
        addresses: Arc::new(owned.into_iter().collect()),
        frontends: Arc::new(frontends(64)),
        backends: Arc::new(backends(options.mtus[1])),
        snat: Arc::new(
            [(SnatId::new(0, 0), source(SNAT)), (SnatId::new(1, 0), source(SNAT6))]
                .into_iter()
                .collect(),
        ),
        routing: Arc::new(routing()),
        ..Tables::default()
    }
}

/// Backends 0 and 1 are IPv4, 2 and 3 IPv6, all on port 8080.
fn backends(mtu: u16) -> Slab<Backend> {
    let all = BACKENDS.iter().chain(&BACKENDS6).enumerate();
    all.map(|(i, text)| {
        let hop = HopRef::Via { hop: HopId::new(i as u32, 0), mtu };
        let backend = Backend {
            addr: addr(text),
            port: 8080,
            state: BackendState::Active,
            hop,
            default_snat: None,
            link: None,
        };
        (BackendId::new(i as u32, 0), backend)
    })
    .collect()
}

/// Frontends: 0 TCP 80, 1 UDP 53, 2 TCP 81 without backends, each for IPv4; 3 to 5 for IPv6.
pub fn frontends(_room: usize) -> Frontends {
    let mut all = Vec::new();
    for (family, vip) in [VIP, VIP6].iter().enumerate() {
        for (i, (port, proto)) in
            [(80, Proto::Tcp), (53, Proto::Udp), (81, Proto::Tcp)].into_iter().enumerate()
        {
            let members: Vec<_> = (0..2).map(|b| member(family * 2 + b, proto)).collect();
            let members = if port == 81 { &[][..] } else { &members };
            let maglev = Maglev::build(&Tables::default().seeds, 251, members).map(Arc::new);
            let frontend = Frontend {
                key: FrontendKey { addr: addr(vip), port, proto },
                mode: Mode::Snat,
                maglev,
                snat: Box::new([SnatId::new(family as u32, 0)]),
                left: Box::new([]),
                gone: false,
                policy: Policy::default(),
            };
            all.push((FrontendId::new((family * 3 + i) as u32, 0), Arc::new(frontend)));
        }
    }
    all.into_iter().collect()
}

fn member(backend: usize, proto: Proto) -> Member {
    let text = BACKENDS.iter().chain(&BACKENDS6).nth(backend).unwrap();
    let id = BackendId::new(backend as u32, 0);
    Member { id, addr: addr(text), port: 8080, proto: proto.into(), weight: 100 }
}

/// Hops 0 to 3 are the backends, 4 and 5 the client; everything else is on port 0's link.
pub fn routing() -> Routing {
    let route = |port| Route { port: Some(PortId(port)), gateway: None, mtu: None };
    let routes = [("10.0.0.0/24", 0), ("10.1.0.0/24", 1), ("fd00::/64", 0), ("fd01::/64", 1)];
    let routes = routes.map(|(net, port)| (net.parse().unwrap(), route(port)));
    let backends = BACKENDS
        .iter()
        .chain(&BACKENDS6)
        .enumerate()
        .map(|(i, text)| (HopId::new(i as u32, 0), hop(1, text, Some(BACKEND_MACS[i % 2]))));
    let clients = [CLIENT, CLIENT6]
        .into_iter()
        .enumerate()
        .map(|(i, text)| (HopId::new(4 + i as u32, 0), hop(0, text, Some(CLIENT_MAC))));
    Routing::new(1, routes, backends.chain(clients))
}

pub fn hop(port: u8, text: &str, mac: Option<[u8; 6]>) -> Hop {
    Hop::new(PortId(port), addr(text), mac.map(Mac))
}

/// Every service in another mode, changed further by `policy`. In mode `nat` all four backends have
/// their entries, each of the one service that it can be.
pub fn in_mode(tables: &mut Tables, mode: Mode, policy: impl Fn(&mut Policy)) {
    let all = tables.frontends.iter().map(|(id, old)| {
        let mut policy_of = old.policy.clone();
        policy(&mut policy_of);
        let frontend = Frontend {
            key: old.key,
            mode,
            maglev: old.maglev.clone(),
            snat: old.snat.clone(),
            left: old.left.clone(),
            gone: old.gone,
            policy: policy_of,
        };
        (id, Arc::new(frontend))
    });
    tables.frontends = Arc::new(all.collect());
    let all = tables.backends.iter().map(|(id, old)| {
        let link = if old.addr.is_v4() { "10.1.0.0/24" } else { "fd01::/64" };
        (id, Backend { link: Some(link.parse().unwrap()), ..*old })
    });
    tables.backends = Arc::new(all.collect());
    let protos = [(Proto::Tcp, 0), (Proto::Udp, 1)];
    let ends = (0..4_u32).flat_map(|backend| protos.map(move |of| (backend, of)));
    let ends = ends.filter(|_| mode == Mode::Nat).map(|(backend, (proto, nth))| {
        let text = BACKENDS.iter().chain(&BACKENDS6).nth(backend as usize).unwrap();
        let frontend = FrontendId::new(backend / 2 * 3 + nth, 0);
        let end = NatEnd { addr: addr(text), port: 8080, proto };
        (end, Stateless::Reply(frontend, BackendId::new(backend, 0)))
    });
    tables.nat_backends = Arc::new(ends.collect());
}
