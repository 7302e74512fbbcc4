//! Answers to "who has this address?", and the announcements that need no question.

use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

use super::super::packet::{Arp, Ip};
use super::echo::verify;
use super::{Link, trim};
use crate::addr::{Addr, Family, Mac};
use crate::drop_reason::DropReason;
use crate::wire::ndp::{self, LinkLayerOption, Neighbour};
use crate::wire::{arp, checksum, eth, icmp, ipv6};
use crate::xsk::View;

/// Bytes of an advertisement with its option.
const ADVERT_LEN: usize = ndp::LEN + size_of::<LinkLayerOption>();

/// Turns an ARP request into its reply.
pub(super) fn answer_arp(view: &mut View<'_>, link: Link, request: &Arp) {
    let reply = arp::Arp::new(
        arp::REPLY,
        (link.src, request.target.v4_octets()),
        (request.sender_mac, request.sender.v4_octets()),
    );
    let link = Link { src: link.src, dst: link.dst };
    write_arp(view, link, &reply);
}

/// Turns a neighbour solicitation into its advertisement (RFC 4861 section 7.2.4).
///
/// # Errors
/// [`DropReason::BadChecksum`].
pub(super) fn answer_solicitation(
    view: &mut View<'_>,
    link: Link,
    ip: &Ip,
    target: &Addr,
) -> Result<(), DropReason> {
    trim(view, ip);
    verify(view, ip)?;
    let unspecified = Addr::v6([0; 16]);
    if ip.src == unspecified {
        // Somebody checks whether the address is free: everybody is told that it is not.
        let all = Link { src: link.src, dst: Mac(ndp::ALL_NODES_MAC) };
        write_advert(view, all, *target, Addr::v6(ndp::ALL_NODES), ndp::OVERRIDE);
    } else {
        write_advert(view, link, *target, ip.src, ndp::SOLICITED | ndp::OVERRIDE);
    }
    Ok(())
}

/// Writes the frame that tells everybody on the link that `mac` has `addr` now: a gratuitous ARP
/// request (RFC 5227 section 3) or an unsolicited advertisement (RFC 4861 section 7.2.6).
pub fn announce(view: &mut View<'_>, mac: Mac, addr: Addr) {
    match addr.family() {
        Family::V4 => {
            let ip = addr.v4_octets();
            let claim = arp::Arp::new(arp::REQUEST, (mac, ip), (Mac::default(), ip));
            write_arp(view, Link { src: mac, dst: Mac::BROADCAST }, &claim);
        }
        Family::V6 => {
            let link = Link { src: mac, dst: Mac(ndp::ALL_NODES_MAC) };
            write_advert(view, link, addr, Addr::v6(ndp::ALL_NODES), ndp::OVERRIDE);
        }
    }
}

fn write_arp(view: &mut View<'_>, link: Link, message: &arp::Arp) {
    view.set_len(eth::LEN + arp::LEN);
    let bytes = view.bytes_mut();
    link.write(bytes);
    bytes[12..14].copy_from_slice(&eth::ARP.to_be_bytes());
    bytes[eth::LEN..].copy_from_slice(message.as_bytes());
}

fn write_advert(view: &mut View<'_>, link: Link, target: Addr, to: Addr, flags: u8) {
    let message = Neighbour {
        kind: icmp::v6::ADVERTISEMENT,
        code: 0,
        checksum: [0; 2],
        flags,
        reserved: [0; 3],
        target: *target.octets(),
    };
    let option = LinkLayerOption { kind: ndp::OPTION_TARGET, len: 1, mac: link.src.0 };
    let header = ipv6::Ipv6::new(
        *target.octets(),
        *to.octets(),
        icmp::PROTO_V6,
        ADVERT_LEN as u16,
        ndp::HOP_LIMIT,
    );
    let l4 = eth::LEN + ipv6::LEN;
    view.set_len(l4 + ADVERT_LEN);
    let bytes = view.bytes_mut();
    link.write(bytes);
    bytes[12..14].copy_from_slice(&eth::IPV6.to_be_bytes());
    bytes[eth::LEN..l4].copy_from_slice(header.as_bytes());
    bytes[l4..l4 + ndp::LEN].copy_from_slice(message.as_bytes());
    bytes[l4 + ndp::LEN..].copy_from_slice(option.as_bytes());
    let pseudo = checksum::pseudo(&target, &to, icmp::PROTO_V6, ADVERT_LEN as u16);
    let sum = U16::new(!checksum::fold(pseudo + checksum::sum(&bytes[l4..])));
    bytes[l4 + 2..l4 + 4].copy_from_slice(sum.as_bytes());
}
