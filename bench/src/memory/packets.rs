//! Packets of made-up clients: a template for each kind, of which a flow changes address and port.

use anyhow::{Context as _, Result};
use dataplane::addr::{Addr, Family};
use dataplane::wire::checksum::Delta;

use super::world::{CLIENT_MAC, PORT_MACS, vip};

/// Clients differ in their port first: this many flows share an address.
const PORTS_PER_CLIENT: u32 = 32_768;
const FIRST_PORT: u32 = 1_024;

/// Bytes of the smallest Ethernet frame without its checksum: 64 B on the wire.
pub const SMALL: usize = 60;

/// What kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UDP datagram.
    Udp,
    /// A TCP segment that opens a connection.
    Syn,
}

/// A packet from a client to a VIP, all but client address and port.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    family: Family,
    /// Where the transport header starts.
    l4: usize,
    /// Where its checksum is.
    checksum: usize,
    /// The IPv4 header checksum and the transport checksum without the client.
    base: (u16, u16),
}

/// Number of the client of a flow, and its port.
#[must_use]
pub fn client(flow: u32) -> (u32, u16) {
    (flow / PORTS_PER_CLIENT, (FIRST_PORT + flow % PORTS_PER_CLIENT) as u16)
}

impl Template {
    /// A frame of `len` bytes (Ethernet header included, no checksum of its own) to service
    /// `service`.
    ///
    /// # Errors
    /// When the headers do not fit.
    pub fn new(kind: Kind, family: Family, service: u32, len: usize) -> Result<Self> {
        let builder = etherparse::PacketBuilder::ethernet2(CLIENT_MAC, PORT_MACS[0]);
        let to = vip(family, service);
        let builder = match family {
            Family::V4 => builder.ipv4([0; 4], to.v4_octets(), 64),
            Family::V6 => builder.ipv6([0; 16], *to.octets(), 64),
        };
        let l4 = match family {
            Family::V4 => 34,
            Family::V6 => 54,
        };
        let header = if kind == Kind::Syn { 20 } else { 8 };
        // A frame of 64 B holds 60 without its checksum, which IPv6 and TCP headers exceed.
        let payload = vec![0x5a; len.saturating_sub(l4 + header)];
        let mut bytes = Vec::new();
        let checksum = match kind {
            Kind::Udp => {
                builder.udp(0, 53).write(&mut bytes, &payload).context("write a template")?;
                l4 + 6
            }
            Kind::Syn => {
                let tcp = builder.tcp(0, 80, 1, 64_000).syn();
                tcp.write(&mut bytes, &payload).context("write a template")?;
                l4 + 16
            }
        };
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let base = (word(24), word(checksum));
        Ok(Self { bytes, family, l4, checksum, base })
    }

    /// Bytes of the frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes; it always has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The packet of a client, numbered, from one of its ports.
    pub fn of(&mut self, (client, port): (u32, u16)) -> &[u8] {
        let host = client_octets(client);
        let mut delta = Delta::default();
        delta.word(0, u16::from_be_bytes([host[0], host[1]]));
        delta.word(0, u16::from_be_bytes([host[2], host[3]]));
        match self.family {
            Family::V4 => {
                self.bytes[26..30].copy_from_slice(&host);
                self.bytes[24..26].copy_from_slice(&delta.apply(self.base.0).to_be_bytes());
            }
            Family::V6 => {
                let prefix = [0xfd00, 1];
                self.bytes[22..24].copy_from_slice(&u16::to_be_bytes(prefix[0]));
                self.bytes[24..26].copy_from_slice(&u16::to_be_bytes(prefix[1]));
                self.bytes[34..38].copy_from_slice(&host);
                prefix.iter().for_each(|word| delta.word(0, *word));
            }
        }
        delta.word(0, port);
        self.bytes[self.l4..self.l4 + 2].copy_from_slice(&port.to_be_bytes());
        let sum = delta.apply(self.base.1).to_be_bytes();
        self.bytes[self.checksum..self.checksum + 2].copy_from_slice(&sum);
        &self.bytes
    }
}

/// The last four bytes of a client's address: 10.128.0.0/9 holds them all.
#[must_use]
pub fn client_octets(client: u32) -> [u8; 4] {
    let [_, b, c, d] = client.to_be_bytes();
    [10, 128 | b, c, d]
}

/// A client's address.
#[must_use]
pub fn client_addr(family: Family, client: u32) -> Addr {
    let [a, b, c, d] = client_octets(client);
    match family {
        Family::V4 => Addr::v4([a, b, c, d]),
        Family::V6 => Addr::v6([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]),
    }
}

/// The answer to a forwarded packet: the two ends change places, which no checksum notices.
pub fn answer(forwarded: &[u8], reply: &mut Vec<u8>) {
    reply.clear();
    reply.extend_from_slice(&PORT_MACS[1]);
    reply.extend_from_slice(&forwarded[..6]);
    reply.extend_from_slice(&forwarded[12..]);
    let (src, len, l4) = if forwarded[12] == 0x08 { (26, 4, 34) } else { (22, 16, 54) };
    let (a, b) = (src, src + len);
    reply[a..a + len].copy_from_slice(&forwarded[b..b + len]);
    reply[b..b + len].copy_from_slice(&forwarded[a..a + len]);
    reply[l4..l4 + 2].copy_from_slice(&forwarded[l4 + 2..l4 + 4]);
    reply[l4 + 2..l4 + 4].copy_from_slice(&forwarded[l4..l4 + 2]);
}

/// A frame of a neighbour that asks for `target`.
///
/// # Errors
/// Never in practice: the header is small.
pub fn arp_request(target: Addr) -> Result<Vec<u8>> {
    let packet = etherparse::ArpPacket::new(
        etherparse::ArpHardwareId::ETHERNET,
        etherparse::EtherType::IPV4,
        etherparse::ArpOperation::REQUEST,
        &CLIENT_MAC,
        &[10, 0, 0, 9],
        &[0; 6],
        &target.v4_octets(),
    )?;
    let mut frame = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2(CLIENT_MAC, [0xff; 6]).arp(packet);
    builder.write(&mut frame).context("write an ARP request")?;
    Ok(frame)
}
