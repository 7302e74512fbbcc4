use dataplane::addr::Addr;

use super::plan::PortPlan;
use super::routes::{self, Lookup};
use super::{dsr, snat};
use crate::desired::{BackendSettings, Desired, Service};
use crate::problem::Problem;
use crate::topology::{RouteKind, Topology};

/// What keeps packets from the backends of one service: no way to them, or no source address.
pub fn troubles(
    desired: &Desired,
    service: &Service,
    topology: &Topology,
    ports: &PortPlan,
    lookup: &Lookup,
) -> Vec<Problem> {
    let mut troubles = dsr::off_link(service, ports, lookup);
    for backend in &service.backends {
        let addr = Addr::from(backend.address.value);
        match lookup.hop(addr) {
            None => troubles.push(unreachable(service, backend, topology, ports)),
            Some((port, _)) => {
                let named = || !snat::named(desired, service, addr.family()).is_empty();
                if ports.address(port, addr.family()).is_none() && !named() {
                    troubles.push(snat::no_default(service, backend, ports.get(port)));
                }
            }
        }
    }
    troubles
}

fn unreachable(
    service: &Service,
    backend: &BackendSettings,
    topology: &Topology,
    ports: &PortPlan,
) -> Problem {
    let address = backend.address.value;
    let who = format!("backend {address} of service `{}`", service.name.value);
    let (why, help) = match routes::explain(topology, address) {
        None => (
            "has no route".to_owned(),
            format!(
                "add a route: `ip route get {address}` must answer with one of: {}",
                names(ports)
            ),
        ),
        Some(route) if route.kind == RouteKind::Local => (
            "is an address of this host".to_owned(),
            "XDP sees only what arrives from a wire: let the backend run on another host"
                .to_owned(),
        ),
        Some(route) if route.kind == RouteKind::Rejected => (
            format!("is rejected by the route {}", route.dest),
            format!("`ip route get {address}` must answer with one of: {}", names(ports)),
        ),
        Some(route) if let Some(link) = route.ifindex.and_then(|index| topology.remade(index)) => (
            format!("is behind port {}, which was deleted and made anew", link.name),
            "its sockets were bound at start: restart portreeve".to_owned(),
        ),
        Some(route) => {
            let link = route
                .ifindex
                .and_then(|index| topology.links.iter().find(|link| link.ifindex == index))
                .map_or("an unknown interface", |link| link.name.as_str());
            (
                format!("is routed through {link} (route {}), which is not a [[port]]", route.dest),
                format!(
                    "add a [[port]] section with name = \"{link}\", or change the route so that it leaves through one of: {}",
                    names(ports)
                ),
            )
        }
    };
    Problem::error(backend.address.place(), format!("{who} {why}")).help(help)
}

fn names(ports: &PortPlan) -> String {
    let names: Vec<_> = ports.ports.iter().map(|port| &*port.name).collect();
    names.join(", ")
}
