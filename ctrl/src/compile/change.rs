use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::Addr;
use dataplane::tables::Deadlines;
use dataplane::tables::frontend::Mode;

use super::backends::BackendPlan;
use super::commit::Last;
use super::grave::{self, LINGER};
use super::plan::{FrontendPlan, MOST};
use super::uses::Uses;
use super::{BackendKey, Compiler, Strictness, reach, services};
use crate::desired::{Desired, Service};
use crate::problem::Problem;
use crate::topology::{Neighbour, Topology};

/// The services that changed since the last success, and the backends that this touches; or
/// neighbours, of which only hops know. All that follows from anything else (ports, VIPs, source
/// addresses, routes) stays as it is.
#[derive(Debug, Default)]
pub struct Change {
    pub services: Vec<ServiceChange>,
    /// How each touched backend is afterwards; the sources count them all.
    pub backends: HashMap<BackendKey, BackendPlan>,
    /// Keys of touched backends; new ones in the order of the source.
    pub order: Vec<BackendKey>,
    pub sources: Uses<Addr>,
    /// The neighbours, when they are others.
    pub neighbours: Option<Vec<Neighbour>>,
    /// Nothing follows from them but themselves.
    pub deadlines: Arc<Deadlines>,
}

/// One service as it is wanted now.
#[derive(Debug)]
pub struct ServiceChange {
    /// Its place among all services.
    pub index: usize,
    pub service: Arc<Service>,
    pub frontends: Vec<FrontendPlan>,
    pub troubles: Vec<Problem>,
}

/// What differs from `last`, when that is no more than backends, weights and table sizes of
/// services, or neighbours; `None` when everything has to be looked at.
pub fn plan(
    compiler: &Compiler,
    last: &Last,
    strictness: Strictness,
    (desired, topology): (&Desired, &Topology),
    now: Duration,
) -> Option<Change> {
    let fits = strictness == Strictness::Running || last.plan.troubles.is_empty();
    if !fits || !same_but_services(last, desired, topology) || compiler.addresses_due(last, now) {
        return None;
    }
    let others = last.topology.neighbours != topology.neighbours;
    let mut change = Change {
        sources: last.plan.sources.clone(),
        deadlines: Arc::clone(&desired.deadlines),
        neighbours: others.then(|| topology.neighbours.clone()),
        ..Change::default()
    };
    let pairs = last.desired.services.iter().zip(&desired.services);
    for (index, (_, new)) in pairs.enumerate().filter(|(_, (old, new))| !Arc::ptr_eq(old, new)) {
        let service = ServiceChange::new(last, index, new);
        // What a reply is without a flow depends on all services in that mode.
        let entangled = new.mode == Mode::Nat;
        let refused = strictness == Strictness::New && !service.troubles.is_empty();
        let same_name = last.desired.services[index].name == new.name;
        if refused
            || entangled
            || !same_name
            || !alike(&last.plan.frontends[index], &service.frontends)
        {
            return None;
        }
        change.add(last, service);
    }
    change.count_sources(last);
    let room = last.plan.backends.by_key.len() + change.backends.len() <= MOST;
    let same_sources = change.sources.keys().eq(last.plan.sources.keys());
    (room && same_sources).then_some(change)
}

/// What the tables are made of, apart from services, which are compared by pointer, and neighbours.
fn same_but_services(last: &Last, desired: &Desired, topology: &Topology) -> bool {
    let old = &last.desired;
    old.services.len() == desired.services.len()
        && old.maglev == desired.maglev
        && old.snat == desired.snat
        && old.timeouts == desired.timeouts
        && old.ports == desired.ports
        && old.routers == desired.routers
        && old.apart == desired.apart
        && same_but_neighbours(&last.topology, topology)
}

fn same_but_neighbours(old: &Topology, new: &Topology) -> bool {
    old.links == new.links
        && old.remade == new.remade
        && old.vlans == new.vlans
        && old.addresses == new.addresses
        && old.routes == new.routes
}

/// Whether two frontends differ in nothing but their backends and table size.
fn alike(old: &[FrontendPlan], new: &[FrontendPlan]) -> bool {
    let same = |(old, new): (&FrontendPlan, &FrontendPlan)| {
        old.key == new.key
            && old.mode == new.mode
            && old.announce == new.announce
            && old.snat == new.snat
    };
    old.len() == new.len() && old.iter().zip(new).all(same)
}

impl Compiler {
    /// Whether a VIP, frontend, source address or backend in mode `nat` has lingered long enough.
    fn addresses_due(&self, last: &Last, now: Duration) -> bool {
        let deadlines = [
            self.graves.frontends.deadline(grave::age(&last.desired.timeouts)),
            self.graves.vips.deadline(LINGER),
            self.graves.snat.deadline(LINGER),
            self.graves.nat.deadline(LINGER),
        ];
        deadlines.into_iter().flatten().any(|deadline| deadline <= now)
    }
}

impl ServiceChange {
    fn new(last: &Last, index: usize, service: &Arc<Service>) -> Self {
        let Last { desired, topology, plan } = last;
        let frontends = services::frontends(desired, service, &plan.ports);
        let troubles = reach::troubles(desired, service, topology, &plan.ports, &plan.lookup);
        Self { index, service: Arc::clone(service), frontends, troubles }
    }
}

impl Change {
    fn add(&mut self, last: &Last, service: ServiceChange) {
        for frontend in &last.plan.frontends[service.index] {
            for (key, weight) in &frontend.members {
                self.touch(last, key).leave(frontend, *weight);
            }
        }
        for frontend in &service.frontends {
            for (key, weight) in &frontend.members {
                self.touch(last, key).join(frontend, *weight);
            }
        }
        self.services.push(service);
    }

    fn touch(&mut self, last: &Last, key: &BackendKey) -> &mut BackendPlan {
        let plan = &last.plan;
        self.backends.entry(*key).or_insert_with(|| {
            self.order.push(*key);
            let known = plan.backends.by_key.get(key).copied();
            known.unwrap_or_else(|| BackendPlan::new(key.0, &plan.ports, &plan.lookup))
        })
    }

    fn count_sources(&mut self, last: &Last) {
        for (key, backend) in &self.backends {
            let before = last.plan.backends.by_key.get(key).and_then(BackendPlan::default_snat);
            let after = backend.default_snat();
            if before != after {
                after.map(|addr| self.sources.add(addr));
                before.map(|addr| self.sources.end(&addr));
            }
        }
    }
}
