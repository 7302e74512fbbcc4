//! Addresses that Linux owns.

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

use crate::topology::LinkAddress;

/// Asks for the addresses of all families.
pub(super) fn question() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// The address; `None` for other families, and for one that lost duplicate address detection:
/// the kernel does not answer for it.
pub(super) fn decode(message: &AddressMessage) -> Option<LinkAddress> {
    let (mut address, mut local) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            // With a peer, IFA_ADDRESS is the peer's.
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    if flags.contains(AddressFlags::Dadfailed) {
        return None;
    }
    let ip = local.or(address)?;
    // The same bit says "secondary" in IPv4, which is no lesser address, and "temporary" in IPv6.
    let temporary = ip.is_ipv6() && flags.contains(AddressFlags::Secondary);
    Some(LinkAddress {
        ifindex: message.header.index,
        net: IpNet::new(ip, message.header.prefix_len).ok()?,
        global: message.header.scope == AddressScope::Universe,
        permanent: flags.contains(AddressFlags::Permanent) && !temporary,
    })
}
