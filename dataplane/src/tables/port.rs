use crate::addr::{Addr, Family, Mac};

/// Dense number of a port, given by control at start; it never changes while we run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u8);

/// A set of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortMask(pub u32);

impl PortMask {
    /// Every port.
    pub const ALL: Self = Self(u32::MAX);
    /// No port.
    pub const NONE: Self = Self(0);

    /// Whether `port` is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, port: PortId) -> bool {
        self.0 >> port.0 & 1 == 1
    }

    /// The set with `port` in it.
    #[must_use]
    pub const fn with(self, port: PortId) -> Self {
        Self(self.0 | 1 << port.0)
    }
}

/// A network interface that we drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the kernel.
    pub name: Box<str>,
    /// Its MAC, which every frame that we send from it carries.
    pub mac: Mac,
    /// Largest IP packet that leaves through it, in bytes.
    pub mtu: u16,
    /// Its first global IPv4 address: the source of our ICMP errors.
    pub ipv4: Option<Addr>,
    /// Its first global IPv6 address: the source of our ICMPv6 errors.
    pub ipv6: Option<Addr>,
}

impl Port {
    /// The port's own address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<Addr> {
        match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        }
    }
}
