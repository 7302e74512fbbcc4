use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use dataplane::addr::{Addr, Family};
use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::{FrontendId, Policy, Port, PortId, PortMask, SnatAddress, Vlan};

use super::backends::{Backends, HopKey};
use super::linux::LinuxOwned;
use super::routes::Lookup;
use super::uses::Uses;
use super::{
    BackendKey, Compiler, Strictness, TOMBSTONES_MAX, backends, ports, reach, routers, services,
    snat, vlans,
};
use crate::desired::Desired;
use crate::desired::apart::Apart;
use crate::problem::Problem;
use crate::topology::Topology;

/// Everything by key: what `commit` needs, with nothing left that can go wrong.
#[derive(Debug)]
pub struct Plan {
    pub ports: PortPlan,
    pub lookup: Arc<Lookup>,
    /// Source addresses; `commit` adds retired ones, which are no longer announced.
    pub snat: BTreeMap<Addr, SnatAddress>,
    pub retired_snat: HashSet<Addr>,
    /// How often each source address is used, retired ones left out.
    pub sources: Uses<Addr>,
    /// Next hops that the kernel shall keep fresh.
    pub hops: Uses<HopKey>,
    pub backends: Backends,
    /// By service.
    pub frontends: Vec<Vec<FrontendPlan>>,
    /// Router addresses with the ports on which they are announced.
    pub routers: Vec<(Addr, PortMask)>,
    /// Addresses that are apart from the rule.
    pub apart: Arc<Apart>,
    pub troubles: Troubles,
}

/// What keeps some of it from working, while the rest goes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Of ports and source addresses.
    pub host: Vec<Problem>,
    /// By service, those without any left out.
    pub services: BTreeMap<usize, Vec<Problem>>,
}

impl Troubles {
    /// Each of them, as a warning.
    pub fn warnings(&self) -> Vec<Problem> {
        let all = self.host.iter().chain(self.services.values().flatten());
        all.map(|problem| problem.clone().demoted()).collect()
    }

    /// Those that are about one service, with its place among all.
    pub fn of_services(&self) -> Vec<(usize, Problem)> {
        let each = |(index, found): (&usize, &Vec<Problem>)| {
            let index = *index;
            found.clone().into_iter().map(move |problem| (index, problem))
        };
        self.services.iter().flat_map(each).collect()
    }

    /// Those that refuse a new wish; what is worth a word stays.
    fn take_errors(&mut self) -> Vec<Problem> {
        let all = std::iter::once(&mut self.host).chain(self.services.values_mut());
        let errors = all.flat_map(|found| found.extract_if(.., |problem| problem.is_error()));
        let errors = errors.collect();
        self.services.retain(|_, found| !found.is_empty());
        errors
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.host.is_empty() && self.services.is_empty()
    }
}

/// Ports by id.
#[derive(Debug, Default)]
pub struct PortPlan {
    pub ports: Vec<Port>,
    pub ifindex: Vec<u32>,
    /// Those of them that are VLANs on the links of others; they come last.
    pub vlans: Vec<Vlan>,
    /// Ports in force that cannot be used now.
    pub unusable: Vec<Problem>,
}

/// One (VIP, port, protocol).
#[derive(Debug, PartialEq)]
pub struct FrontendPlan {
    pub key: FrontendKey,
    pub mode: Mode,
    pub snat: Vec<Addr>,
    /// Backends with their weights, drained ones included.
    pub members: Vec<(BackendKey, u16)>,
    pub announce: PortMask,
    /// Slots of the Maglev table.
    pub table_size: u32,
    pub policy: Policy,
    /// In mode `nat`: a reply without a flow is translated.
    pub stateless_replies: bool,
}

impl PortPlan {
    /// The id of the port with this kernel index.
    pub fn by_ifindex(&self, ifindex: u32) -> Option<PortId> {
        let index = self.ifindex.iter().position(|i| *i == ifindex)?;
        Some(PortId(index as u8))
    }

    /// The id of the port with this name.
    pub fn by_name(&self, name: &str) -> Option<PortId> {
        let index = self.ports.iter().position(|port| &*port.name == name)?;
        Some(PortId(index as u8))
    }

    /// The port with this id.
    pub fn get(&self, id: PortId) -> &Port {
        &self.ports[usize::from(id.0)]
    }

    /// The set of all ports.
    pub fn all(&self) -> PortMask {
        (0..self.ports.len()).fold(PortMask::NONE, |mask, id| mask.with(PortId(id as u8)))
    }

    /// The port's own address of a family.
    pub fn address(&self, id: PortId, family: Family) -> Option<Addr> {
        self.get(id).address(family)
    }

    /// Largest IP packet that leaves through the port, in bytes.
    pub fn mtu(&self, id: PortId) -> u16 {
        self.get(id).mtu
    }
}

/// Finds every problem. What depends on ports is looked at only when the ports are sound, since
/// everything else would follow from the first mistake.
pub fn plan(
    compiler: &Compiler,
    strictness: Strictness,
    desired: &Desired,
    topology: &Topology,
    lookup: &Arc<Lookup>,
) -> Result<Plan, Vec<Problem>> {
    let known = match strictness {
        Strictness::New => &[][..],
        Strictness::Running => &compiler.memo.compiled.tables.ports,
    };
    let mut ports = ports::plan(&compiler.ports, known, desired, topology)?;
    let names = compiler.memo.vlan_names(&compiler.ports, desired, topology);
    vlans::append(&mut ports, &names, topology);
    let linux = LinuxOwned::new(topology);
    let services = &desired.services;
    let frontends: Vec<_> =
        services.iter().map(|service| services::frontends(desired, service, &ports)).collect();
    let backends = backends::plan(frontends.iter().flatten(), &ports, lookup);
    let sources = snat::plan(desired, &linux, &backends);
    let mut troubles =
        Troubles { host: std::mem::take(&mut ports.unusable), services: BTreeMap::new() };
    for (index, service) in services.iter().enumerate() {
        let found = reach::troubles(desired, service, topology, &ports, lookup);
        if !found.is_empty() {
            troubles.services.insert(index, found);
        }
    }
    troubles.host.extend(snat::service_ports_clash(desired, &sources));
    let mut problems = Vec::new();
    let subnets = services::subnets(topology, &ports);
    for service in services {
        services::vips_are_free(service, &linux, &mut problems);
        services::vips_are_hosts(service, &subnets, &mut problems);
    }
    let routers = routers::plan(desired, &linux, &ports, &mut problems);
    problems.extend(too_many(frontends.iter().flatten().count(), &backends));
    if strictness == Strictness::New {
        problems.extend(troubles.take_errors());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Plan {
        ports,
        lookup: Arc::clone(lookup),
        snat: sources.addresses,
        retired_snat: HashSet::new(),
        sources: sources.uses,
        hops: backends.hops(lookup),
        backends,
        frontends,
        routers,
        apart: Arc::clone(&desired.apart),
        troubles,
    })
}

/// Most frontends, and most backends: ids are 20 bits wide, and tombstones need some of them.
pub const MOST: usize = FrontendId::INDEX_MAX - TOMBSTONES_MAX;

fn too_many(frontends: usize, backends: &Backends) -> Option<Problem> {
    let most = frontends.max(backends.by_key.len());
    let what = format!("{most} (VIP, port) pairs or backends; one gateway holds {MOST}");
    (most > MOST).then(|| Problem::error(None, what).help("spread the services over gateways"))
}
