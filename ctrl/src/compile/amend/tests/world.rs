use std::net::IpAddr;

use dataplane::addr::{Mac, Proto};
use dataplane::tables::frontend::Mode;

use crate::desired::{
    Announce, BackendSettings, Desired, Located, PolicySettings, PortSettings, Service,
    ServicePort, XdpMode,
};
use crate::topology::{KernelRoute, Link, LinkAddress, RouteKind, Topology};

/// Backends on a link, behind routers, and (the last) out of reach.
pub const BACKENDS: [&str; 13] = [
    "10.1.0.11",
    "10.1.0.12",
    "10.1.0.13",
    "10.2.0.1",
    "10.2.0.2",
    "10.3.0.1",
    "10.4.0.1",
    "10.0.0.77",
    "fd00:1::11",
    "fd00:1::12",
    "fd00:2::1",
    "10.1.0.14",
    "203.0.113.7",
];
/// The one out of reach.
pub const LOST: usize = 12;

/// A backend; those of some have a port of their own.
pub fn backend(index: usize, weight: u16) -> BackendSettings {
    let address = Located::nowhere(BACKENDS[index].parse().unwrap());
    BackendSettings { address, port: (index % 5 == 4).then_some(8_443), weight }
}

pub fn service(name: &str, vips: &[&str], backends: &[usize]) -> Service {
    let addr = |text: &&str| Located::nowhere(text.parse::<IpAddr>().unwrap());
    let port = |port, proto| ServicePort { port: Located::nowhere(port), proto, target: 80 };
    Service {
        name: Located::nowhere(name.into()),
        vips: vips.iter().map(addr).collect(),
        announce: Announce::All,
        mode: Mode::Snat,
        snat_addresses: Vec::new(),
        ports: vec![port(80, Proto::Tcp), port(53, Proto::Udp)],
        backends: backends.iter().map(|index| backend(*index, 100)).collect(),
        table_size: None,
        health: None,
        policy: PolicySettings::default(),
    }
}

/// Services that share backends; the last names its sources.
pub fn desired() -> Desired {
    let port =
        |name: &str| PortSettings { name: Located::nowhere(name.into()), mode: XdpMode::default() };
    let mut named = service("named", &["10.9.0.3"], &[0, 3]);
    named.snat_addresses = vec![Located::nowhere("10.8.0.1".parse().unwrap())];
    let services = [
        service("one", &["10.9.0.1"], &[0, 1]),
        service("two", &["10.9.0.2", "fd00:9::2"], &[1, 3, 8]),
        service("none", &["fd00:9::4", "10.9.0.4"], &[]),
        named,
    ];
    Desired {
        ports: vec![port("lan"), port("pods")],
        services: services.map(Into::into).into(),
        ..Desired::default()
    }
}

pub fn route(dest: &str, ifindex: u32, gateway: Option<&str>) -> KernelRoute {
    KernelRoute {
        dest: dest.parse().unwrap(),
        kind: RouteKind::Unicast,
        ifindex: Some(ifindex),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        metric: 0,
        mtu: None,
    }
}

pub fn host() -> Topology {
    let link = |ifindex: u32, name: &str| Link {
        ifindex,
        name: name.into(),
        mac: Mac([2, 0, 0, 0, 0, ifindex as u8]),
        mtu: 1_500,
        up: true,
        rx_queues: 1,
    };
    let address = |ifindex, net: &str| LinkAddress {
        ifindex,
        net: net.parse().unwrap(),
        global: true,
        permanent: true,
    };
    Topology {
        links: vec![link(2, "lan"), link(3, "pods")],
        addresses: vec![
            address(2, "10.0.0.1/24"),
            address(3, "10.1.0.1/24"),
            address(3, "fd00:1::1/64"),
        ],
        routes: vec![
            route("10.0.0.0/24", 2, None),
            route("10.1.0.0/24", 3, None),
            route("fd00:1::/64", 3, None),
            route("10.2.0.0/24", 3, Some("10.1.0.252")),
            route("10.3.0.0/24", 3, Some("10.1.0.253")),
            route("10.4.0.0/24", 3, Some("10.1.0.11")),
            route("fd00:2::/64", 3, Some("fd00:1::fe")),
        ],
        ..Topology::default()
    }
}
