use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dataplane::addr::Addr;
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::maglev::Member;
use dataplane::tables::registry::Registry;
use dataplane::tables::{
    Backend, BackendId, BackendState, Frontend, FrontendId, Frontends, Maglev, PortId, Routing,
    Slab, SnatAddress, SnatId,
};

use super::plan::{FrontendPlan, Plan};
use super::{BackendKey, Compiler, SnatKey, frontends, hops, keep};
use crate::desired::Desired;
use crate::topology::Topology;

const COUNTED: &str = "`plan` has counted the ids";

/// The id of a source address as it is in `plan`.
pub(super) fn snat_id(
    ids: &Registry<SnatKey, SnatAddress>,
    plan: &Plan,
    addr: Addr,
) -> Option<SnatId> {
    ids.get(&(addr, plan.snat.get(&addr)?.shared))
}

/// The generation after `old`; never 0, which is what flows that have looked nothing up hold.
const fn next_generation(old: u16) -> u16 {
    match old.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

impl Compiler {
    pub(super) fn build_snat(&mut self, plan: &Plan) -> Arc<Slab<SnatAddress>> {
        let sources = plan.snat.iter();
        let slab: Slab<_> = sources
            .map(|(addr, source)| {
                let key = (*addr, source.shared);
                (self.snat.id_of(&key).expect(COUNTED), source.clone())
            })
            .collect();
        keep(&self.memo.tables.snat, Arc::new(slab), |a, b| a.iter().eq(b.iter()))
    }

    /// Next hops that the kernel shall keep fresh.
    pub(super) fn wanted(&self, plan: &Plan) -> BTreeSet<(PortId, Addr)> {
        hops::wanted(plan.backends.keys().map(|key| key.0), &plan.lookup)
    }

    /// The generation grows only when a cached answer could be another one now: a new MAC of a
    /// known hop is seen without.
    pub(super) fn build_routing(&mut self, plan: &Plan, topology: &Topology) -> Arc<Routing> {
        let wanted = self.wanted(plan);
        let hops = hops::collect(&mut self.hops, &wanted, topology, &plan.ports);
        let old = &self.memo.tables.routing;
        let same_ids = hops.iter().map(|(id, _)| id).eq(self.memo.hops.iter().map(|(id, _)| id));
        // Flows remember the MTU of their way, too.
        let mtus = |ports: &[dataplane::tables::Port]| -> Vec<u16> {
            ports.iter().map(|port| port.mtu).collect()
        };
        let same_mtus = mtus(&plan.ports.ports) == mtus(&self.memo.tables.ports);
        let same_ways = same_ids && same_mtus && plan.lookup.routes == self.memo.routes;
        if same_ways && hops == self.memo.hops {
            return Arc::clone(old);
        }
        let generation = if same_ways { old.generation } else { next_generation(old.generation) };
        self.memo.routes = Arc::clone(&plan.lookup.routes);
        self.memo.hops.clone_from(&hops);
        Arc::new(Routing::new(generation, self.memo.routes.iter().copied(), hops))
    }

    pub(super) fn build_backends(&mut self, plan: &Plan, routing: &Routing) -> Arc<Slab<Backend>> {
        let mtu = |port| plan.ports.mtu(port);
        let mut slab = Slab::default();
        for key in &plan.backend_order {
            let backend = &plan.backends[key];
            let (addr, port, _) = *key;
            let state = if backend.active { BackendState::Active } else { BackendState::Draining };
            let default_snat =
                backend.default_snat.and_then(|addr| snat_id(&self.snat, plan, addr));
            let hop = routing.resolve(addr, mtu);
            let id = self.backends.id_of(key).expect(COUNTED);
            let link = plan.lookup.link(addr);
            slab.insert(id, Backend { addr, port, state, hop, default_snat, link });
        }
        for key in self.graves.backends.keys() {
            let Some(id) = self.backends.get(key) else { continue };
            let Some(former) = self.memo.tables.backends.get(id) else { continue };
            let hop = routing.resolve(former.addr, mtu);
            slab.insert(id, Backend { state: BackendState::Gone, hop, ..former.clone() });
        }
        keep(&self.memo.tables.backends, Arc::new(slab), |a, b| a.iter().eq(b.iter()))
    }

    pub(super) fn build_frontends(&mut self, desired: &Desired, plan: &Plan) -> Arc<Frontends> {
        let left = self.left_ids();
        self.memo.maglev.begin(desired.maglev.seeds);
        let mut all: Vec<(FrontendId, Arc<Frontend>)> = Vec::with_capacity(plan.frontends.len());
        for frontend in &plan.frontends {
            let id = self.frontends.id_of(&frontend.key).expect(COUNTED);
            let left = left.get(&frontend.key).map_or([].as_slice(), Vec::as_slice);
            let built = self.frontend(plan, frontend, left);
            all.push((id, self.keep_frontend(id, built)));
        }
        self.memo.maglev.end();
        for key in self.graves.frontends.keys() {
            let Some(id) = self.frontends.get(key) else { continue };
            let Some(former) = self.memo.tables.frontends.get(id) else { continue };
            let stone = Frontend {
                key: *key,
                mode: former.mode,
                maglev: None,
                snat: former.snat.clone(),
                left: [].into(),
                gone: true,
                policy: former.policy.clone(),
            };
            all.push((id, self.keep_frontend(id, stone)));
        }
        let old = &self.memo.tables.frontends;
        let unchanged = all.len() == old.iter().count()
            && all.iter().all(|(id, new)| old.share(*id).is_some_and(|old| Arc::ptr_eq(&old, new)));
        if unchanged { Arc::clone(old) } else { Arc::new(all.into_iter().collect()) }
    }

    fn frontend(&mut self, plan: &Plan, frontend: &FrontendPlan, left: &[BackendId]) -> Frontend {
        Frontend {
            key: frontend.key,
            mode: frontend.mode,
            maglev: self.maglev(frontend),
            snat: frontend
                .snat
                .iter()
                .filter_map(|addr| snat_id(&self.snat, plan, *addr))
                .collect(),
            left: left.into(),
            gone: false,
            policy: frontend.policy.clone(),
        }
    }

    fn maglev(&mut self, plan: &FrontendPlan) -> Option<Arc<Maglev>> {
        let active = plan.members.iter().filter(|(_, weight)| *weight > 0);
        let members = active.filter_map(|(key, weight)| {
            let (addr, port, proto) = *key;
            let proto = proto.into();
            Some(Member { id: self.backends.get(key)?, addr, port, proto, weight: *weight })
        });
        self.memo.maglev.table(plan.table_size, members.collect())
    }

    fn keep_frontend(&self, id: FrontendId, built: Frontend) -> Arc<Frontend> {
        match self.memo.tables.frontends.share(id) {
            Some(old) if frontends::same(&old, &built) => old,
            _ => Arc::new(built),
        }
    }

    /// Backends that left a frontend, by frontend, in the order of their keys.
    fn left_ids(&self) -> HashMap<FrontendKey, Vec<BackendId>> {
        let mut pairs: Vec<&(FrontendKey, BackendKey)> = self.graves.left.keys().collect();
        pairs.sort_unstable();
        let mut left: HashMap<FrontendKey, Vec<BackendId>> = HashMap::new();
        for (frontend, backend) in pairs {
            let Some(id) = self.backends.get(backend) else { continue };
            left.entry(*frontend).or_default().push(id);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_never_that_of_flows_that_looked_nothing_up() {
        assert_eq!([0, 1, u16::MAX].map(next_generation), [1, 2, 1]);
    }
}
