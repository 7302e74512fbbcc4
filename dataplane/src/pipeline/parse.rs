//! Bytes to facts. Everything that later steps rely on is checked here: versions, lengths, the
//! IPv4 header checksum, and that all headers lie in the first chunk.

use zerocopy::{FromBytes, IntoBytes as _};

use super::packet::{Arp, Body, Ip, Packet, Transport, Upper};
use super::{Ctx, Memory, Packets};
use crate::addr::{Addr, Mac, Proto};
use crate::drop_reason::DropReason;
use crate::wire::tcp::Flags;
use crate::wire::{arp, checksum, eth, icmp, ipv4, ipv6, ndp, tcp, udp};
use crate::xsk::socket::Burst;

const LOOPBACK_V6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Frames whose headers are asked for before the one at hand is read.
const AHEAD: usize = 8;

/// Reads and counts every frame of a burst.
#[inline]
pub fn burst(ctx: &Ctx<'_>, memory: &Memory<'_>, burst: &mut Burst) -> Packets {
    let umem = memory.umem;
    for frame in burst.iter().take(AHEAD) {
        umem.prefetch(frame);
    }
    let mut packets = Packets::new();
    let mut bytes = 0;
    for at in 0..burst.len() {
        if let Some(frame) = burst.get(at + AHEAD) {
            umem.prefetch(frame);
        }
        let view = umem.view(&mut burst[at]);
        let total = view.total_len();
        bytes += total as u64;
        packets.push(parse(view.bytes(), total));
    }
    let port = ctx.counters.port(ctx.port);
    port.rx_packets.add(packets.len() as u64);
    port.rx_bytes.add(bytes);
    packets
}

/// Reads a frame whose first chunk is `bytes` and whose length over all chunks is `total`. What
/// cannot be read is broken for one of [`DropReason::Truncated`], [`DropReason::Malformed`],
/// [`DropReason::BadHeaderChecksum`], [`DropReason::BadChecksum`] (none over IPv6),
/// [`DropReason::ExtensionHeaders`] and [`DropReason::UnknownEthertype`].
#[inline]
pub fn parse(bytes: &[u8], total: usize) -> Packet {
    let Ok(header) = header::<eth::Eth>(bytes, 0) else {
        let nobody = Mac::default();
        return Packet { from: nobody, to: nobody, body: Body::Broken(DropReason::Truncated) };
    };
    let body = match header.ethertype.get() {
        _ if header.src[0] & 1 == 1 => Err(DropReason::Malformed),
        eth::IPV4 => parse_v4(bytes, total).map(Body::Ip),
        eth::IPV6 => parse_v6(bytes, total).map(Body::Ip),
        eth::ARP => parse_arp(bytes).map(Body::Arp),
        _ => Err(DropReason::UnknownEthertype),
    };
    let body = body.unwrap_or_else(Body::Broken);
    Packet { from: Mac(header.src), to: Mac(header.dst), body }
}

#[inline(always)]
fn header<T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned>(
    bytes: &[u8],
    offset: usize,
) -> Result<&T, DropReason> {
    let rest = bytes.get(offset..).ok_or(DropReason::Truncated)?;
    T::ref_from_prefix(rest).map(|(header, _)| header).map_err(|_| DropReason::Truncated)
}

fn parse_arp(bytes: &[u8]) -> Result<Arp, DropReason> {
    let message = header::<arp::Arp>(bytes, eth::LEN)?;
    let operation = message.operation.get();
    if !message.is_ipv4() || !matches!(operation, arp::REQUEST | arp::REPLY) {
        return Err(DropReason::Malformed);
    }
    Ok(Arp {
        is_request: operation == arp::REQUEST,
        sender_mac: Mac(message.sender_mac),
        sender: Addr::v4(message.sender_ip),
        target: Addr::v4(message.target_ip),
    })
}

#[inline]
fn parse_v4(bytes: &[u8], total: usize) -> Result<Ip, DropReason> {
    let l3 = eth::LEN;
    let ip = header::<ipv4::Ipv4>(bytes, l3)?;
    let header_len = ip.header_len();
    let len = ip.total_len.get();
    if ip.version_ihl >> 4 != 4 || header_len < ipv4::LEN || usize::from(len) < header_len {
        return Err(DropReason::Malformed);
    }
    check_length(bytes, total, l3 + usize::from(len))?;
    let sum = match header_len {
        ipv4::LEN => checksum::sum(ip.as_bytes()),
        len => checksum::sum(bytes.get(l3..l3 + len).ok_or(DropReason::Truncated)?),
    };
    if checksum::fold(sum) != 0xffff {
        return Err(DropReason::BadHeaderChecksum);
    }
    // Multicast, broadcast, loopback and "this host" are no sources (RFC 1122 section 3.2.1.3).
    if ip.src[0] >= 224 || ip.src[0] == 127 || ip.src == [0; 4] {
        return Err(DropReason::Malformed);
    }
    let l4 = l3 + header_len;
    let fragment = ip.fragment.get();
    let upper = if fragment & (ipv4::MF | ipv4::OFFSET) != 0 {
        Upper::Fragment
    } else {
        upper(bytes, l4, l3 + usize::from(len), ip.proto)?
    };
    Ok(Ip {
        l3,
        l4,
        len,
        src: Addr::v4(ip.src),
        dst: Addr::v4(ip.dst),
        ttl: ip.ttl,
        may_fragment: fragment & ipv4::DF == 0,
        upper,
    })
}

