//! Bytes to facts. Everything that later steps rely on is checked here: versions, lengths, the
//! IPv4 header checksum, and that all headers lie in the first chunk.

/// What is behind an IPv6 header.
mod v6;

use zerocopy::{FromBytes, IntoBytes as _};

use super::packet::{Arp, Body, Ip, Packet, Transport, Upper};
use super::{Ctx, Memory, Packets, vlan};
use crate::addr::{Addr, Mac, Proto};
use crate::drop_reason::DropReason;
use crate::wire::tcp::Flags;
use crate::wire::{arp, checksum, eth, icmp, ipv4, tcp, udp};
use crate::xsk::socket::Burst;

pub(super) const TCP: u8 = Proto::Tcp as u8;
pub(super) const UDP: u8 = Proto::Udp as u8;

/// Frames whose headers are asked for before the one at hand is read.
pub(super) const AHEAD: usize = 8;

/// Reads and counts every frame of a burst.
#[inline]
pub fn burst(ctx: &Ctx<'_>, memory: &Memory<'_>, burst: &mut Burst, packets: &mut Packets) {
    let umem = memory.umem;
    for frame in burst.iter().take(AHEAD) {
        umem.prefetch(frame);
    }
    let mut bytes = 0;
    for at in 0..burst.len() {
        if let Some(frame) = burst.get(at + AHEAD) {
            umem.prefetch(frame);
        }
        let view = umem.view(&mut burst[at]);
        let total = view.total_len();
        bytes += total as u64;
        read(view.bytes(), total, packets);
    }
    ctx.counters.received(ctx.port, ctx.share.handed, packets.len() as u64, bytes);
}

/// Reads a frame whose first chunk is `bytes` and whose length over all chunks is `total`. What
/// cannot be read is broken for one of [`DropReason::Truncated`], [`DropReason::Malformed`],
/// [`DropReason::BadHeaderChecksum`], [`DropReason::BadChecksum`] (none over IPv6),
/// [`DropReason::ExtensionHeaders`] and [`DropReason::UnknownEthertype`].
#[must_use]
pub fn parse(bytes: &[u8], total: usize) -> Packet {
    let mut packets = Packets::new();
    read(bytes, total, &mut packets);
    match packets[0].body {
        Body::Broken(DropReason::UnknownEthertype) => {
            vlan::read_copy(bytes, total).map_or(packets[0], |(packet, _)| packet)
        }
        _ => packets[0],
    }
}

/// Each kind of packet is written where it will be read, at the end of its own way: put together
/// from all ways it would be moved in pieces (docs/decisions/0007).
#[inline(always)]
fn read(bytes: &[u8], total: usize, packets: &mut Packets) {
    let Ok(header) = header::<eth::Eth>(bytes, 0) else {
        let nobody = Mac::default();
        let body = Body::Broken(DropReason::Truncated);
        return packets.push(Packet { from: nobody, to: nobody, body });
    };
    let read = match header.ethertype.get() {
        _ if header.src[0] & 1 == 1 => Err(DropReason::Malformed),
        eth::IPV4 => read_v4(header, bytes, total, packets),
        eth::IPV6 => v6::read(header, bytes, total, packets),
        eth::ARP => read_arp(header, bytes, packets),
        _ => Err(DropReason::UnknownEthertype),
    };
    if let Err(reason) = read {
        push(packets, header, Body::Broken(reason));
    }
}

#[inline(always)]
fn push(packets: &mut Packets, eth: &eth::Eth, body: Body) {
    packets.push(Packet { from: Mac(eth.src), to: Mac(eth.dst), body });
}

#[inline(always)]
pub(super) fn header<
    T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
>(
    bytes: &[u8],
    offset: usize,
) -> Result<&T, DropReason> {
    let rest = bytes.get(offset..).ok_or(DropReason::Truncated)?;
    T::ref_from_prefix(rest).map(|(header, _)| header).map_err(|_| DropReason::Truncated)
}

