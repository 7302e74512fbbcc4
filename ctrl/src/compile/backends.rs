use std::collections::HashMap;

use dataplane::addr::Addr;
use dataplane::tables::PortId;

use super::BackendKey;
use super::plan::{FrontendPlan, PortPlan};
use super::routes::Lookup;
use super::uses::Uses;

/// A next hop: the port whose link it is on, and its address there.
pub type HopKey = (PortId, Addr);

/// A backend, whichever frontends it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendPlan {
    /// Frontends that it is in.
    members: u32,
    /// Those that give it new flows.
    active: u32,
    /// Those that name no source address.
    unnamed: u32,
    /// Where packets to it go next; `None` when it is out of reach.
    pub hop: Option<HopKey>,
    /// The address of the port through which it is reached.
    source: Option<Addr>,
}

impl BackendPlan {
    /// A backend that is in no frontend.
    pub fn new(addr: Addr, ports: &PortPlan, lookup: &Lookup) -> Self {
        let hop = lookup.hop(addr);
        let source = hop.and_then(|(port, _)| ports.address(port, addr.family()));
        Self { members: 0, active: 0, unnamed: 0, hop, source }
    }

    /// Enters `frontend` with a weight.
    pub fn join(&mut self, frontend: &FrontendPlan, weight: u16) {
        self.members += 1;
        self.active += u32::from(weight > 0);
        self.unnamed += u32::from(frontend.snat.is_empty());
    }

    /// Leaves `frontend`, in which it had that weight.
    pub fn leave(&mut self, frontend: &FrontendPlan, weight: u16) {
        self.members -= 1;
        self.active -= u32::from(weight > 0);
        self.unnamed -= u32::from(frontend.snat.is_empty());
    }

    /// Whether it is in any frontend.
    pub const fn alive(&self) -> bool {
        self.members > 0
    }

    /// Whether some frontend gives it new flows.
    pub const fn active(&self) -> bool {
        self.active > 0
    }

    /// The source address towards it, if a frontend needs one.
    pub fn default_snat(&self) -> Option<Addr> {
        self.source.filter(|_| self.unnamed > 0)
    }
}

/// All backends of all frontends.
#[derive(Debug, Default)]
pub struct Backends {
    pub by_key: HashMap<BackendKey, BackendPlan>,
    /// Keys in the order of the source, so that ids do not depend on chance.
    pub order: Vec<BackendKey>,
}

/// Finds the backends of `frontends`.
pub fn plan<'f>(
    frontends: impl Iterator<Item = &'f FrontendPlan>,
    ports: &PortPlan,
    lookup: &Lookup,
) -> Backends {
    let mut backends = Backends::default();
    for frontend in frontends {
        for (key, weight) in &frontend.members {
            let backend = backends.by_key.entry(*key).or_insert_with(|| {
                backends.order.push(*key);
                BackendPlan::new(key.0, ports, lookup)
            });
            backend.join(frontend, *weight);
        }
    }
    backends
}

impl Backends {
    /// Next hops of backends and the routers of our routes: the kernel shall keep them fresh.
    pub fn hops(&self, lookup: &Lookup) -> Uses<HopKey> {
        let mut hops = Uses::default();
        for hop in self.by_key.values().filter_map(|backend| backend.hop).chain(lookup.routers()) {
            hops.add(hop);
        }
        hops
    }
}
