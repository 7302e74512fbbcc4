//! Frames, byte by byte. Checksums are zero throughout: steering does not look at them.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const UNICAST: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const BROADCAST: [u8; 6] = [0xff; 6];
pub const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

pub const HOP_BY_HOP: u8 = 0;
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const AH: u8 = 51;
pub const ICMPV6: u8 = 58;
pub const DESTINATION_OPTIONS: u8 = 60;

pub fn eth(dst: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let source = [2, 0, 0, 0, 0, 2];
    [&dst[..], &source, &ethertype.to_be_bytes(), payload].concat()
}

pub fn arp(op: u16, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(op.to_be_bytes());
    packet.extend([2, 0, 0, 0, 0, 2]);
    packet.extend(sender);
    packet.extend([0; 6]);
    packet.extend(target);
    packet
}

/// The 20 bytes of a TCP header; UDP uses their beginning.
pub fn ports(src: u16, dst: u16) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[..2].copy_from_slice(&src.to_be_bytes());
    header[2..4].copy_from_slice(&dst.to_be_bytes());
    header
}

/// An ICMP or ICMPv6 message; of an echo, `rest` begins with the identifier.
pub fn icmp(kind: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0], &rest[..], body].concat()
}

pub fn echo(kind: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    icmp(kind, [high, low, 0, 1], &[0xaa; 16])
}

/// Solicitation (135) or advertisement (136), with a link-layer address option.
pub fn ndp(kind: u8, target: Ipv6Addr) -> Vec<u8> {
    let option = [1, 1, 2, 0, 0, 0, 0, 2];
    icmp(kind, [0; 4], &[&target.octets()[..], &option].concat())
}

#[derive(Clone)]
pub struct V4 {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    proto: u8,
    id: u16,
    frag: u16,
    first_byte: u8,
    options: usize,
    payload: Vec<u8>,
}

pub fn v4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, payload: Vec<u8>) -> V4 {
    V4 { src, dst, proto, id: 0, frag: 0, first_byte: 0x45, options: 0, payload }
}

impl V4 {
    /// `offset` in units of 8 bytes.
    pub fn fragment(self, id: u16, offset: u16, more: bool) -> Self {
        Self { id, frag: offset | u16::from(more) << 13, ..self }
    }

    /// `words` of 4 bytes each.
    pub fn options(self, words: u8) -> Self {
        Self { first_byte: 0x45 + words, options: usize::from(words) * 4, ..self }
    }

    /// Version and header length as they stand in the first byte.
    pub fn first_byte(self, first_byte: u8) -> Self {
        Self { first_byte, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = 20 + self.options + self.payload.len();
        let mut header = vec![self.first_byte, 0];
        header.extend((length as u16).to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header.extend(self.frag.to_be_bytes());
        header.extend([64, self.proto, 0, 0]);
        header.extend(self.src.octets());
        header.extend(self.dst.octets());
        header.extend(vec![1; self.options]);
        [header, self.payload.clone()].concat()
    }

    pub fn frame(&self) -> Vec<u8> {
        self.frame_to(UNICAST)
    }

    pub fn frame_to(&self, dst: [u8; 6]) -> Vec<u8> {
        eth(dst, 0x0800, &self.bytes())
    }
}

#[derive(Clone)]
pub struct V6 {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    first_byte: u8,
    extensions: Vec<(u8, Vec<u8>)>,
    proto: u8,
    payload: Vec<u8>,
}

pub fn v6(src: Ipv6Addr, dst: Ipv6Addr, proto: u8, payload: Vec<u8>) -> V6 {
    V6 { src, dst, first_byte: 0x60, extensions: Vec::new(), proto, payload }
}

impl V6 {
    /// Version as it stands in the first byte.
    pub fn first_byte(self, first_byte: u8) -> Self {
        Self { first_byte, ..self }
    }

    /// One more extension header of this kind, its smallest size.
    pub fn extension(mut self, kind: u8) -> Self {
        let body = match kind {
            AH => [&[4, 0, 0][..], &[0; 20]].concat(),
            _ => vec![0; 7],
        };
        self.extensions.push((kind, body));
        self
    }

    /// `offset` in units of 8 bytes.
    pub fn fragment(mut self, id: u32, offset: u16, more: bool) -> Self {
        let mut body = vec![0];
        body.extend((offset << 3 | u16::from(more)).to_be_bytes());
        body.extend(id.to_be_bytes());
        self.extensions.push((FRAGMENT, body));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let kinds = self.extensions.iter().map(|(kind, _)| *kind).chain([self.proto]);
        let mut next = kinds.collect::<Vec<u8>>().into_iter();
        let chain: Vec<u8> = self
            .extensions
            .iter()
            .zip(next.clone().skip(1))
            .flat_map(|((_, body), next)| [&[next][..], body].concat())
            .collect();
        let length = chain.len() + self.payload.len();
        let mut header = vec![self.first_byte, 0, 0, 0];
        header.extend((length as u16).to_be_bytes());
        header.extend([next.next().unwrap_or(self.proto), 64]);
        header.extend(self.src.octets());
        header.extend(self.dst.octets());
        [header, chain, self.payload.clone()].concat()
    }

    pub fn frame(&self) -> Vec<u8> {
        self.frame_to(UNICAST)
    }

    pub fn frame_to(&self, dst: [u8; 6]) -> Vec<u8> {
        eth(dst, 0x86dd, &self.bytes())
    }
}
