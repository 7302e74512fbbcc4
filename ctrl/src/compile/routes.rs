use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::addr::Addr;
use dataplane::tables::{PortId, Route, Routing};
use ipnet::IpNet;

use crate::topology::{KernelRoute, RouteKind, Topology};

/// Routes of ours, with a mirror for lookups that need no next hop.
#[derive(Debug, Default)]
pub struct Lookup {
    pub routes: Arc<[(IpNet, Route)]>,
    routing: Routing,
}

impl Lookup {
    pub fn new(routes: Arc<[(IpNet, Route)]>) -> Self {
        let routing = Routing::new(0, routes.iter().copied(), []);
        Self { routes, routing }
    }

    /// The longest-prefix route to `dest`.
    pub fn route(&self, dest: Addr) -> Option<Route> {
        self.routing.route(dest)
    }

    /// The next hop towards `dest`.
    pub fn hop(&self, dest: Addr) -> Option<(PortId, Addr)> {
        let Route { port, gateway, .. } = self.route(dest)?;
        Some((port?, gateway.unwrap_or(dest)))
    }

    /// The routers of all routes.
    pub fn routers(&self) -> impl Iterator<Item = (PortId, Addr)> {
        self.routes.iter().filter_map(|(_, route)| Some((route.port?, route.gateway?)))
    }

    /// The prefix of the link through which `dest` is reached, itself or its router.
    pub fn link(&self, dest: Addr) -> Option<IpNet> {
        let (prefix, route) = self.routing.route_with_prefix(dest)?;
        match route.gateway {
            None => route.port.map(|_| prefix),
            Some(gateway) => {
                let (prefix, route) = self.routing.route_with_prefix(gateway)?;
                (route.port.is_some() && route.gateway.is_none()).then_some(prefix)
            }
        }
    }
}

/// The kernel's routes as ours, one for each prefix, in the order of prefixes.
pub fn convert(
    topology: &Topology,
    port_of: impl Fn(u32) -> Option<PortId>,
) -> Arc<[(IpNet, Route)]> {
    let mut best: HashMap<IpNet, &KernelRoute> = HashMap::new();
    for route in topology.routes.iter().filter(|route| forwardable(&route.dest)) {
        let dest = route.dest.trunc();
        best.entry(dest)
            .and_modify(|held| {
                if rank(route) < rank(held) {
                    *held = route;
                }
            })
            .or_insert(route);
    }
    let mut routes: Vec<_> = best
        .into_iter()
        .map(|(dest, route)| {
            let port = match route.kind {
                RouteKind::Unicast => route.ifindex.and_then(&port_of),
                RouteKind::Local | RouteKind::Rejected => None,
            };
            let mtu = route.mtu.and_then(|mtu| u16::try_from(mtu).ok());
            (dest, Route { port, gateway: route.gateway.map(Addr::from), mtu })
        })
        .collect();
    routes.sort_by_key(|(dest, _)| *dest);
    routes.into()
}

/// Smaller is preferred. The kernel asks its local table first, so a local route wins whatever
/// its metric; the first of equals wins, as in the kernel.
fn rank(route: &KernelRoute) -> (bool, u32) {
    (route.kind != RouteKind::Local, route.metric)
}

/// Link-local and multicast destinations are never forwarded, and every link has the same such
/// prefixes: one map cannot hold them.
fn forwardable(dest: &IpNet) -> bool {
    match dest.addr() {
        IpAddr::V4(ip) => !(dest.prefix_len() >= 4 && ip.is_multicast()),
        IpAddr::V6(ip) => {
            let multicast = dest.prefix_len() >= 8 && ip.is_multicast();
            let link_local = dest.prefix_len() >= 10 && ip.is_unicast_link_local();
            !multicast && !link_local
        }
    }
}

/// The kernel route that a lookup of `dest` ends at, to explain a problem.
pub fn explain(topology: &Topology, dest: IpAddr) -> Option<&KernelRoute> {
    topology
        .routes
        .iter()
        .filter(|route| route.dest.contains(&dest))
        .min_by_key(|route| (u8::MAX - route.dest.prefix_len(), rank(route)))
}
