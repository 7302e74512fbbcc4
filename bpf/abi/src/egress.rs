use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Key of `egress_sources`, without its prefix length (which counts the address's bits).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Source {
    /// First address of the prefix.
    pub addr: [u8; 16],
}

/// Key of `egress_targets`, without its prefix length.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Target {
    policy: [u8; 4],
    /// First address of the prefix.
    pub addr: [u8; 16],
}

const _: () = assert!(size_of::<Source>() == 16);
const _: () = assert!(size_of::<Target>() == 20);

impl Target {
    /// Bits in front of the address.
    const FIXED_BITS: u32 = 32;

    /// A destination prefix of the policy with this number.
    #[must_use]
    pub const fn new(policy: u32, addr: [u8; 16]) -> Self {
        Self { policy: policy.to_ne_bytes(), addr }
    }

    /// Prefix length of a key whose addresses agree in their first `addr_bits` bits (an IPv4
    /// prefix has 96 more than it is written with).
    #[must_use]
    pub const fn prefix_len(addr_bits: u32) -> u32 {
        Self::FIXED_BITS + addr_bits
    }
}

/// Value of `egress_targets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Coverage {
    /// The policy takes packets to these destinations.
    Covered = 1,
    /// It does not, although a shorter prefix says so.
    Excluded = 2,
}

impl Coverage {
    /// The bytes that the map holds.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        (self as u32).to_ne_bytes()
    }
}
