//! Packets as bytes, made and taken apart by an implementation that is not ours.

use etherparse::{
    NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TcpHeader, TransportSlice,
};
use portreeve_dataplane::addr::Addr;
use std::net::IpAddr;

use super::world::*;

/// An endpoint: address and port.
pub type End<'a> = (&'a str, u16);

fn base(
    src: &str,
    dst: &str,
    macs: ([u8; 6], [u8; 6]),
    ttl: u8,
) -> PacketBuilderStep<etherparse::IpHeaders> {
    let eth = PacketBuilder::ethernet2(macs.0, macs.1);
    match (src.parse().unwrap(), dst.parse().unwrap()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => eth.ipv4(src.octets(), dst.octets(), ttl),
        (IpAddr::V6(src), IpAddr::V6(dst)) => eth.ipv6(src.octets(), dst.octets(), ttl),
        _ => panic!("one family"),
    }
}

/// MACs of a packet from the client's side, or from the side of the backends.
fn macs(port: usize) -> ([u8; 6], [u8; 6]) {
    ([CLIENT_MAC, BACKEND_MACS[0]][port], PORT_MACS[port])
}

/// A TCP segment that arrives on `port`; `flags` as letters of "SAFRP".
pub fn tcp(port: usize, src: End<'_>, dst: End<'_>, flags: &str, payload: &[u8]) -> Vec<u8> {
    tcp_ttl(port, src, dst, flags, payload, 64)
}

pub fn tcp_ttl(
    port: usize,
    src: End<'_>,
    dst: End<'_>,
    flags: &str,
    payload: &[u8],
    ttl: u8,
) -> Vec<u8> {
    let mut header = TcpHeader::new(src.1, dst.1, 1000, 4096);
    header.syn = flags.contains('S');
    header.ack = flags.contains('A');
    header.fin = flags.contains('F');
    header.rst = flags.contains('R');
    header.psh = flags.contains('P');
    header.acknowledgment_number = if header.ack { 5000 } else { 0 };
    let builder = base(src.0, dst.0, macs(port), ttl).tcp_header(header);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// ARP of this operation that arrives on the client's port.
pub fn arp(sender: &str, target: &str, operation: u8) -> Vec<u8> {
    let mut packet =
        [&[0xff; 6][..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
    packet.extend(CLIENT_MAC);
    packet.extend(addr(sender).v4_octets());
    packet.extend([0; 6]);
    packet.extend(addr(target).v4_octets());
    packet.resize(60, 0);
    packet
}

/// A neighbour solicitation that arrives on the client's port.
pub fn solicitation(src: &str, target: &str, hop_limit: u8) -> Vec<u8> {
    let mut group = *addr("ff02::1:ff00:0").octets();
    group[13..].copy_from_slice(&addr(target).octets()[13..]);
    let mut body = vec![0; 4];
    body.extend(addr(target).octets());
    if src != "::" {
        body.extend([1, 1]);
        body.extend(CLIENT_MAC);
    }
    let mut packet = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, [0x33, 0x33, 0xff, 0, 1, 0])
        .ipv6(*addr(src).octets(), group, hop_limit)
        .icmpv6_raw(135, 0, body[..4].try_into().unwrap())
        .write(&mut packet, &body[4..])
        .unwrap();
    packet
}

/// A UDP datagram that arrives on `port`.
pub fn udp(port: usize, src: End<'_>, dst: End<'_>, payload: &[u8]) -> Vec<u8> {
    let builder = base(src.0, dst.0, macs(port), 64).udp(src.1, dst.1);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// A ping that arrives on the client's port.
pub fn ping(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let step = base(src, dst, macs(0), 64);
    let mut packet = Vec::new();
    match src.parse().unwrap() {
        IpAddr::V4(_) => step.icmpv4_echo_request(7, 1).write(&mut packet, payload).unwrap(),
        IpAddr::V6(_) => step.icmpv6_echo_request(7, 1).write(&mut packet, payload).unwrap(),
    }
    packet
}

/// Where the IP header of an untagged frame begins.
pub const L3: usize = 14;

/// Writes the IPv4 header checksum anew after a test changed the header.
pub fn fix_ipv4(packet: &mut [u8]) {
    let len = usize::from(packet[L3] & 15) * 4;
    let header = &mut packet[L3..L3 + len];
    header[10..12].fill(0);
    let mut sum = 0_u32;
    for word in header.chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What a packet is, as etherparse reads it; checksums are checked while reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub src_mac: [u8; 6],
    pub dst_mac: [u8; 6],
    pub src: Addr,
    pub dst: Addr,
    pub ttl: u8,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Tcp { src: u16, dst: u16, flags: String, seq: u32, ack: u32, payload: Vec<u8> },
    Udp { src: u16, dst: u16, payload: Vec<u8> },
    Icmp { kind: u8, code: u8, rest: Vec<u8> },
    Fragment { ident: u16, offset: usize, more: bool, payload: Vec<u8> },
}

/// Reads a packet and checks every checksum in it.
pub fn read(packet: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ethernet(packet).expect("a well-formed packet");
    let Some(etherparse::LinkSlice::Ethernet2(eth)) = &sliced.link else { panic!("Ethernet") };
    let (src, dst, ttl) = match sliced.net.as_ref().expect("an IP packet") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.calc_header_checksum(), header.header_checksum, "header checksum");
            assert_eq!(packet.len(), L3 + usize::from(header.total_len), "no padding left");
            (Addr::v4(header.source), Addr::v4(header.destination), header.time_to_live)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            (Addr::v6(header.source), Addr::v6(header.destination), header.hop_limit)
        }
        other => panic!("not IP: {other:?}"),
    };
    let what = fragment(packet).unwrap_or_else(|| upper(&sliced));
    Seen { src_mac: eth.source(), dst_mac: eth.destination(), src, dst, ttl, what }
}

