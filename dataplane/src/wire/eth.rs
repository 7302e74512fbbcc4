use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of an 802.1Q tag.
pub const VLAN: u16 = 0x8100;
/// The bits of [`Tag::tci`] that are the VLAN's number.
pub const VLAN_ID: u16 = 0x0fff;
/// Bytes that a tag takes.
pub const TAG_LEN: usize = 4;
/// Bytes of the header.
pub const LEN: usize = size_of::<Eth>();

/// Ethernet II header (IEEE 802.3 clause 3.2.6).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Eth {
    /// Destination MAC.
    pub dst: [u8; 6],
    /// Source MAC.
    pub src: [u8; 6],
    /// What the payload is.
    pub ethertype: U16,
}

/// An 802.1Q tag, in place of the EtherType and before it (IEEE 802.1Q clause 9.4).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Tag {
    /// What says that this is a tag.
    pub ethertype: U16,
    /// Priority, and the number of the VLAN.
    pub tci: U16,
    /// What the payload is.
    pub inner: U16,
}

const _: () = assert!(LEN == 14 && size_of::<Tag>() == TAG_LEN + 2);
