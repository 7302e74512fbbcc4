use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

use super::super::packet::Ip;
use super::super::plan::Refusal;
use super::Link;
use super::reset::write_ip_header;
use crate::addr::{Addr, Family};
use crate::wire::icmp::{self, Icmp, v4, v6};
use crate::wire::{checksum, eth, ipv4, ipv6};
use crate::xsk::View;

/// Largest ICMP error over IPv4, in bytes (RFC 1812 section 4.3.2.3).
const V4_MAX: usize = 576;

/// Turns a packet into an ICMP error that quotes it as it was received.
pub(super) fn answer(view: &mut View<'_>, link: Link, ip: &Ip, refusal: Refusal) {
    let family = ip.family();
    let (from, message) = message(ip, family, refusal);
    let (ip_len, max, proto) = match family {
        Family::V4 => (ipv4::LEN, V4_MAX, icmp::PROTO_V4),
        Family::V6 => (ipv6::LEN, ipv6::MIN_MTU, icmp::PROTO_V6),
    };
    let available = (view.bytes().len() - ip.l3()).min(usize::from(ip.len));
    let quote = available.min(max - ip_len - icmp::LEN);
    let l4 = eth::LEN + ip_len;
    let payload = icmp::LEN + quote;
    view.set_len(l4 + payload);
    view.bytes_mut().copy_within(ip.l3()..ip.l3() + quote, l4 + icmp::LEN);
    write_ip_header(view, family, (from, ip.src), proto, payload);
    link.write(view.bytes_mut());
    let bytes = view.bytes_mut();
    bytes[l4..l4 + icmp::LEN].copy_from_slice(message.as_bytes());
    let sum = checksum::sum(&bytes[l4..]) + pseudo(family, &from, &ip.src, payload);
    bytes[l4 + 2..l4 + 4].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
}

/// ICMPv6 covers a pseudo-header (RFC 4443 section 2.3), ICMP does not.
pub(super) fn pseudo(family: Family, src: &Addr, dst: &Addr, len: usize) -> u64 {
    match family {
        Family::V4 => 0,
        Family::V6 => checksum::pseudo(src, dst, icmp::PROTO_V6, len as u16),
    }
}

fn message(ip: &Ip, family: Family, refusal: Refusal) -> (Addr, Icmp) {
    let (from, kind, code, mtu) = match (family, refusal) {
        (Family::V4, Refusal::TimeExceeded { from }) => (from, v4::TIME_EXCEEDED, 0, 0),
        (Family::V6, Refusal::TimeExceeded { from }) => (from, v6::TIME_EXCEEDED, 0, 0),
        (Family::V4, Refusal::TooBig { from, mtu }) => {
            (from, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, mtu)
        }
        (Family::V6, Refusal::TooBig { from, mtu }) => (from, v6::TOO_BIG, 0, mtu),
        (Family::V4, _) => (ip.dst, v4::UNREACHABLE, v4::PORT, 0),
        (Family::V6, _) => (ip.dst, v6::UNREACHABLE, v6::PORT, 0),
    };
    let message = Icmp { kind, code, checksum: U16::ZERO, word1: U16::ZERO, word2: U16::new(mtu) };
    (from, message)
}
