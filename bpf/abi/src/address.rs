use core::ops::BitOr;

/// Value of `addresses`: what an address is to us. An address can be several of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressFlags(u32);

impl AddressFlags {
    /// All of it is ours, ARP and NDP included.
    pub const WHOLE: Self = Self(1);
    /// The ports that `port_ranges` lists for it are ours.
    pub const SHARED: Self = Self(2);
    /// Linux owns it.
    pub const HOST: Self = Self(4);
    /// A backend of a service in mode `nat`.
    pub const BACKEND: Self = Self(8);

    /// The bytes that the map holds.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// From the bytes that the map holds.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }
}

impl BitOr for AddressFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
