use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a solicitation or advertisement without options.
pub const LEN: usize = size_of::<Neighbour>();
/// Hop limit that every NDP message has (RFC 4861 section 7.1); proves that it is from the link.
pub const HOP_LIMIT: u8 = 255;
/// Option: the target's link-layer address (RFC 4861 section 4.6.1).
pub const OPTION_TARGET: u8 = 2;
/// Flag of an advertisement: it answers a solicitation.
pub const SOLICITED: u8 = 0x40;
/// Flag of an advertisement: replace what the cache holds.
pub const OVERRIDE: u8 = 0x20;
/// All nodes on the link, ff02::1.
pub const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The MAC that [`ALL_NODES`] maps to (RFC 2464 section 7).
pub const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Neighbour solicitation or advertisement (RFC 4861 sections 4.3, 4.4), without options.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Neighbour {
    /// ICMPv6 type.
    pub kind: u8,
    /// Always 0.
    pub code: u8,
    /// ICMPv6 checksum.
    pub checksum: [u8; 2],
    /// Flags of an advertisement.
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The address in question.
    pub target: [u8; 16],
}

const _: () = assert!(LEN == 24);

/// A link-layer address option.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LinkLayerOption {
    /// [`OPTION_TARGET`] here.
    pub kind: u8,
    /// Length in units of eight bytes: 1.
    pub len: u8,
    /// The MAC.
    pub mac: [u8; 6],
}

const _: () = assert!(size_of::<LinkLayerOption>() == 8);

/// The solicited-node multicast address of `target` (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(target: [u8; 16]) -> [u8; 16] {
    let [.., a, b, c] = target;
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]
}
