//! Frames that no sane host sends, mixed with sound ones; the same for the same seed. Each begins
//! as a sound UDP or TCP packet to one of the targets, and then one thing is made wrong with it.

use std::net::{IpAddr, SocketAddr};

const ETH: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT_HEADER: u8 = 44;
/// Bytes of payload of all but the oversized.
const PAYLOAD_MAX: usize = 1_200;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, except that nobody asked for it.
    Sound,
    /// All that follows the addresses is random.
    RandomBytes,
    /// Cut off anywhere behind the Ethernet header.
    Truncated,
    /// A wrong checksum, of the IPv4 header or of the transport.
    BadChecksum,
    /// A fragment, first or later, of IPv4 or IPv6.
    Fragment,
    /// IPv4 options, or IPv6 extension headers: random ones, up to more than anybody walks.
    Options,
    /// Longer than the links of the backends take.
    Oversized,
    /// A few bits flipped anywhere.
    Flipped,
    /// Another protocol, ICMP of all types among them.
    OtherProtocol,
}

impl Kind {
    /// All kinds; each has the same share.
    pub const ALL: [Self; 9] = [
        Self::Sound,
        Self::RandomBytes,
        Self::Truncated,
        Self::BadChecksum,
        Self::Fragment,
        Self::Options,
        Self::Oversized,
        Self::Flipped,
        Self::OtherProtocol,
    ];
}

/// Who sends, and where to.
#[derive(Debug, Clone)]
pub struct Aim {
    /// MAC of the sender.
    pub from: [u8; 6],
    /// MAC of the gateway's port.
    pub to: [u8; 6],
    /// Source addresses.
    pub sources: Vec<IpAddr>,
    /// Source ports; any when empty.
    pub source_ports: Vec<u16>,
    /// Destination addresses and ports; each has sources of its family.
    pub targets: Vec<SocketAddr>,
    /// Payload bytes of the oversized, at most: they must fit the sender's own link.
    pub oversized: usize,
}

/// An endless stream of frames.
#[derive(Debug)]
pub struct Garbage {
    random: Random,
    aim: Aim,
}

/// splitmix64: small, and the same everywhere.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes()[..word.len()]);
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        bytes
    }
}

