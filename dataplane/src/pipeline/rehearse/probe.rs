use zerocopy::IntoBytes as _;
use zerocopy::byteorder::network_endian::{U16, U32};

use crate::addr::{Addr, Family, L4Port, Mac};
use crate::wire::tcp::Flags;
use crate::wire::{arp, eth, icmp, ipv4, ipv6, ndp, tcp, udp};

/// A packet that is only asked about. Transport checksums are left out: no step before the wire
/// looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// MAC of the sender.
    pub from: Mac,
    /// MAC that it is sent to.
    pub to: Mac,
    /// Source and destination, of one family.
    pub src: Addr,
    /// As above.
    pub dst: Addr,
    /// What it carries.
    pub what: What,
    /// Hops left.
    pub ttl: u8,
    /// Length of the IP packet in bytes; what is less than its headers need counts as that.
    pub len: u16,
}

/// What such a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A TCP segment: source and destination port, host order, and control bits.
    Tcp(L4Port, L4Port, Flags),
    /// A UDP datagram: source and destination port, host order.
    Udp(L4Port, L4Port),
    /// A ping.
    Echo,
    /// A question for the MAC of the destination: ARP or NDP.
    WhoHas,
}

impl Probe {
    /// The frame. IPv4 packets carry DF.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        if let (What::WhoHas, Family::V4) = (self.what, self.dst.family()) {
            let sender = (self.from, self.src.v4_octets());
            let question =
                arp::Arp::new(arp::REQUEST, sender, (Mac::default(), self.dst.v4_octets()));
            return [&self.link(eth::ARP, Mac::BROADCAST), question.as_bytes()].concat();
        }
        let upper = self.upper();
        match self.dst.family() {
            Family::V4 => self.over_v4(upper),
            Family::V6 => self.over_v6(upper),
        }
    }

    fn link(&self, ethertype: u16, to: Mac) -> Vec<u8> {
        let ethertype = U16::new(ethertype);
        eth::Eth { dst: to.0, src: self.from.0, ethertype }.as_bytes().to_vec()
    }

    fn over_v4(&self, (proto, mut upper): (u8, Vec<u8>)) -> Vec<u8> {
        let room = usize::from(self.len).saturating_sub(ipv4::LEN);
        upper.resize(room.max(upper.len()), 0);
        self.fix_udp_len(&mut upper);
        let len = (ipv4::LEN + upper.len()) as u16;
        let mut header = ipv4::Ipv4::new(self.src.v4_octets(), self.dst.v4_octets(), proto, len);
        header.ttl = self.ttl;
        let mut header = header.as_bytes().to_vec();
        ipv4::finish_header(&mut header);
        [self.link(eth::IPV4, self.to), header, upper].concat()
    }

    fn over_v6(&self, (proto, mut upper): (u8, Vec<u8>)) -> Vec<u8> {
        let solicits = self.what == What::WhoHas;
        if !solicits {
            let room = usize::from(self.len).saturating_sub(ipv6::LEN);
            upper.resize(room.max(upper.len()), 0);
        }
        self.fix_udp_len(&mut upper);
        let (dst, ttl) = if solicits {
            (ndp::solicited_node(*self.dst.octets()), ndp::HOP_LIMIT)
        } else {
            (*self.dst.octets(), self.ttl)
        };
        let header = ipv6::Ipv6::new(*self.src.octets(), dst, proto, upper.len() as u16, ttl);
        let [.., a, b, c] = dst;
        let to = if solicits { Mac([0x33, 0x33, 0xff, a, b, c]) } else { self.to };
        [&self.link(eth::IPV6, to), header.as_bytes(), &upper].concat()
    }

    /// Protocol number and header.
    fn upper(&self) -> (u8, Vec<u8>) {
        let v4 = self.dst.is_v4();
        match self.what {
            What::Tcp(src, dst, flags) => {
                let header = tcp::Tcp {
                    src: U16::new(src),
                    dst: U16::new(dst),
                    seq: U32::ZERO,
                    ack: U32::ZERO,
                    offset: (tcp::LEN as u8 / 4) << 4,
                    flags: flags.0,
                    window: U16::MAX_VALUE,
                    checksum: U16::ZERO,
                    urgent: U16::ZERO,
                };
                (6, header.as_bytes().to_vec())
            }
            What::Udp(src, dst) => {
                // Over IPv6 a checksum must be there (RFC 8200 section 8.1).
                let checksum = U16::MAX_VALUE;
                let (src, dst, len) = (U16::new(src), U16::new(dst), U16::new(udp::LEN as u16));
                (17, udp::Udp { src, dst, len, checksum }.as_bytes().to_vec())
            }
            What::Echo => {
                let (kind, proto) = if v4 {
                    (icmp::v4::ECHO_REQUEST, icmp::PROTO_V4)
                } else {
                    (icmp::v6::ECHO_REQUEST, icmp::PROTO_V6)
                };
                (proto, vec![kind, 0, 0, 0, 0, 1, 0, 1])
            }
            What::WhoHas => {
                let question = ndp::Neighbour {
                    kind: icmp::v6::SOLICITATION,
                    code: 0,
                    checksum: [0; 2],
                    flags: 0,
                    reserved: [0; 3],
                    target: *self.dst.octets(),
                };
                (icmp::PROTO_V6, question.as_bytes().to_vec())
            }
        }
    }

    fn fix_udp_len(&self, upper: &mut [u8]) {
        if let What::Udp(..) = self.what {
            let len = (upper.len() as u16).to_be_bytes();
            upper[4..6].copy_from_slice(&len);
        }
    }
}