#[inline]
fn parse_v6(bytes: &[u8], total: usize) -> Result<Ip, DropReason> {
    let l3 = eth::LEN;
    let ip = header::<ipv6::Ipv6>(bytes, l3)?;
    let payload = ip.payload_len.get();
    let len = (ipv6::LEN as u16).checked_add(payload).ok_or(DropReason::Malformed)?;
    if ip.version_class_flow[0] >> 4 != 6 || payload == 0 || ip.src[0] == 0xff {
        return Err(DropReason::Malformed);
    }
    let end = l3 + usize::from(len);
    check_length(bytes, total, end)?;
    let packet = &bytes[l3..end.min(bytes.len())];
    let (l4, upper) = match ipv6::walk(packet, ip.next_header) {
        Ok(ipv6::Upper::Transport { proto, offset }) => {
            (l3 + offset, upper(bytes, l3 + offset, end, proto)?)
        }
        Ok(ipv6::Upper::Fragment { offset }) => (l3 + offset, Upper::Fragment),
        Err(ipv6::WalkError::Truncated) => return Err(DropReason::Truncated),
        Err(ipv6::WalkError::Refused) => return Err(DropReason::ExtensionHeaders),
    };
    let src = Addr::v6(ip.src);
    if src.is_v4() || Addr::v6(ip.dst).is_v4() {
        // IPv4-mapped addresses do not belong on the wire; to us they would be IPv4 ones.
        return Err(DropReason::Malformed);
    }
    // Nobody is reached at "unspecified"; only duplicate detection speaks from there.
    let nobody = ip.src == [0; 16] && !matches!(upper, Upper::Solicitation { .. });
    if nobody || ip.src == LOOPBACK_V6 {
        return Err(DropReason::Malformed);
    }
    if let Upper::Transport(Transport { proto: Proto::Udp, .. }) = upper
        && header::<udp::Udp>(bytes, l4)?.checksum.get() == 0
    {
        // Not allowed over IPv6 (RFC 8200 section 8.1).
        return Err(DropReason::BadChecksum);
    }
    Ok(Ip {
        l3,
        l4,
        len,
        src,
        dst: Addr::v6(ip.dst),
        ttl: ip.hop_limit,
        may_fragment: false,
        upper: solicitation(ip, upper),
    })
}

/// Only a solicitation that comes from the link counts as one (RFC 4861 section 7.1.1).
fn solicitation(ip: &ipv6::Ipv6, upper: Upper) -> Upper {
    match upper {
        Upper::Solicitation { .. } if ip.hop_limit != ndp::HOP_LIMIT => {
            Upper::Icmp { kind: icmp::v6::SOLICITATION }
        }
        other => other,
    }
}

/// The packet must not be longer than the frame. Behind it there may be Ethernet padding, but not
/// in a chain, which is longer than any minimum.
fn check_length(bytes: &[u8], total: usize, end: usize) -> Result<(), DropReason> {
    if total < end {
        return Err(DropReason::Truncated);
    }
    if total != end && total != bytes.len() {
        return Err(DropReason::Malformed);
    }
    Ok(())
}

#[inline(always)]
fn upper(bytes: &[u8], l4: usize, end: usize, proto: u8) -> Result<Upper, DropReason> {
    let bytes = &bytes[..end.min(bytes.len())];
    let room = end.checked_sub(l4).ok_or(DropReason::Truncated)?;
    match proto {
        6 => tcp_facts(bytes, l4, room),
        17 => udp_facts(bytes, l4, room),
        icmp::PROTO_V4 => Ok(Upper::Icmp { kind: header::<icmp::Icmp>(bytes, l4)?.kind }),
        icmp::PROTO_V6 => icmp6_facts(bytes, l4),
        _ => Ok(Upper::Other),
    }
}

#[inline(always)]
fn tcp_facts(bytes: &[u8], l4: usize, room: usize) -> Result<Upper, DropReason> {
    let tcp = header::<tcp::Tcp>(bytes, l4)?;
    let header_len = usize::from(tcp.offset >> 4) * 4;
    if header_len < tcp::LEN || header_len > room {
        return Err(DropReason::Malformed);
    }
    Ok(Upper::Transport(Transport {
        proto: Proto::Tcp,
        src: tcp.src.get(),
        dst: tcp.dst.get(),
        flags: Flags(tcp.flags),
    }))
}

#[inline(always)]
fn udp_facts(bytes: &[u8], l4: usize, room: usize) -> Result<Upper, DropReason> {
    let udp = header::<udp::Udp>(bytes, l4)?;
    let len = usize::from(udp.len.get());
    if len < udp::LEN || len > room {
        return Err(DropReason::Malformed);
    }
    Ok(Upper::Transport(Transport {
        proto: Proto::Udp,
        src: udp.src.get(),
        dst: udp.dst.get(),
        flags: Flags::default(),
    }))
}

fn icmp6_facts(bytes: &[u8], l4: usize) -> Result<Upper, DropReason> {
    let kind = header::<icmp::Icmp>(bytes, l4)?.kind;
    if kind != icmp::v6::SOLICITATION {
        return Ok(Upper::Icmp { kind });
    }
    let message = header::<ndp::Neighbour>(bytes, l4)?;
    if message.code != 0 || message.target[0] == 0xff {
        return Err(DropReason::Malformed);
    }
    Ok(Upper::Solicitation { target: Addr::v6(message.target) })
}
