use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use dataplane::addr::Addr;
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::registry::Registry;

use super::grave::{Graveyard, LINGER};
use super::linux::LinuxOwned;
use super::plan::Plan;
use super::{BackendKey, Compiler, SnatKey};
use crate::topology::Topology;

impl Compiler {
    /// Buries what the plan no longer has, lets those go that came back, and gives back the ids
    /// of those that had their time. Comes before new ids are given out, so that there is room.
    pub(super) fn bury(
        &mut self,
        plan: &mut Plan,
        topology: &Topology,
        now: Duration,
        age: Duration,
    ) {
        let linux = LinuxOwned::new(topology);
        let keys: HashSet<FrontendKey> = plan.frontends.iter().flatten().map(|f| f.key).collect();
        for key in retire(
            &mut self.graves.frontends,
            &mut self.frontends,
            |k| keys.contains(k),
            (now, age),
        ) {
            self.memo.members.remove(&key);
        }
        let backends = &plan.backends.by_key;
        retire(
            &mut self.graves.backends,
            &mut self.backends,
            |k| backends.contains_key(k),
            (now, age),
        );
        self.bury_nat(plan, now);
        self.bury_left(plan, now, age);
        self.forget_left();
        let live: HashSet<Addr> = keys.iter().map(|key| key.addr).collect();
        self.bury_vips(&live, &linux, now);
        self.bury_snat(plan, &live, &linux, now);
    }

    /// An address that Linux took over is not ours a moment longer.
    fn bury_vips(&mut self, live: &HashSet<Addr>, linux: &LinuxOwned<'_>, now: Duration) {
        let addresses = &self.memo.compiled.tables.addresses;
        let known = addresses.iter().filter(|(_, owned)| owned.vip.is_some()).map(|(addr, _)| addr);
        let not_ours = |addr: &Addr| live.contains(addr) || linux.interface(addr.to_ip()).is_some();
        self.graves.vips.update(known, not_ours, now, LINGER);
    }

    /// Source addresses linger too, with the range that flows know, unless Linux took them over
    /// or gave them up, or clients now connect to them.
    fn bury_snat(
        &mut self,
        plan: &mut Plan,
        live: &HashSet<Addr>,
        linux: &LinuxOwned<'_>,
        now: Duration,
    ) {
        let former: Vec<_> =
            self.memo.compiled.tables.snat.iter().map(|(_, source)| source.clone()).collect();
        let lingers: HashSet<Addr> = former
            .iter()
            .filter(|source| linux.interface(source.addr.to_ip()).is_some() == source.shared)
            .map(|source| source.addr)
            .filter(|addr| !live.contains(addr) && !plan.snat.contains_key(addr))
            .collect();
        self.graves.snat.update(&lingers, |addr| !lingers.contains(addr), now, LINGER);
        plan.retired_snat = self.graves.snat.keys().copied().collect();
        for source in former {
            if plan.retired_snat.contains(&source.addr) {
                plan.snat.insert(source.addr, source);
            }
        }
        let mut known: Vec<SnatKey> = self.snat.iter().map(|(key, _)| *key).collect();
        // So that ids do not depend on chance.
        known.sort_unstable();
        let used = |(addr, shared): &SnatKey| {
            plan.snat.get(addr).is_some_and(|source| source.shared == *shared)
        };
        for key in known.iter().filter(|key| !used(key)) {
            self.snat.release(key);
        }
    }

    /// Remembers the backends of each frontend, and buries those that it had and has no more.
    fn bury_left(&mut self, plan: &Plan, now: Duration, age: Duration) {
        let mut left = Vec::new();
        for frontend in plan.frontends.iter().flatten() {
            left.extend(self.memo.remember(frontend));
        }
        let members = &self.memo.members;
        let belongs = |(frontend, backend): &(FrontendKey, BackendKey)| {
            members.get(frontend).is_some_and(|all| all.binary_search(backend).is_ok())
        };
        self.graves.left.update(&left, belongs, now, age);
    }

    /// No flow refers to a backend that has given back its id, whichever frontend it had left.
    /// Returns the frontends.
    pub(super) fn forget_left(&mut self) -> Vec<FrontendKey> {
        let backends = &self.backends;
        let pairs = self.graves.left.exhume_all(|(_, key)| backends.get(key).is_none());
        pairs.into_iter().map(|(frontend, _)| frontend).collect()
    }
}

/// Buries the keys of `registry` that are not alive; returns those that had their time, whose
/// ids are given back.
fn retire<K: Eq + Hash + Clone + Ord, T>(
    yard: &mut Graveyard<K>,
    registry: &mut Registry<K, T>,
    alive: impl Fn(&K) -> bool,
    (now, age): (Duration, Duration),
) -> Vec<K> {
    let over = yard.update(registry.iter().map(|(key, _)| key), alive, now, age);
    for key in &over {
        registry.release(key);
    }
    over
}