impl Garbage {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64, aim: Aim) -> Self {
        Self { random: Random(seed), aim }
    }

    /// The next frame.
    pub fn frame(&mut self) -> (Kind, Vec<u8>) {
        let kind = self.random.pick(&Kind::ALL);
        (kind, self.of_kind(kind))
    }

    fn of_kind(&mut self, kind: Kind) -> Vec<u8> {
        let target = self.random.pick(&self.aim.targets);
        let same: Vec<_> =
            self.aim.sources.iter().filter(|ip| ip.is_ipv4() == target.is_ipv4()).collect();
        let source = *self.random.pick(&same);
        let proto = match kind {
            Kind::OtherProtocol => self.random.pick(&[1, 58, 1, 58, 2, 41, 47, 50, 132, 255]),
            _ => self.random.pick(&[TCP, UDP]),
        };
        let payload = match kind {
            Kind::Oversized => self.random.below(self.aim.oversized),
            _ => self.random.below(PAYLOAD_MAX),
        };
        let segment = self.segment(source, target, proto, payload);
        let mut frame = match (source, target.ip()) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                self.packet_v4(kind, [source.octets(), target.octets()], proto, &segment)
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                self.packet_v6(kind, [source.octets(), target.octets()], proto, &segment)
            }
            _ => Vec::new(),
        };
        self.spoil(kind, target.is_ipv4(), &mut frame);
        frame
    }

    /// Transport header and payload, with a correct checksum.
    fn segment(
        &mut self,
        source: IpAddr,
        target: SocketAddr,
        proto: u8,
        payload: usize,
    ) -> Vec<u8> {
        let mut bytes = self.random.bytes(if proto == TCP { 20 } else { 8 } + payload);
        let port = match self.aim.source_ports[..] {
            [] => self.random.next() as u16,
            ref ports => self.random.pick(ports),
        };
        let length = bytes.len() as u16;
        let at = match proto {
            TCP => {
                bytes[12] = 5 << 4;
                // Flags as they occur, and a share of impossible ones.
                bytes[13] = match self.random.pick(&[2, 16, 24, 17, 4, 18, 0]) {
                    0 => self.random.next() as u8,
                    flags => flags,
                };
                16
            }
            UDP => {
                bytes[4..6].copy_from_slice(&length.to_be_bytes());
                6
            }
            _ => return bytes,
        };
        bytes[..2].copy_from_slice(&port.to_be_bytes());
        bytes[2..4].copy_from_slice(&target.port().to_be_bytes());
        bytes[at..at + 2].fill(0);
        let mut pseudo = octets(source);
        pseudo.extend(octets(target.ip()));
        pseudo.extend([0, proto]);
        pseudo.extend(length.to_be_bytes());
        pseudo.extend(&bytes);
        bytes[at..at + 2].copy_from_slice(&checksum(&pseudo).to_be_bytes());
        bytes
    }

    fn ethernet(&self, ethertype: [u8; 2]) -> Vec<u8> {
        [&self.aim.to[..], &self.aim.from, &ethertype].concat()
    }

    fn packet_v4(&mut self, kind: Kind, ends: [[u8; 4]; 2], proto: u8, segment: &[u8]) -> Vec<u8> {
        let options = match kind {
            Kind::Options => 4 * (1 + self.random.below(10)),
            _ => 0,
        };
        let fragment = match kind {
            Kind::Fragment => self.random.pick(&[0x2000, 0x2001, 0x00b9, 0x3fff, 0x1fff]),
            _ => self.random.pick(&[0x0000_u16, 0x4000]),
        };
        let mut header = vec![0x45 + (options / 4) as u8, 0];
        header.extend(((20 + options + segment.len()) as u16).to_be_bytes());
        header.extend(self.random.bytes(2));
        header.extend(fragment.to_be_bytes());
        header.extend([self.random.pick(&[64, 255, 2, 1, 0]), proto, 0, 0]);
        header.extend(ends.concat());
        header.extend(self.random.bytes(options));
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&self.ethernet([8, 0])[..], &header, segment].concat()
    }

    fn packet_v6(&mut self, kind: Kind, ends: [[u8; 16]; 2], proto: u8, segment: &[u8]) -> Vec<u8> {
        let (first, extensions) = match kind {
            Kind::Options => {
                let count = 1 + self.random.below(12);
                self.extensions(count, proto)
            }
            Kind::Fragment => {
                let offset = self.random.pick(&[1_u16, 0x05a8, 0x05a9, 0xfff9]).to_be_bytes();
                let id = self.random.bytes(4);
                (FRAGMENT_HEADER, [&[proto, 0][..], &offset, &id].concat())
            }
            _ => (proto, Vec::new()),
        };
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(((extensions.len() + segment.len()) as u16).to_be_bytes());
        header.extend([first, self.random.pick(&[64, 255, 2, 1, 0])]);
        header.extend(ends.concat());
        [&self.ethernet([0x86, 0xdd])[..], &header, &extensions, segment].concat()
    }

    /// So many extension headers before `proto`; returns the first one's number, too.
    fn extensions(&mut self, count: usize, proto: u8) -> (u8, Vec<u8>) {
        // Hop-by-hop, routing, destination options; or with a fragment, authentication, mobility.
        let from: &[u8] = self.random.pick(&[&[0, 43, 60], &[0, 43, 60, 44, 51, 135]]);
        let kinds: Vec<u8> = (0..count).map(|_| self.random.pick(from)).collect();
        let mut bytes = Vec::new();
        for at in 0..count {
            let units = self.random.below(3);
            bytes.push(kinds.get(at + 1).copied().unwrap_or(proto));
            bytes.push(units as u8);
            bytes.extend(self.random.bytes(6 + 8 * units));
        }
        (kinds[0], bytes)
    }

    /// Makes a finished frame wrong.
    fn spoil(&mut self, kind: Kind, is_v4: bool, frame: &mut Vec<u8>) {
        let addresses = ETH + if is_v4 { 20 } else { 40 };
        match kind {
            Kind::RandomBytes => {
                let from = self.random.pick(&[ETH, addresses]);
                let destination = frame[addresses - if is_v4 { 4 } else { 16 }..addresses].to_vec();
                self.random.fill(&mut frame[from..]);
                // So that it finds its way to us nevertheless.
                frame[addresses - destination.len()..addresses].copy_from_slice(&destination);
                frame[ETH] = if is_v4 { 0x45 } else { 0x60 };
            }
            Kind::Truncated => {
                let length = ETH + self.random.below(frame.len() - ETH);
                frame.truncate(length);
            }
            Kind::BadChecksum => {
                let at = if is_v4 && self.random.below(2) == 0 { ETH + 10 } else { addresses + 6 };
                frame[at] ^= 0x55;
            }
            Kind::Flipped => {
                for _ in 0..=self.random.below(4) {
                    let at = self.random.below(frame.len());
                    frame[at] ^= 1 << self.random.below(8);
                }
            }
            _ => {}
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// RFC 1071.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn garbage(seed: u64) -> Garbage {
        Garbage::new(
            seed,
            Aim {
                from: [2, 0, 0, 0, 0, 1],
                to: [2, 0, 0, 0, 0, 2],
                sources: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
                source_ports: Vec::new(),
                targets: vec!["10.0.0.2:80".parse().unwrap(), "[fd00::2]:80".parse().unwrap()],
                oversized: 8_900,
            },
        )
    }

    #[test]
    fn the_same_seed_gives_the_same_frames_of_all_kinds() {
        let (mut one, mut two) = (garbage(7), garbage(7));
        let mut seen = [0; Kind::ALL.len()];
        for _ in 0..2_000 {
            let (kind, frame) = one.frame();
            assert_eq!((kind, frame.clone()), two.frame());
            assert!(frame.len() >= ETH && frame.len() <= 9_015, "{}", frame.len());
            seen[kind as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }

    #[test]
    fn a_checksum_over_a_checksummed_header_is_zero() {
        let mut stream = garbage(1);
        for _ in 0..100 {
            let frame = stream.of_kind(Kind::Options);
            if frame[12] == 8 {
                let header = usize::from(frame[ETH] & 15) * 4;
                assert_eq!(checksum(&frame[ETH..ETH + header]), 0);
            }
        }
    }
}
