//! Maglev, bit-compatible with Cilium's: same seed, size and members give the same table on every
//! gateway and on every Cilium node, so a flow keeps its backend when its VIP moves.

/// Slots, filled in turns.
mod fill;
/// The rules once more, written for reading.
#[cfg(test)]
mod model;
/// MurmurHash3, the 128-bit one.
mod murmur3;
/// The order in which a backend wants slots.
mod permutation;
/// Whose turn it is, by weight.
mod turns;

use super::flow_hash::HashSeeds;
use super::id::BackendId;
use crate::addr::{Addr, L4Port, Proto};
use permutation::Permutation;

/// Table sizes that Cilium accepts: primes, so that every skip visits every slot.
pub const TABLE_SIZES: [u32; 10] =
    [251, 509, 1021, 2039, 4093, 8191, 16_381, 32_749, 65_521, 131_071];

/// Most members of one table: a slot is a `u16`, and one value marks a free slot.
pub const MEMBERS_MAX: usize = u16::MAX as usize;

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
    pub proto: MemberProto,
    /// Its weight, above 0; 100 is Cilium's default.
    pub weight: u16,
}

/// The protocol in a backend's name. Wider than [`Proto`]: every table that a Cilium cluster has
/// can be computed, although we forward TCP and UDP only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberProto {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP (RFC 9260)
    Sctp,
    /// No protocol in particular: Cilium without service protocol differentiation.
    Any,
}

impl From<Proto> for MemberProto {
    fn from(proto: Proto) -> Self {
        match proto {
            Proto::Tcp => Self::Tcp,
            Proto::Udp => Self::Udp,
        }
    }
}

/// Selects the backend of a new flow.
#[derive(Debug, PartialEq, Eq)]
pub struct Maglev {
    slots: Box<[u16]>,
    backends: Box<[BackendId]>,
}

impl Maglev {
    /// Fills a table of `size` slots, one of [`TABLE_SIZES`]. The order of `members` does not
    /// matter. `None` when nothing can be built: no member, more than [`MEMBERS_MAX`], or a size
    /// that is not in the list (the fill need not end if it is not a prime).
    ///
    /// Weight 0 means "no new flows" and has no place here: callers leave such backends out, and
    /// a member that has it all the same is skipped.
    #[must_use]
    pub fn build(seeds: &HashSeeds, size: u32, members: &[Member]) -> Option<Self> {
        let mut ranked: Vec<_> = members
            .iter()
            .filter(|member| member.weight > 0)
            .map(|member| (permutation::cilium_name(member), member))
            .collect();
        if ranked.is_empty() || ranked.len() > MEMBERS_MAX || !TABLE_SIZES.contains(&size) {
            return None;
        }
        ranked.sort_by(|(name, _), (other, _)| name.as_str().cmp(other));

        let permutations =
            ranked.iter().map(|(name, _)| Permutation::new(seeds.murmur, size, name)).collect();
        let weights: Vec<_> = ranked.iter().map(|(_, member)| member.weight).collect();
        let slots = if turns::weights_matter(&weights) {
            fill::by_weight(size, permutations, &weights)
        } else {
            fill::in_rounds(size, permutations)
        };
        Some(Self { slots, backends: ranked.iter().map(|(_, member)| member.id).collect() })
    }

    /// The backend for a flow hash.
    #[inline]
    #[must_use]
    pub fn select(&self, hash: u32) -> BackendId {
        self.at(self.slot(hash))
    }

    /// The slot for a flow hash.
    #[inline]
    #[must_use]
    pub fn slot(&self, hash: u32) -> usize {
        // 32-bit division is the cheaper one; no table has 2^32 slots.
        (hash % self.slots.len() as u32) as usize
    }

    /// The backend in a slot, which must be below the table's size.
    #[inline]
    #[must_use]
    pub fn at(&self, slot: usize) -> BackendId {
        self.backends[usize::from(self.slots[slot])]
    }

    /// The backend of every slot, in order, as an index into [`Self::backends`].
    #[must_use]
    pub fn slots(&self) -> &[u16] {
        &self.slots
    }

    /// The backends that the slots point to, in Cilium's order: by address, port and protocol as
    /// text. The order of the members that the table was built from plays no role.
    #[must_use]
    pub fn backends(&self) -> &[BackendId] {
        &self.backends
    }
}

/// What [`auto_size`] chooses from. Each step moves most flows that have no flow entry, so steps
/// are rare: a service has to quadruple to cross the next. Finer steps would move flows more
/// often; coarser ones would give a service of eleven backends a table (memory, build time,
/// cache) that is sized for a hundred and sixty.
const AUTO_SIZES: [u32; 5] = [1021, 4093, 16_381, 65_521, 131_071];

/// Fewer slots per backend than this, and shares get coarser than 1 %, and a change moves more
/// flows than it must (Cilium's own rule of thumb).
const SLOTS_PER_BACKEND: usize = 100;

/// The table size that `auto` stands for: a pure function of the number of backends with few
/// steps and no memory, so that all gateways agree. The smallest of five sizes with 100 slots for
/// each backend: up to 10, 40, 163, 655 backends, and more.
#[must_use]
pub fn auto_size(backends: usize) -> u32 {
    let wanted = backends.saturating_mul(SLOTS_PER_BACKEND);
    let [.., largest] = AUTO_SIZES;
    AUTO_SIZES.into_iter().find(|size| *size as usize >= wanted).unwrap_or(largest)
}
