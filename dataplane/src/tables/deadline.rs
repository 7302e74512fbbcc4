use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::addr::Addr;
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::time::BootTime;

/// Until when an address may be announced. Control renews it while workers read it: it is one cell,
/// shared by all tables that know the address, so that new tables neither lose a renewal nor bring
/// back what has ended.
#[derive(Debug, Clone)]
pub struct Deadline(Arc<AtomicU64>);

impl Deadline {
    /// Announced until `at`.
    #[must_use]
    pub fn new(at: BootTime) -> Self {
        Self(Arc::new(AtomicU64::new(at.0)))
    }

    /// From now on it ends at `at`, be that later or earlier than before. For one writer.
    pub fn set(&self, at: BootTime) {
        self.0.store(at.0, Ordering::Release);
    }

    /// When it ends.
    #[must_use]
    pub fn get(&self) -> BootTime {
        BootTime(self.0.load(Ordering::Acquire))
    }
}

/// Two are equal when they are the same cell: a renewal changes nothing that is compared.
impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Deadline {}

/// The deadlines of addresses that have one. All others are announced for good. Only who asks for an
/// address, or is told of one, comes here: packets of services do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deadlines {
    map: HashMap<Addr, Deadline, FixedState>,
}

impl Deadlines {
    /// The deadline of `addr`; `None` when it has none.
    #[must_use]
    pub fn get(&self, addr: &Addr) -> Option<&Deadline> {
        self.map.get(addr)
    }

    /// These, and `more` for addresses that have none.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = (Addr, Deadline)>) -> Self {
        let mut map = self.map.clone();
        for (addr, deadline) in more {
            map.entry(addr).or_insert(deadline);
        }
        Self { map }
    }

    /// Whether `addr` must not be announced now. Reads the clock anew: since the turn began, the
    /// whole process may have been stopped for longer than any lease lasts.
    #[must_use]
    pub fn over(&self, addr: &Addr) -> bool {
        // In this order: whoever is stopped between the two sees a later time, not a later deadline.
        self.get(addr).is_some_and(|deadline| deadline.get() <= BootTime::now())
    }
}

impl FromIterator<(Addr, Deadline)> for Deadlines {
    fn from_iter<I: IntoIterator<Item = (Addr, Deadline)>>(iter: I) -> Self {
        Self { map: iter.into_iter().collect() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_seen_by_all_who_share_the_cell_and_changes_nothing_that_is_compared() {
        let (addr, deadline) = (Addr::v4([10, 10, 200, 1]), Deadline::new(BootTime::default()));
        let old = Deadlines::from_iter([(addr, deadline.clone())]);
        let new = old.clone();
        assert!(old.over(&addr) && new.over(&addr));
        deadline.set(BootTime(u64::MAX));
        assert!(!old.over(&addr) && !new.over(&addr));
        assert_eq!(old, new);
        assert_ne!(old, Deadlines::from_iter([(addr, Deadline::new(deadline.get()))]));
        assert!(!old.over(&Addr::v4([10, 10, 200, 2])), "without a deadline it is for good");
    }
}
