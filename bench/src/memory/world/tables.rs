//! The tables of a world: services, backends, routes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dataplane::addr::{Addr, Family, Mac, Proto};
use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::maglev::Member;
use dataplane::tables::route::HopRef;
use dataplane::tables::*;

use super::super::packets::Kind;
use super::{CLIENT_MAC, PORT_MACS, Shape};

/// Ports of each service: 53 for UDP, 80 for TCP.
const SERVICE_PORTS: [(u16, Proto); 2] = [(53, Proto::Udp), (80, Proto::Tcp)];
/// The port of every backend.
const BACKEND_PORT: u16 = 8_080;
const TABLE_SIZE: u32 = 16_381;

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
fn source(family: Family, n: u32) -> Addr {
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
        nat_backends: Arc::new(nat_backends(shape)),
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
fn frontends(shape: &Shape) -> Frontends {
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
                    mode: shape.mode,
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
    Member { id, addr: backend(family, n), port: BACKEND_PORT, proto: proto.into(), weight: 100 }
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
                port: BACKEND_PORT,
                state: BackendState::Active,
                hop: HopRef::Via { hop: HopId::new(id, 0), mtu: 1_500 },
                default_snat: None,
                link: None,
            };
            (BackendId::new(id, 0), backend)
        })
        .collect()
}

/// What their packets without a flow are: every backend serves several services on the same port.
fn nat_backends(shape: &Shape) -> NatBackends {
    let of = |family, n, proto| NatEnd { addr: backend(family, n), port: BACKEND_PORT, proto };
    let backends = (0..shape.backends).filter(|_| shape.mode == Mode::Nat);
    let pairs = backends.flat_map(|n| FAMILIES.map(|family| (family, n)));
    let ends = pairs.flat_map(|(family, n)| SERVICE_PORTS.map(|(_, proto)| of(family, n, proto)));
    ends.map(|end| (end, Stateless::Ambiguous)).collect()
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
