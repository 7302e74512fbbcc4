use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Key of `nat_backends`. Its address must also stand in `addresses` as
/// [`crate::AddressFlags::BACKEND`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct NatBackend {
    /// The backend's address.
    pub addr: [u8; 16],
    /// The backend's port.
    pub port: U16,
    /// IP protocol number.
    pub proto: u8,
    zero: u8,
}

const _: () = assert!(size_of::<NatBackend>() == 20);

impl NatBackend {
    /// A backend that listens on `port` (host order).
    #[must_use]
    pub const fn new(addr: [u8; 16], proto: u8, port: u16) -> Self {
        Self { addr, port: U16::new(port), proto, zero: 0 }
    }
}
