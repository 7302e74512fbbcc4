use std::collections::HashMap;
use std::ops::RangeInclusive;

use foldhash::fast::FixedState;

use super::id::SnatId;
use super::port::PortMask;
use crate::addr::{Addr, L4Port};

/// An address that clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vip {
    /// Ports (interfaces) on which ARP and NDP are answered; none for a routed VIP.
    pub announce: PortMask,
    /// Its last service was removed: only known flows are still answered (with RST).
    pub retired: bool,
}

/// A source address towards backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnatAddress {
    /// The address.
    pub addr: Addr,
    /// Transport ports that may be used, host order.
    pub ports: RangeInclusive<L4Port>,
    /// The host uses this address too; ARP and all other ports are Linux's.
    pub shared: bool,
}

/// What we own an address for. An address can be VIP and SNAT address at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owned {
    /// Set when services are reached at it.
    pub vip: Option<Vip>,
    /// Set when it is a source towards backends.
    pub snat: Option<SnatId>,
    /// ARP and NDP are answered on these ports: VIP announcements, or an unshared SNAT address.
    pub announce: PortMask,
}

/// Everything that we own, by address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    map: HashMap<Addr, Owned, FixedState>,
}

impl Addresses {
    /// What `addr` is to us; `None` when it is not ours.
    #[inline]
    #[must_use]
    pub fn get(&self, addr: &Addr) -> Option<&Owned> {
        self.map.get(addr)
    }

    /// Every owned address, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Addr, &Owned)> {
        self.map.iter()
    }
}

impl FromIterator<(Addr, Owned)> for Addresses {
    fn from_iter<I: IntoIterator<Item = (Addr, Owned)>>(iter: I) -> Self {
        Self { map: iter.into_iter().collect() }
    }
}
