//! Links.

use std::collections::BTreeMap;

use dataplane::addr::Mac;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::topology::Link;

/// Asks for all links, without the statistics, which nobody here reads.
pub(super) fn question() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

/// The link, and the kind of driver when the kernel tells ("veth", ...). `queues` are receive
/// queues in use, by interface index; an interface without an entry has all it could have.
pub(super) fn decode(
    message: &LinkMessage,
    queues: &BTreeMap<u32, u32>,
) -> Option<(Link, Option<String>)> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let ifindex = message.header.index;
    let mut link = Link {
        ifindex,
        name: String::new(),
        mac: Mac::default(),
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        rx_queues: 0,
    };
    let mut kind = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes).unwrap_or_default(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::NumRxQueues(count) => link.rx_queues = *count,
            LinkAttribute::LinkInfo(infos) => kind = infos.iter().find_map(info_kind),
            _ => {}
        }
    }
    link.rx_queues = queues.get(&ifindex).copied().unwrap_or(link.rx_queues);
    Some((link, kind))
}

/// An Ethernet address; `None` for link layers with another length.
pub(super) fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn info_kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}
