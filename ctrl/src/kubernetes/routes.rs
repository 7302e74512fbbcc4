use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::compile::kernel_route;
use crate::topology::{KernelRoute, RouteKind, Topology};

/// Where pods are: on a node that is their router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRoute {
    /// Addresses of the node's pods.
    pub prefix: IpNet,
    /// The node.
    pub via: IpAddr,
}

/// The host with routes to pods besides its own, which win where they have the same prefix. Only a node on
/// a link can be a router; pods of others need a route of the host.
#[must_use]
pub fn with_pods<'t>(topology: &'t Topology, pods: &[PodRoute]) -> Cow<'t, Topology> {
    let routes: Vec<_> = pods.iter().filter_map(|pods| route(topology, *pods)).collect();
    if routes.is_empty() {
        return Cow::Borrowed(topology);
    }
    let mut routed = topology.clone();
    routed.routes.extend(routes);
    Cow::Owned(routed)
}

fn route(topology: &Topology, pods: PodRoute) -> Option<KernelRoute> {
    let link = kernel_route(topology, pods.via)?;
    let on_link = link.kind == RouteKind::Unicast && link.gateway.is_none();
    on_link.then_some(KernelRoute {
        dest: pods.prefix,
        kind: RouteKind::Unicast,
        ifindex: link.ifindex,
        gateway: Some(pods.via),
        metric: u32::MAX,
        mtu: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(dest: &str, gateway: Option<&str>) -> KernelRoute {
        KernelRoute {
            dest: dest.parse().unwrap(),
            kind: RouteKind::Unicast,
            ifindex: Some(7),
            gateway: gateway.map(|addr| addr.parse().unwrap()),
            metric: 0,
            mtu: None,
        }
    }

    #[test]
    fn nodes_on_a_link_are_routers_of_their_pods() {
        let routes = vec![kernel("10.0.0.0/24", None), kernel("0.0.0.0/0", Some("10.0.0.254"))];
        let topology = Topology { routes, ..Topology::default() };
        let pods = |prefix: &str, via: &str| PodRoute {
            prefix: prefix.parse().unwrap(),
            via: via.parse().unwrap(),
        };
        let all = [pods("10.244.1.0/24", "10.0.0.1"), pods("10.244.2.0/24", "192.0.2.1")];
        let routed = with_pods(&topology, &all);
        assert_eq!(routed.routes.len(), 3, "the second node is behind a router: {routed:?}");
        let (new, want) = (&routed.routes[2], kernel("10.244.1.0/24", Some("10.0.0.1")));
        assert_eq!((new.dest, new.ifindex, new.gateway), (want.dest, want.ifindex, want.gateway));
        assert!(matches!(with_pods(&topology, &all[1..]), Cow::Borrowed(_)));
    }
}
