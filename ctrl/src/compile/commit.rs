//! The parts put together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane::limits::PORTS_MAX;
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::{Addresses, Hop, HopId, PortId, Route, Tables};
use ipnet::IpNet;

use super::frontends::MaglevMemo;
use super::plan::Plan;
use super::routes::{self, Lookup};
use super::view::{FrontendView, MemberView, ServiceView};
use super::{BackendKey, Compiled, Compiler, grave, hops, keep, owned, vlans};
use crate::desired::Desired;
use crate::topology::Topology;

/// What one compilation leaves for the next.
#[derive(Debug, Default)]
pub struct Memo {
    /// Routes of the last attempt, refused or not.
    lookup: Arc<Lookup>,
    /// The tables of the last success.
    pub tables: Tables,
    pub routes: Arc<[(IpNet, Route)]>,
    pub hops: Vec<(HopId, Hop)>,
    /// Names of the VLANs that have ids, which follow those of the ports.
    pub vlans: Vec<Box<str>>,
    pub maglev: MaglevMemo,
    /// Backends of every frontend in order, removed frontends included.
    pub members: HashMap<FrontendKey, Vec<BackendKey>>,
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
        let tables = self.tables(desired, topology, &plan);
        let owned = owned::addresses(&plan, self.graves.vips.keys(), &self.snat);
        let announce = owned::announce(&owned);
        Compiled {
            steering: owned::steering(&owned, &plan, topology),
            services: self.views(desired, &plan),
            wanted_neighbours: hops::neighbours(&self.wanted(&plan), &plan.ports),
            groups: owned::groups(&announce, plan.ports.ports.len() as u8),
            announce,
            next_deadline: self.graves.next_deadline(age),
            warnings: plan.warnings,
            tables,
        }
    }

    fn tables(&mut self, desired: &Desired, topology: &Topology, plan: &Plan) -> Tables {
        let snat = self.build_snat(plan);
        let routing = self.build_routing(plan, topology);
        let backends = self.build_backends(plan, &routing);
        let frontends = self.build_frontends(desired, plan);
        let owned = owned::addresses(plan, self.graves.vips.keys(), &self.snat);
        let addresses: Addresses = owned.into_iter().collect();
        let old = &self.memo.tables;
        let tables = Tables {
            ports: keep(&old.ports, plan.ports.ports.as_slice().into(), |a, b| a == b),
            vlans: keep(&old.vlans, plan.ports.vlans.as_slice().into(), |a, b| a == b),
            addresses: keep(&old.addresses, Arc::new(addresses), |a, b| a == b),
            frontends,
            backends,
            snat,
            routing,
            timeouts: desired.timeouts,
            seeds: desired.maglev.seeds,
        };
        self.memo.tables = tables.clone();
        tables
    }

    fn views(&self, desired: &Desired, plan: &Plan) -> Vec<ServiceView> {
        let mut views: Vec<ServiceView> = desired
            .services
            .iter()
            .map(|service| ServiceView {
                name: Arc::clone(&service.name.value),
                mode: service.mode,
                frontends: Vec::new(),
            })
            .collect();
        for frontend in &plan.frontends {
            let Some(id) = self.frontends.get(&frontend.key) else { continue };
            let member = |(key, weight): &(BackendKey, u16)| {
                Some(MemberView { id: self.backends.get(key)?, weight: *weight })
            };
            views[frontend.service].frontends.push(FrontendView {
                id,
                key: frontend.key,
                announce: frontend.announce,
                table_size: frontend.table_size,
                members: frontend.members.iter().filter_map(member).collect(),
            });
        }
        views
    }
}
