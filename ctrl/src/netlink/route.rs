//! Routes of the main and local tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::topology::{KernelRoute, RouteKind};

const RT_TABLE_MAIN: u8 = 254;
const RT_TABLE_LOCAL: u8 = 255;

/// Asks for the routes of all families and tables.
pub(super) fn question() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetRoute(RouteMessage::default())
}

/// Whether a table of this number (the byte of the header) is one that we read.
pub(super) fn is_ours(table: u8) -> bool {
    matches!(table, RT_TABLE_MAIN | RT_TABLE_LOCAL)
}

/// The route, with the first usable of several next hops. `None` for what does not decide where
/// an ordinary packet goes: other tables and families, cached and dead routes, routes that only
/// match some sources or type-of-service values.
pub(super) fn decode(message: &RouteMessage) -> Option<KernelRoute> {
    let header = &message.header;
    let skipped = RouteFlags::Cloned | RouteFlags::Dead;
    if !is_ours(header.table)
        || header.flags.intersects(skipped)
        || header.tos != 0
        || header.source_prefix_length != 0
    {
        return None;
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut route = KernelRoute {
        dest: IpNet::new(any, header.destination_prefix_length).ok()?,
        kind: kind(header.kind),
        ifindex: None,
        gateway: None,
        metric: 0,
        mtu: None,
    };
    for attribute in &message.attributes {
        apply(attribute, &mut route)?;
    }
    Some(route)
}

fn kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        // Broadcasts and the subnet's anycast address end at this host.
        RouteType::Local | RouteType::Broadcast | RouteType::Anycast => RouteKind::Local,
        // Multicast among them: it is not forwarded by this route.
        _ => RouteKind::Rejected,
    }
}

/// Adds what the attribute says; `None` when the route cannot be used.
fn apply(attribute: &RouteAttribute, route: &mut KernelRoute) -> Option<()> {
    match attribute {
        RouteAttribute::Destination(address) => {
            route.dest = IpNet::new(ip(address)?, route.dest.prefix_len()).ok()?;
        }
        RouteAttribute::Priority(metric) => route.metric = *metric,
        RouteAttribute::Metrics(metrics) => {
            route.mtu = metrics.iter().find_map(|metric| match metric {
                RouteMetric::Mtu(mtu) => Some(*mtu),
                _ => None,
            });
        }
        // It would leave in a tunnel header that we do not write.
        RouteAttribute::EncapType(_) => route.kind = RouteKind::Rejected,
        RouteAttribute::MultiPath(hops) => {
            let hop = hops.iter().find(|hop| !hop.flags.contains(RouteNextHopFlags::Dead))?;
            first_hop(hop, route);
        }
        hop => next_hop(hop, route),
    }
    Some(())
}

fn first_hop(hop: &RouteNextHop, route: &mut KernelRoute) {
    route.ifindex = Some(hop.interface_index);
    for attribute in &hop.attributes {
        match attribute {
            RouteAttribute::EncapType(_) => route.kind = RouteKind::Rejected,
            attribute => next_hop(attribute, route),
        }
    }
}

fn next_hop(attribute: &RouteAttribute, route: &mut KernelRoute) {
    match attribute {
        RouteAttribute::Oif(ifindex) => route.ifindex = Some(*ifindex),
        RouteAttribute::Gateway(address) => route.gateway = ip(address),
        RouteAttribute::Via(RouteVia::Inet(via)) => route.gateway = Some((*via).into()),
        RouteAttribute::Via(RouteVia::Inet6(via)) => route.gateway = Some((*via).into()),
        _ => {}
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
