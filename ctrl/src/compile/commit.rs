//! The parts put together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane::limits::PORTS_MAX;
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::{Hop, HopId, PortId, Route, Tables};
use ipnet::IpNet;

use super::frontends::MaglevMemo;
use super::plan::{FrontendPlan, Plan};
use super::routes::{self, Lookup};
use super::view::{FrontendView, MemberView, ServiceView};
use super::{BackendKey, Compiled, Compiler, grave, hops, keep, owned, vlans};
use crate::desired::{Desired, Service};
use crate::topology::Topology;

/// What one compilation leaves for the next.
#[derive(Debug, Default)]
pub struct Memo {
    /// Routes of the last attempt, refused or not.
    lookup: Arc<Lookup>,
    /// The outcome of the last success.
    pub compiled: Compiled,
    /// What the last success was made of; `None` when the next one must start anew.
    pub last: Option<Last>,
    pub routes: Arc<[(IpNet, Route)]>,
    pub hops: Vec<(HopId, Hop)>,
    /// Names of the VLANs that have ids, which follow those of the ports.
    pub vlans: Vec<Box<str>>,
    pub maglev: MaglevMemo,
    /// Backends of every frontend in order, removed frontends included.
    pub members: HashMap<FrontendKey, Vec<BackendKey>>,
}

/// What a success was made of, so that a change can be told by what differs.
#[derive(Debug)]
pub struct Last {
    pub desired: Desired,
    pub topology: Topology,
    pub plan: Plan,
}

impl Memo {
    /// The kernel's routes as ours; the same value as last time when they are the same.
    pub fn routes(
        &mut self,
        known: &[Box<str>],
        desired: &Desired,
        topology: &Topology,
    ) -> Arc<Lookup> {
        let vlans = self.vlan_names(known, desired, topology);
        let names = port_names(known, desired).into_iter().chain(vlans.iter().map(|name| &**name));
        let ids: HashMap<u32, PortId> = (0..)
            .zip(names.take(PORTS_MAX))
            .filter_map(|(id, name)| Some((topology.link(name)?.ifindex, PortId(id))))
            .collect();
        let routes = routes::convert(topology, |ifindex| ids.get(&ifindex).copied());
        if routes != self.lookup.routes {
            self.lookup = Arc::new(Lookup::new(routes));
        }
        Arc::clone(&self.lookup)
    }

    /// Remembers the backends of a frontend; returns those that it had and has no more.
    pub fn remember(&mut self, frontend: &FrontendPlan) -> Vec<(FrontendKey, BackendKey)> {
        let new: Vec<BackendKey> = frontend.members.iter().map(|(key, _)| *key).collect();
        let held = self.members.entry(frontend.key).or_default();
        let old = std::mem::replace(held, new);
        let gone = old.into_iter().filter(|key| held.binary_search(key).is_err());
        gone.map(|key| (frontend.key, key)).collect()
    }

    /// Names of the VLANs, in the order of their ids.
    pub fn vlan_names(
        &self,
        known: &[Box<str>],
        desired: &Desired,
        topology: &Topology,
    ) -> Vec<Box<str>> {
        vlans::names(&self.vlans, &port_names(known, desired), topology)
    }
}

/// Names of the ports that have rings, in the order of their ids.
fn port_names<'n>(known: &'n [Box<str>], desired: &'n Desired) -> Vec<&'n str> {
    match known {
        [] => desired.ports.iter().map(|port| port.name.as_str()).collect(),
        known => known.iter().map(|name| &**name).collect(),
    }
}

impl Compiler {
    /// Gives out ids and builds the tables. Nothing here can fail.
    pub(super) fn commit(
        &mut self,
        desired: &Desired,
        topology: &Topology,
        mut plan: Plan,
        now: Duration,
    ) -> Compiled {
        let mut names = plan.ports.ports.iter().map(|port| port.name.clone());
        self.ports = names.by_ref().take(desired.ports.len()).collect();
        self.memo.vlans = names.collect();
        let age = grave::age(&desired.timeouts);
        self.bury(&mut plan, topology, now, age);
        let snat = self.build_snat(&plan);
        let routing = self.build_routing(&plan, topology);
        let backends = self.build_backends(&plan, &routing);
        let frontends = self.build_frontends(desired, &plan);
        let owned = owned::addresses(&plan, self.graves.vips.keys(), &self.snat);
        let announce = owned::announce(&owned);
        let nat_backends = self.build_nat(&plan);
        let old = &self.memo.compiled;
        let steering = owned::steering(&owned, &plan, topology, &nat_backends);
        let compiled = Compiled {
            steering: kept(&old.steering, steering.into()),
            services: self.views(desired, &plan),
            wanted_neighbours: kept(
                &old.wanted_neighbours,
                hops::neighbours(&plan.hops, &plan.ports),
            ),
            groups: kept(&old.groups, owned::groups(&announce, &plan.ports)),
            announce: kept(&old.announce, announce),
            next_deadline: self.graves.next_deadline(age),
            warnings: plan.troubles.warnings(),
            troubled: plan.troubles.of_services(),
            tables: Tables {
                ports: kept(&old.tables.ports, plan.ports.ports.as_slice().into()),
                vlans: kept(&old.tables.vlans, plan.ports.vlans.as_slice().into()),
                addresses: kept(&old.tables.addresses, Arc::new(owned.into_iter().collect())),
                deadlines: kept(&old.tables.deadlines, Arc::clone(&desired.deadlines)),
                frontends,
                backends,
                nat_backends,
                snat,
                routing,
                timeouts: desired.timeouts,
                seeds: *desired.maglev.seeds,
            },
        };
        // The ids are given out.
        plan.backends.order = Vec::new();
        self.memo.last = Some(Last { desired: desired.clone(), topology: topology.clone(), plan });
        self.memo.compiled = compiled.clone();
        compiled
    }

    fn views(&self, desired: &Desired, plan: &Plan) -> Arc<[Arc<ServiceView>]> {
        let services = desired.services.iter().zip(&plan.frontends);
        services.map(|(service, frontends)| Arc::new(self.view(service, frontends))).collect()
    }

    pub(super) fn view(&self, service: &Service, frontends: &[FrontendPlan]) -> ServiceView {
        let member = |(key, weight): &(BackendKey, u16)| {
            Some(MemberView { id: self.backends.get(key)?, weight: *weight })
        };
        let frontend = |frontend: &FrontendPlan| {
            Some(FrontendView {
                id: self.frontends.get(&frontend.key)?,
                key: frontend.key,
                announce: frontend.announce,
                table_size: frontend.table_size,
                members: frontend.members.iter().filter_map(member).collect(),
            })
        };
        ServiceView {
            name: Arc::clone(&service.name.value),
            mode: service.mode,
            frontends: frontends.iter().filter_map(frontend).collect(),
        }
    }
}

/// Keeps `old` when it says the same.
pub fn kept<T: ?Sized + PartialEq>(old: &Arc<T>, new: Arc<T>) -> Arc<T> {
    keep(old, new, |a, b| a == b)
}
