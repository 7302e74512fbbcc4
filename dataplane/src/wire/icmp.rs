use crate::addr::Family;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IP protocol number of ICMP.
pub const PROTO_V4: u8 = 1;
/// IP protocol number of ICMPv6.
pub const PROTO_V6: u8 = 58;
/// Bytes of the part that all messages share, with the four bytes behind it.
pub const LEN: usize = size_of::<Icmp>();

/// The first eight bytes of an ICMP (RFC 792) or ICMPv6 (RFC 4443) message.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// Message type.
    pub kind: u8,
    /// Code within the type.
    pub code: u8,
    /// Checksum over the message (ICMPv6: and a pseudo-header).
    pub checksum: U16,
    /// Echo: identifier. Too big (ICMPv6): upper half of the MTU.
    pub word1: U16,
    /// Echo: sequence number. Too big: MTU, in bytes.
    pub word2: U16,
}

const _: () = assert!(LEN == 8);

/// Whether an error says that its sender cannot deliver, rather than how something could be.
#[must_use]
pub const fn is_unreachable(family: Family, kind: u8, code: u8) -> bool {
    match family {
        Family::V4 => kind == v4::UNREACHABLE && code != v4::FRAGMENTATION_NEEDED,
        Family::V6 => kind == v6::UNREACHABLE,
    }
}

/// ICMP types.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Code of unreachable: no such port.
    pub const PORT: u8 = 3;
    /// Code of unreachable: fragmentation needed and DF set.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// Whether a type reports an error about another packet (RFC 1122 section 3.2.2), to whoever
    /// sent that. A redirect is for the station on the link alone, and source quench is not to be
    /// heeded (RFC 6633).
    #[must_use]
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}

/// ICMPv6 types.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Code of unreachable: no such port.
    pub const PORT: u8 = 4;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Neighbour solicitation (RFC 4861).
    pub const SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861).
    pub const ADVERTISEMENT: u8 = 136;

    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;

    /// Whether a type reports an error about another packet, and is one of those that there are
    /// (RFC 4443 section 2.1).
    #[must_use]
    pub const fn is_error(kind: u8) -> bool {
        kind >= UNREACHABLE && kind <= PARAMETER_PROBLEM
    }
}