fn fragment(packet: &[u8]) -> Option<What> {
    if packet[12..14] != [8, 0] {
        return None;
    }
    let field = u16::from_be_bytes([packet[L3 + 6], packet[L3 + 7]]);
    (field & 0x3fff != 0).then(|| {
        let header = usize::from(packet[L3] & 15) * 4;
        What::Fragment {
            ident: u16::from_be_bytes([packet[L3 + 4], packet[L3 + 5]]),
            offset: usize::from(field & 0x1fff) * 8,
            more: field & 0x2000 != 0,
            payload: packet[L3 + header..].to_vec(),
        }
    })
}

fn upper(sliced: &SlicedPacket<'_>) -> What {
    let payload = sliced.net.as_ref().and_then(NetSlice::ip_payload_ref).expect("a payload");
    match sliced.transport.as_ref().expect("a transport header") {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let right = match sliced.net.as_ref() {
                Some(NetSlice::Ipv4(ip)) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
                }
                Some(NetSlice::Ipv6(ip)) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())
                }
                _ => unreachable!(),
            };
            assert_eq!(Ok(header.checksum), right, "TCP checksum");
            let letters = [
                ('S', header.syn),
                ('A', header.ack),
                ('F', header.fin),
                ('R', header.rst),
                ('P', header.psh),
            ];
            What::Tcp {
                src: header.source_port,
                dst: header.destination_port,
                flags: letters.iter().filter(|(_, set)| *set).map(|(letter, _)| letter).collect(),
                seq: header.sequence_number,
                ack: header.acknowledgment_number,
                payload: tcp.payload().to_vec(),
            }
        }
        TransportSlice::Udp(udp) => {
            let header = udp.to_header();
            if header.checksum != 0 {
                let right = match sliced.net.as_ref() {
                    Some(NetSlice::Ipv4(ip)) => {
                        header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload())
                    }
                    Some(NetSlice::Ipv6(ip)) => {
                        header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
                    }
                    _ => unreachable!(),
                };
                assert_eq!(Ok(header.checksum), right, "UDP checksum");
            }
            What::Udp {
                src: header.source_port,
                dst: header.destination_port,
                payload: udp.payload().to_vec(),
            }
        }
        TransportSlice::Icmpv4(_) => {
            let bytes = payload.payload;
            assert_eq!(ones_complement(bytes, 0), 0xffff, "ICMP checksum");
            What::Icmp { kind: bytes[0], code: bytes[1], rest: bytes[4..].to_vec() }
        }
        TransportSlice::Icmpv6(icmp) => {
            let bytes = payload.payload;
            let Some(NetSlice::Ipv6(ip)) = sliced.net.as_ref() else { unreachable!() };
            let header = ip.header().to_header();
            assert!(icmp.is_checksum_valid(header.source, header.destination), "ICMPv6 checksum");
            What::Icmp { kind: bytes[0], code: bytes[1], rest: bytes[4..].to_vec() }
        }
        other @ TransportSlice::Igmp(_) => panic!("nothing that we send: {other:?}"),
    }
}

fn ones_complement(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for word in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
