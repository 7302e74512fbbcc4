use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use foldhash::fast::FixedState;

use super::id::{BackendId, FrontendId};
use crate::addr::{Addr, L4Port, Proto};

/// Where replies of a service in mode `nat` come from: a backend's address, port and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NatEnd {
    /// Address of the backend.
    pub addr: Addr,
    /// Its port, host order.
    pub port: L4Port,
    /// TCP or UDP.
    pub proto: Proto,
}

impl Hash for NatEnd {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.addr.hash(state);
        state.write_u32(u32::from(self.port) << 8 | self.proto as u32);
    }
}

/// What happens to a packet of a backend that belongs to no flow: we may have lost the flow in a
/// restart, or it is a connection that never was a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stateless {
    /// It is a reply of this frontend, the only one that it can be of.
    Reply(FrontendId, BackendId),
    /// It can be a reply of several frontends: dropped, until the client's next packet says which.
    Ambiguous,
    /// It is a connection of the backend's own: routed on as it is.
    Route,
}

/// Every backend in mode `nat`, removed ones included while their flows end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NatBackends {
    by_end: HashMap<NatEnd, Stateless, FixedState>,
    addresses: HashSet<Addr, FixedState>,
}

impl NatBackends {
    /// What a packet from there is when it belongs to no flow; `None` when no service in mode
    /// `nat` has such a backend.
    #[inline]
    #[must_use]
    pub fn find(&self, end: &NatEnd) -> Option<Stateless> {
        self.by_end.get(end).copied()
    }

    /// Whether this is the address of a backend in mode `nat`.
    #[must_use]
    pub fn has_address(&self, addr: &Addr) -> bool {
        self.addresses.contains(addr)
    }

    /// Every backend, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&NatEnd, Stateless)> {
        self.by_end.iter().map(|(end, stateless)| (end, *stateless))
    }
}

impl FromIterator<(NatEnd, Stateless)> for NatBackends {
    fn from_iter<I: IntoIterator<Item = (NatEnd, Stateless)>>(iter: I) -> Self {
        let by_end: HashMap<_, _, _> = iter.into_iter().collect();
        let addresses = by_end.keys().map(|end: &NatEnd| end.addr).collect();
        Self { by_end, addresses }
    }
}
