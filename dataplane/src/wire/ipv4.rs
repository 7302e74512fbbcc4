use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum;

/// Bytes of the header without options.
pub const LEN: usize = size_of::<Ipv4>();
/// Bit of `fragment`: do not fragment.
pub const DF: u16 = 0x4000;
/// Bit of `fragment`: more fragments follow.
pub const MF: u16 = 0x2000;
/// Bits of `fragment`: offset in units of eight bytes.
pub const OFFSET: u16 = 0x1fff;
/// TTL of packets that we make (RFC 1700, as every host does).
pub const DEFAULT_TTL: u8 = 64;

/// IPv4 header (RFC 791 section 3.1), without options.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    /// 4, and the header length in units of four bytes.
    pub version_ihl: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Bytes of header and payload.
    pub total_len: U16,
    /// Names the datagram that a fragment belongs to.
    pub id: U16,
    /// [`DF`], [`MF`] and [`OFFSET`].
    pub fragment: U16,
    /// Hops left.
    pub ttl: u8,
    /// What the payload is.
    pub proto: u8,
    /// Checksum of the header.
    pub checksum: U16,
    /// Source address.
    pub src: [u8; 4],
    /// Destination address.
    pub dst: [u8; 4],
}

const _: () = assert!(LEN == 20);

impl Ipv4 {
    /// Bytes of the header with options.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }

    /// A header of ours, without options and with its checksum.
    #[must_use]
    pub fn new(src: [u8; 4], dst: [u8; 4], proto: u8, total_len: u16) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            tos: 0,
            total_len: U16::new(total_len),
            id: U16::ZERO,
            fragment: U16::new(DF),
            ttl: DEFAULT_TTL,
            proto,
            checksum: U16::ZERO,
            src,
            dst,
        };
        header.checksum = U16::new(!checksum::fold(checksum::sum(header.as_bytes())));
        header
    }
}

/// Writes the checksum of a header (options included) anew.
#[inline]
pub fn finish_header(header: &mut [u8]) {
    header[10..12].fill(0);
    let value = !checksum::fold(checksum::sum(header));
    header[10..12].copy_from_slice(&value.to_be_bytes());
}
