use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IP version of an address or packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// An IPv4 or IPv6 address as 16 bytes in network order; IPv4 is held IPv4-mapped (RFC 4291
/// section 2.5.5.2), so that one comparison and one hash serve both families.
#[derive(Clone, Copy, Eq, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct Addr([u8; 16]);

/// What stands before every IPv4 address.
const MAPPED: Addr = Addr::v4([0; 4]);
/// The bits of the second of [`Addr::words`] that stand before an IPv4 address.
const BEFORE_V4: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

impl Addr {
    /// From the four bytes of an IPv4 header field.
    #[inline]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        // As one number: sixteen bytes would be stored one by one, and read back as words.
        Self((0xffff_0000_0000 | u32::from_be_bytes(octets) as u128).to_be_bytes())
    }

    /// From the sixteen bytes of an IPv6 header field.
    #[inline]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// All sixteen bytes, network order.
    #[inline]
    #[must_use]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The four bytes of an IPv4 header field; of an IPv6 address, the last four.
    #[inline]
    #[must_use]
    pub const fn v4_octets(&self) -> [u8; 4] {
        // In one piece: four bytes would be moved one by one.
        let ([.., last], _) = self.0.as_chunks::<4>() else { unreachable!() };
        *last
    }

    /// The four bytes of an IPv4 address as a number, as the machine reads them.
    #[inline]
    #[must_use]
    pub const fn v4_bits(&self) -> u64 {
        u32::from_ne_bytes(self.v4_octets()) as u64
    }

    /// All sixteen bytes as two words, as the machine reads them from memory.
    #[inline]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        let ([a, b], _) = self.0.as_chunks::<8>() else { unreachable!() };
        [u64::from_ne_bytes(*a), u64::from_ne_bytes(*b)]
    }

    /// Which family this address belongs to.
    #[inline]
    #[must_use]
    pub fn family(&self) -> Family {
        let [high, low] = self.words();
        let [a, b] = MAPPED.words();
        if high == a && (low ^ b) & BEFORE_V4 == 0 { Family::V4 } else { Family::V6 }
    }

    /// Whether this is an IPv4 address.
    #[inline]
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.family() == Family::V4
    }

    /// The address as the standard library has it, for display and sockets.
    #[must_use]
    pub fn to_ip(&self) -> IpAddr {
        match self.family() {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(self.v4_octets())),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}

impl PartialEq for Addr {
    /// Two words, without a branch between them.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.words(), other.words());
        (a ^ c) | (b ^ d) == 0
    }
}

impl Hash for Addr {
    /// Two words: what hashes byte by byte takes many times as long.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [high, low] = self.words();
        state.write_u64(high);
        state.write_u64(low);
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A transport protocol that a service can have; the value is the IP protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Proto {
    /// TCP (RFC 9293)
    Tcp = 6,
    /// UDP (RFC 768)
    Udp = 17,
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A transport port in host order. Wire code converts at the header.
pub type L4Port = u16;

/// Names the worker that owns a flow: a fixed mix of the client-side port, modulo the number of
/// workers. It follows from the bytes of a packet alone, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

/// How many workers there are, and so how many classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes(u8);

impl Class {
    /// The class that a worker owns, by its number.
    #[inline]
    #[must_use]
    pub const fn of_worker(worker: u8) -> Self {
        Self(worker)
    }

    /// The number of the worker that owns the class.
    #[inline]
    #[must_use]
    pub const fn worker(self) -> usize {
        self.0 as usize
    }
}

impl Classes {
    /// One worker owns everything.
    pub const ONE: Self = Self(1);

    /// `workers` classes; `None` for zero.
    #[must_use]
    pub const fn new(workers: u8) -> Option<Self> {
        if workers == 0 { None } else { Some(Self(workers)) }
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub const fn count(self) -> usize {
        self.0 as usize
    }

    /// Whether one worker owns everything.
    #[inline]
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.0 == 1
    }

    /// The class of a client-side port (ICMP: identifier), host order. Packets without one have
    /// port 0 and so class 0's owner.
    #[inline]
    #[must_use]
    pub const fn of(self, client_side_port: u16) -> Class {
        // Multiplication by an odd constant spreads runs of even ports over all classes; the top
        // byte holds the mixed bits, and port 0 stays class 0.
        let mixed = (client_side_port.wrapping_mul(0x9e37) >> 8) as u8;
        // As many of the 256 for each class, but for one: nothing is divided.
        Class(((mixed as u16 * self.0 as u16) >> 8) as u8)
    }
}
