use std::collections::HashMap;

use dataplane::addr::Addr;
use dataplane::tables::PortId;

use super::plan::PortPlan;
use super::routes::{self, Lookup};
use crate::desired::{BackendSettings, Desired, Service};
use crate::problem::Problem;
use crate::topology::{RouteKind, Topology};

/// The port that each backend address is reached through.
pub type Paths = HashMap<Addr, PortId>;

/// Looks up the way to every backend; each one without is a problem of its service.
pub fn paths(
    desired: &Desired,
    topology: &Topology,
    ports: &PortPlan,
    lookup: &Lookup,
    problems: &mut Vec<Problem>,
) -> Paths {
    let mut paths = Paths::new();
    for service in &desired.services {
        for backend in &service.backends {
            let addr = Addr::from(backend.address.value);
            if paths.contains_key(&addr) {
                continue;
            }
            match lookup.route(addr).and_then(|route| route.port) {
                Some(port) => drop(paths.insert(addr, port)),
                None => problems.push(unreachable(service, backend, topology, ports)),
            }
        }
    }
    paths
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
