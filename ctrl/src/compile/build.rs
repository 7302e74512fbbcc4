use std::sync::Arc;

use dataplane::addr::{Addr, Proto};
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::maglev::Member;
use dataplane::tables::registry::Registry;
use dataplane::tables::{
    Backend, BackendId, BackendState, Frontend, FrontendId, Frontends, Maglev, Routing, Slab,
    SnatAddress, SnatId,
};

use super::backends::BackendPlan;
use super::plan::{FrontendPlan, Plan};
use super::{BackendKey, Compiler, SnatKey, frontends, hops, keep};
use crate::desired::Desired;
use crate::topology::Topology;

const COUNTED: &str = "`plan` has counted the ids";

/// Not after any other key.
const FIRST_BACKEND: BackendKey = (Addr::v6([0; 16]), 0, Proto::Tcp);

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
        keep(&self.memo.compiled.tables.snat, Arc::new(slab), |a, b| a.iter().eq(b.iter()))
    }

    /// The generation grows only when a cached answer could be another one now: a new MAC of a
    /// known hop is seen without.
    pub(super) fn build_routing(&mut self, plan: &Plan, topology: &Topology) -> Arc<Routing> {
        let hops = hops::collect(&mut self.hops, &plan.hops, topology, &plan.ports);
        let old = &self.memo.compiled.tables.routing;
        let same_ids = hops.iter().map(|(id, _)| id).eq(self.memo.hops.iter().map(|(id, _)| id));
        // Flows remember the MTU of their way, too.
        let mtus = |ports: &[dataplane::tables::Port]| -> Vec<u16> {
            ports.iter().map(|port| port.mtu).collect()
        };
        let same_mtus = mtus(&plan.ports.ports) == mtus(&self.memo.compiled.tables.ports);
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
        let mut slab = Slab::default();
        for key in &plan.backends.order {
            let backend = self.backend(plan, routing, key, &plan.backends.by_key[key]);
            slab.insert(self.backends.id_of(key).expect(COUNTED), backend);
        }
        for key in self.graves.backends.keys() {
            if let Some((id, stone)) = self.tombstone(plan, routing, key) {
                slab.insert(id, stone);
            }
        }
        keep(&self.memo.compiled.tables.backends, Arc::new(slab), |a, b| a.iter().eq(b.iter()))
    }

    pub(super) fn backend(
        &self,
        plan: &Plan,
        routing: &Routing,
        key: &BackendKey,
        backend: &BackendPlan,
    ) -> Backend {
        let (addr, port, _) = *key;
        let state = if backend.active() { BackendState::Active } else { BackendState::Draining };
        let default_snat = backend.default_snat().and_then(|addr| snat_id(&self.snat, plan, addr));
        let hop = routing.resolve(addr, |port| plan.ports.mtu(port));
        Backend { addr, port, state, hop, default_snat, link: plan.lookup.link(addr) }
    }

    /// What is left of a removed backend, for the flows that know it.
    pub(super) fn tombstone(
        &self,
        plan: &Plan,
        routing: &Routing,
        key: &BackendKey,
    ) -> Option<(BackendId, Backend)> {
        let id = self.backends.get(key)?;
        let former = *self.memo.compiled.tables.backends.get(id)?;
        let hop = routing.resolve(former.addr, |port| plan.ports.mtu(port));
        Some((id, Backend { state: BackendState::Gone, hop, ..former }))
    }

    pub(super) fn build_frontends(&mut self, desired: &Desired, plan: &Plan) -> Arc<Frontends> {
        self.memo.maglev.begin(*desired.maglev.seeds);
        let mut all: Vec<(FrontendId, Arc<Frontend>)> = Vec::with_capacity(plan.frontends.len());
        for frontend in plan.frontends.iter().flatten() {
            all.push(self.frontend(plan, frontend));
        }
        self.memo.maglev.end();
        for key in self.graves.frontends.keys() {
            let Some(id) = self.frontends.get(key) else { continue };
            let Some(former) = self.memo.compiled.tables.frontends.get(id) else { continue };
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
        let old = &self.memo.compiled.tables.frontends;
        let unchanged = all.len() == old.iter().count()
            && all.iter().all(|(id, new)| old.share(*id).is_some_and(|old| Arc::ptr_eq(&old, new)));
        if unchanged { Arc::clone(old) } else { Arc::new(all.into_iter().collect()) }
    }

    pub(super) fn frontend(
        &mut self,
        plan: &Plan,
        frontend: &FrontendPlan,
    ) -> (FrontendId, Arc<Frontend>) {
        let id = self.frontends.id_of(&frontend.key).expect(COUNTED);
        let sources = frontend.snat.iter();
        let built = Frontend {
            key: frontend.key,
            mode: frontend.mode,
            maglev: self.maglev(frontend),
            snat: sources.filter_map(|addr| snat_id(&self.snat, plan, *addr)).collect(),
            left: self.left(&frontend.key),
            gone: false,
            policy: frontend.policy.clone(),
        };
        (id, self.keep_frontend(id, built))
    }

    fn maglev(&mut self, plan: &FrontendPlan) -> Option<Arc<Maglev>> {
        let active = plan.members.iter().filter(|(_, weight)| *weight > 0);
        let members = active.filter_map(|(key, weight)| {
            let (addr, port, proto) = *key;
            let proto = proto.into();
            Some(Member { id: self.backends.get(key)?, addr, port, proto, weight: *weight })
        });
        let members: Vec<Member> = members.collect();
        self.memo.maglev.table(plan.table_size, &members)
    }

    fn keep_frontend(&self, id: FrontendId, built: Frontend) -> Arc<Frontend> {
        match self.memo.compiled.tables.frontends.share(id) {
            Some(old) if frontends::same(&old, &built) => old,
            _ => Arc::new(built),
        }
    }

    /// Backends that left a frontend, in the order of their keys.
    pub(super) fn left(&self, frontend: &FrontendKey) -> Box<[BackendId]> {
        let pairs = self.graves.left.keys_from((*frontend, FIRST_BACKEND));
        let backends = pairs.take_while(|(of, _)| of == frontend);
        backends.filter_map(|(_, backend)| self.backends.get(backend)).collect()
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
