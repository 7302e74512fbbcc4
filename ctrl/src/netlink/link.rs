//! Links.

use std::collections::BTreeMap;

use dataplane::addr::Mac;
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
    VlanProtocol,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::topology::{Link, VlanLink};

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

/// What the link is, if it is an 802.1Q VLAN of another one in the same network namespace.
pub(super) fn vlan(message: &LinkMessage) -> Option<VlanLink> {
    let (mut parent, mut id, mut elsewhere) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Link(ifindex) => parent = Some(*ifindex),
            LinkAttribute::LinkNetNsId(_) => elsewhere = true,
            LinkAttribute::LinkInfo(infos) => id = infos.iter().find_map(vlan_id),
            _ => {}
        }
    }
    let ifindex = message.header.index;
    Some(VlanLink { ifindex, parent: parent.filter(|_| !elsewhere)?, id: id? })
}

fn vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(infos)) = info else { return None };
    // A provider's tag (802.1ad) is another EtherType.
    let provider = |info: &InfoVlan| matches!(info, InfoVlan::Protocol(protocol) if *protocol != VlanProtocol::Ieee8021Q);
    if infos.iter().any(provider) {
        return None;
    }
    infos.iter().find_map(|info| match info {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::{Emitable as _, Parseable as _};

    const IFINDEX: u32 = 9;

    /// As the kernel would say it of `ip link add link 3 name ... type vlan protocol PROTOCOL id 7`.
    fn said(protocol: VlanProtocol, more: Option<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = IFINDEX;
        let vlan = vec![InfoVlan::Protocol(protocol), InfoVlan::Id(7)];
        let kind = LinkInfo::Kind(netlink_packet_route::link::InfoKind::Vlan);
        let info = LinkAttribute::LinkInfo(vec![kind, LinkInfo::Data(InfoData::Vlan(vlan))]);
        message.attributes =
            vec![LinkAttribute::IfName("eth0.7".into()), LinkAttribute::Link(3), info];
        message.attributes.extend(more);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        LinkMessage::parse(bytes.as_slice()).unwrap()
    }

    #[test]
    fn a_vlan_is_recognised_with_its_parent_and_number() {
        let found = vlan(&said(VlanProtocol::Ieee8021Q, None));
        assert_eq!(found, Some(VlanLink { ifindex: IFINDEX, parent: 3, id: 7 }));
        assert_eq!(vlan(&said(VlanProtocol::Ieee8021Ad, None)), None, "a provider's tag");
        let elsewhere = said(VlanProtocol::Ieee8021Q, Some(LinkAttribute::LinkNetNsId(1)));
        assert_eq!(vlan(&elsewhere), None, "its parent is in another namespace");
    }
}
