use std::collections::HashMap;
use std::sync::Arc;

use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::{BackendId, FrontendId, Maglev, PortMask};

/// A service as people know it, with the ids that counters and flows use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: Arc<str>,
    /// How packets reach the backends.
    pub mode: Mode,
    /// One for each VIP and port.
    pub frontends: Vec<FrontendView>,
}

/// One (VIP, port, protocol) of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendView {
    /// Its id in the tables.
    pub id: FrontendId,
    /// What clients connect to.
    pub key: FrontendKey,
    /// Ports on which the VIP is announced for this service.
    pub announce: PortMask,
    /// Slots of its Maglev table.
    pub table_size: u32,
    /// Backends, drained ones included.
    pub members: Vec<MemberView>,
}

/// A backend of a frontend; address and port are in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// Its id in the tables.
    pub id: BackendId,
    /// Its weight in this service; 0 when drained.
    pub weight: u16,
}

/// The share of new flows that each backend gets, from 0 to 1.
#[must_use]
pub fn shares(maglev: &Maglev) -> HashMap<BackendId, f64> {
    let mut slots = vec![0_u32; maglev.backends().len()];
    for slot in maglev.slots() {
        slots[usize::from(*slot)] += 1;
    }
    let all = maglev.slots().len() as f64;
    let backends = maglev.backends().iter();
    backends.zip(slots).map(|(id, count)| (*id, f64::from(count) / all)).collect()
}
