use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::EXTENSION_HEADERS_MAX;

/// Bytes of the fixed header.
pub const LEN: usize = size_of::<Ipv6>();
/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: fragment.
pub const FRAGMENT: u8 = 44;
/// Next header: authentication (RFC 4302), of which the length counts in words of four bytes.
pub const AUTHENTICATION: u8 = 51;
/// Next header: destination options.
pub const DESTINATION: u8 = 60;
/// Next header: nothing follows.
pub const NO_NEXT: u8 = 59;
/// Smallest MTU of a link (RFC 8200 section 5), in bytes.
pub const MIN_MTU: usize = 1280;

/// IPv6 fixed header (RFC 8200 section 3).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    /// 6, traffic class and flow label.
    pub version_class_flow: [u8; 4],
    /// Bytes behind this header.
    pub payload_len: U16,
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Source address.
    pub src: [u8; 16],
    /// Destination address.
    pub dst: [u8; 16],
}

const _: () = assert!(LEN == 40);

impl Ipv6 {
    /// A header of ours.
    #[must_use]
    pub fn new(
        src: [u8; 16],
        dst: [u8; 16],
        next_header: u8,
        payload_len: u16,
        hop_limit: u8,
    ) -> Self {
        Self {
            version_class_flow: [0x60, 0, 0, 0],
            payload_len: U16::new(payload_len),
            next_header,
            hop_limit,
            src,
            dst,
        }
    }
}

/// Fragment header (RFC 8200 section 4.5).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Fragment {
    /// What follows; of all but the first fragment the middle of something.
    pub next_header: u8,
    /// Zero.
    pub reserved: u8,
    /// Offset in units of eight bytes in the upper 13 bits, [`MORE_FRAGMENTS`] in the lowest.
    pub offset: U16,
    /// Names the packet that this is a part of.
    pub id: U32,
}

/// Bytes of the fragment header.
pub const FRAGMENT_LEN: usize = size_of::<Fragment>();
/// Bits of `offset`: bytes.
pub const FRAGMENT_OFFSET: u16 = 0xfff8;
/// Bit of `offset`: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 1;

const _: () = assert!(FRAGMENT_LEN == 8);

/// What stands behind the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upper {
    /// A transport header of this protocol, at this offset from the fixed header.
    Transport {
        /// IP protocol number.
        proto: u8,
        /// Bytes from the start of the fixed header.
        offset: usize,
    },
    /// A fragment; the fragment header lies at this offset.
    Fragment {
        /// Bytes from the start of the fixed header.
        offset: usize,
    },
}

/// Why the walk over extension headers ended without a transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkError {
    /// The packet ends inside a header.
    Truncated,
    /// More headers than [`EXTENSION_HEADERS_MAX`], or a chain that leads nowhere.
    Refused,
}

/// Walks the extension headers of `packet`, which starts at the fixed header. A fragment header on a
/// packet that is whole (RFC 6946: an atomic fragment) is one like the others.
///
/// # Errors
/// When the packet ends too early or has too many headers.
pub fn walk(packet: &[u8], first: u8) -> Result<Upper, WalkError> {
    walk_from(packet, first, LEN)
}

/// As [`walk`], from the header of this kind at `offset` on.
///
/// # Errors
/// As [`walk`].
pub fn walk_from(packet: &[u8], kind: u8, offset: usize) -> Result<Upper, WalkError> {
    let (mut proto, mut offset) = (kind, offset);
    for _ in 0..=EXTENSION_HEADERS_MAX {
        let header = match proto {
            HOP_BY_HOP | ROUTING | DESTINATION | FRAGMENT | AUTHENTICATION => {
                packet.get(offset..offset + 4).ok_or(WalkError::Truncated)?
            }
            NO_NEXT => return Err(WalkError::Refused),
            _ => return Ok(Upper::Transport { proto, offset }),
        };
        let len = usize::from(header[1]);
        offset += match proto {
            FRAGMENT if u16::from_be_bytes([header[2], header[3]]) & !RESERVED_BITS != 0 => {
                return Ok(Upper::Fragment { offset });
            }
            FRAGMENT => FRAGMENT_LEN,
            AUTHENTICATION => 8 + len * 4,
            // With segments left, the destination is not the last one (RFC 8200 section 4.4), and
            // the checksum covers another.
            ROUTING if header[3] != 0 => return Err(WalkError::Refused),
            _ => 8 + len * 8,
        };
        proto = header[0];
    }
    Err(WalkError::Refused)
}

/// Bits of the fragment header's offset field that are to be ignored.
const RESERVED_BITS: u16 = !(FRAGMENT_OFFSET | MORE_FRAGMENTS);
