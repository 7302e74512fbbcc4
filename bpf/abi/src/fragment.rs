use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Key of `fragments`: a datagram to a shared address whose first fragment was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fragment {
    /// Source address.
    pub src: [u8; 16],
    /// Destination address.
    pub dst: [u8; 16],
    /// Identification as it stands in the packet (IPv4: its 16 bits).
    pub id: u32,
    /// IPv4: protocol number; IPv6: 0, since the identification stands alone (RFC 8200 4.5).
    pub proto: u32,
}

const _: () = assert!(size_of::<Fragment>() == 40);
