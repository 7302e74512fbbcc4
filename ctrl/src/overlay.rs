//! From what the source wants to what holds now: backends that are drained or have failed, and
//! addresses that are released, are taken out of `Desired` before it is compiled. Pure; a service
//! that nothing was done to stays the same `Arc`, and one to which the same was done as last time
//! the same as then.

/// What an operator has drained.
mod drains;
/// Which addresses are announced.
mod holds;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::{Addr, Family};
use dataplane::tables::maglev::auto_size;

use crate::desired::apart::{AddressState, Apart};
use crate::desired::{BackendSettings, Desired, Located, Service, TableSize};
use crate::health::Failed;

pub use drains::{Drained, Drains};
pub use holds::Holds;

/// What is laid over the wishes of the source.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What an operator has drained.
    pub drains: &'a Drains,
    /// Which addresses are announced.
    pub holds: &'a Holds,
    /// Backends whose check fails.
    pub failed: &'a Failed,
    /// A worker makes no progress: nothing is announced.
    pub stalled: bool,
}

/// What holds now.
#[derive(Debug, Clone, Default)]
pub struct Effective {
    /// To be compiled.
    pub desired: Desired,
    /// Services, with the family, of which every backend has failed, so that all are used.
    pub panics: Whole,
    /// The same where none is used then: new connections are refused.
    pub refusing: Whole,
}

/// Services, with the family, of which every backend is in the same state.
pub type Whole = BTreeSet<(Arc<str>, Family)>;

/// Applies facts again and again, and keeps what did not change.
#[derive(Debug, Default)]
pub struct Overlay {
    /// By the service of the source, which is held so that its address stays its own.
    memo: HashMap<*const Service, Changed>,
    apart: Arc<Apart>,
}

#[derive(Debug)]
struct Changed {
    source: Arc<Service>,
    verdicts: Vec<Verdict>,
    service: Arc<Service>,
}

/// What becomes of a backend of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As the source says.
    Use,
    /// Its flows stay, new ones avoid it.
    Drain,
    /// As if the source did not name it.
    Remove,
}

/// Every address that can be released.
pub fn addresses(desired: &Desired) -> BTreeSet<Addr> {
    let vips = desired.services.iter().flat_map(|service| &service.vips);
    let routers = desired.routers.iter().map(|router| &router.address);
    vips.chain(routers).map(|address| Addr::from(address.value)).collect()
}

impl Overlay {
    /// What holds of `source` at `now`, as [`Holds`] counts time.
    pub fn apply(&mut self, source: &Desired, facts: Facts<'_>, now: Duration) -> Effective {
        let mut effective = Effective { desired: source.clone(), ..Effective::default() };
        let apart = apart(source, facts, now);
        if *self.apart != apart {
            self.apart = Arc::new(apart);
        }
        effective.desired.apart = Arc::clone(&self.apart);
        let mut memo = HashMap::new();
        if !facts.drains.is_empty() || !facts.failed.is_empty() {
            for service in &mut effective.desired.services {
                if service.health.is_none() && facts.drains.is_empty() {
                    continue;
                }
                let (panics, refusing) = (&mut effective.panics, &mut effective.refusing);
                let verdicts = verdicts(service, facts, panics, refusing);
                if verdicts.iter().any(|verdict| *verdict != Verdict::Use) {
                    let key = Arc::as_ptr(service);
                    let held = self.memo.remove(&key).filter(|held| held.is(service, &verdicts));
                    let changed = held.unwrap_or_else(|| Changed::new(service, verdicts));
                    *service = Arc::clone(&changed.service);
                    memo.insert(key, changed);
                }
            }
        }
        self.memo = memo;
        effective
    }
}

fn apart(source: &Desired, facts: Facts<'_>, now: Duration) -> Apart {
    let mut apart = Apart::new();
    // Nearly always: many addresses need not be looked at one by one.
    if facts.holds.all_held() && facts.drains.is_empty() && !facts.stalled {
        return apart;
    }
    for addr in addresses(source) {
        let (announced, steered) = facts.holds.state(addr, now);
        let announced = announced && !facts.stalled;
        let open = !facts.drains.vip(addr);
        let state = AddressState { announced, steered, open };
        if state != AddressState::default() {
            apart.insert(addr, state);
        }
    }
    apart
}

fn verdicts(
    service: &Service,
    facts: Facts<'_>,
    panics: &mut Whole,
    refusing: &mut Whole,
) -> Vec<Verdict> {
    let drained = |backend: &BackendSettings| facts.drains.backend(service, backend);
    let failed = |backend: &BackendSettings| facts.failed.fails(service, backend);
    let mut calm = [true, true];
    let panic = service.health.as_ref().is_some_and(|check| check.panic);
    for (family, calm) in [Family::V4, Family::V6].into_iter().zip(&mut calm) {
        if all_failed(service, facts, family) {
            *calm = !panic;
            let whole = if panic { &mut *panics } else { &mut *refusing };
            whole.insert((Arc::clone(&service.name.value), family));
        }
    }
    let resets = service.health.as_ref().is_some_and(|check| check.reset_on_fail);
    let verdict = |backend: &BackendSettings| match (failed(backend), drained(backend)) {
        (true, _) if resets && calm[usize::from(family_of(backend) == Family::V6)] => {
            Verdict::Remove
        }
        (_, true) => Verdict::Drain,
        (true, false) if calm[usize::from(family_of(backend) == Family::V6)] => Verdict::Drain,
        _ => Verdict::Use,
    };
    service.backends.iter().map(verdict).collect()
}

/// Whether there are backends of a family that would be used, and every one of them has failed.
fn all_failed(service: &Service, facts: Facts<'_>, family: Family) -> bool {
    if facts.failed.is_empty() {
        return false;
    }
    let of_family = service.backends.iter().filter(|backend| family_of(backend) == family);
    let mut used = of_family
        .filter(|backend| backend.weight > 0 && !facts.drains.backend(service, backend))
        .peekable();
    used.peek().is_some() && used.all(|backend| facts.failed.fails(service, backend))
}

fn family_of(backend: &BackendSettings) -> Family {
    Addr::from(backend.address.value).family()
}

impl Changed {
    fn new(source: &Arc<Service>, verdicts: Vec<Verdict>) -> Self {
        let mut service = Service::clone(source);
        if verdicts.contains(&Verdict::Remove) {
            keep_size(&mut service);
        }
        let old = std::mem::take(&mut service.backends).into_iter();
        service.backends = old
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict != Verdict::Remove)
            .map(|(mut backend, verdict)| {
                if *verdict == Verdict::Drain {
                    backend.weight = 0;
                }
                backend
            })
            .collect();
        Self { source: Arc::clone(source), verdicts, service: Arc::new(service) }
    }

    fn is(&self, source: &Arc<Service>, verdicts: &[Verdict]) -> bool {
        Arc::ptr_eq(&self.source, source) && self.verdicts == verdicts
    }
}

/// A backend that fails must not move the flows of the others by a step of the table's size.
/// Families of different sizes keep their own steps.
fn keep_size(service: &mut Service) {
    if service.table_size.is_some() {
        return;
    }
    let of = |v4: bool| service.backends.iter().filter(|b| b.address.is_ipv4() == v4).count();
    let sizes: BTreeSet<u32> =
        [of(true), of(false)].into_iter().filter(|n| *n > 0).map(auto_size).collect();
    if let [size] = Vec::from_iter(sizes)[..] {
        service.table_size = Some(Located::nowhere(TableSize::Fixed(size)));
    }
}

#[cfg(test)]
mod tests;