#[inline(never)]
fn read_arp(eth: &eth::Eth, bytes: &[u8], packets: &mut Packets) -> Result<(), DropReason> {
    let message = header::<arp::Arp>(bytes, eth::LEN)?;
    let operation = message.operation.get();
    if !message.is_ipv4() || !matches!(operation, arp::REQUEST | arp::REPLY) {
        return Err(DropReason::Malformed);
    }
    let arp = Arp {
        is_request: operation == arp::REQUEST,
        sender_mac: Mac(message.sender_mac),
        sender: Addr::v4(message.sender_ip),
        target: Addr::v4(message.target_ip),
    };
    push(packets, eth, Body::Arp(arp));
    Ok(())
}

#[inline(always)]
fn read_v4(
    eth: &eth::Eth,
    bytes: &[u8],
    total: usize,
    packets: &mut Packets,
) -> Result<(), DropReason> {
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
    let at = V4 { eth, ip, l4, len };
    if fragment & (ipv4::MF | ipv4::OFFSET) != 0 {
        at.write(packets, Upper::Fragment);
        return Ok(());
    }
    let room = Room::new(bytes, l4, l3 + usize::from(len))?;
    match ip.proto {
        TCP => at.write(packets, of_tcp(tcp_header(&room)?)),
        UDP => at.write(packets, of_udp(udp_header(&room)?)),
        icmp::PROTO_V4 => at.write(packets, icmp_facts(&room)?),
        _ => at.write(packets, Upper::Other),
    }
    Ok(())
}

/// What is known of an IPv4 packet when its payload has been read.
#[derive(Clone, Copy)]
struct V4<'a> {
    eth: &'a eth::Eth,
    ip: &'a ipv4::Ipv4,
    l4: usize,
    len: u16,
}

impl V4<'_> {
    #[inline(always)]
    fn write(self, packets: &mut Packets, upper: Upper) {
        let ip = Ip {
            src: Addr::v4(self.ip.src),
            dst: Addr::v4(self.ip.dst),
            l3: eth::LEN as u16,
            l4: self.l4 as u16,
            len: self.len,
            ttl: self.ip.ttl,
            may_fragment: self.ip.fragment.get() & ipv4::DF == 0,
            upper,
        };
        push(packets, self.eth, Body::Ip(ip));
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

/// Where the payload of an IP packet lies.
struct Room<'a> {
    /// What of it lies in the first chunk.
    bytes: &'a [u8],
    /// Its length over all chunks.
    len: usize,
}

impl<'a> Room<'a> {
    #[inline(always)]
    fn new(bytes: &'a [u8], l4: usize, end: usize) -> Result<Self, DropReason> {
        let len = end.checked_sub(l4).ok_or(DropReason::Truncated)?;
        let bytes = bytes.get(l4..end.min(bytes.len())).ok_or(DropReason::Truncated)?;
        Ok(Self { bytes, len })
    }
}

#[inline(always)]
fn tcp_header<'a>(room: &Room<'a>) -> Result<&'a tcp::Tcp, DropReason> {
    let tcp = header::<tcp::Tcp>(room.bytes, 0)?;
    let header_len = usize::from(tcp.offset >> 4) * 4;
    if header_len < tcp::LEN || header_len > room.len {
        return Err(DropReason::Malformed);
    }
    Ok(tcp)
}

#[inline(always)]
fn udp_header<'a>(room: &Room<'a>) -> Result<&'a udp::Udp, DropReason> {
    let udp = header::<udp::Udp>(room.bytes, 0)?;
    let len = usize::from(udp.len.get());
    if len < udp::LEN || len > room.len {
        return Err(DropReason::Malformed);
    }
    Ok(udp)
}

#[inline(always)]
fn of_tcp(tcp: &tcp::Tcp) -> Upper {
    let (src, dst) = (tcp.src.get(), tcp.dst.get());
    Upper::Transport(Transport { proto: Proto::Tcp, src, dst, flags: Flags(tcp.flags) })
}

#[inline(always)]
fn of_udp(udp: &udp::Udp) -> Upper {
    let (src, dst) = (udp.src.get(), udp.dst.get());
    Upper::Transport(Transport { proto: Proto::Udp, src, dst, flags: Flags::default() })
}

fn icmp_facts(room: &Room<'_>) -> Result<Upper, DropReason> {
    Ok(Upper::Icmp { kind: header::<icmp::Icmp>(room.bytes, 0)?.kind })
}
