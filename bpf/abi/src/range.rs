use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Key of `port_ranges`, without its prefix length: an aligned block of ports of one protocol.
/// A range is the union of such blocks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct RangePrefix {
    /// The shared address.
    pub addr: [u8; 16],
    /// IP protocol number. Of ICMP and ICMPv6, the port is the identifier of an echo.
    pub proto: u8,
    zero: u8,
    /// First port of the block.
    pub port: U16,
}

const _: () = assert!(size_of::<RangePrefix>() == 20);

impl RangePrefix {
    /// Bits in front of the port.
    const FIXED_BITS: u32 = 144;

    /// The block that begins at `port` (host order).
    #[must_use]
    pub const fn new(addr: [u8; 16], proto: u8, port: u16) -> Self {
        Self { addr, proto, zero: 0, port: U16::new(port) }
    }

    /// Prefix length of a block whose ports agree in their first `port_bits` bits (0 to 16).
    #[must_use]
    pub const fn prefix_len(port_bits: u32) -> u32 {
        Self::FIXED_BITS + port_bits
    }
}
