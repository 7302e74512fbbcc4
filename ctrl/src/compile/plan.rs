use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use dataplane::addr::{Addr, Family};
use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::{FrontendId, Port, PortId, PortMask, SnatAddress, Vlan};

use super::linux::LinuxOwned;
use super::routes::Lookup;
use super::{
    BackendKey, Compiler, Strictness, TOMBSTONES_MAX, ports, reach, services, snat, vlans,
};
use crate::desired::Desired;
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
    pub backends: HashMap<BackendKey, BackendPlan>,
    /// Their keys in the order of the source.
    pub backend_order: Vec<BackendKey>,
    pub frontends: Vec<FrontendPlan>,
    pub warnings: Vec<Problem>,
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

/// A backend, whichever services it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendPlan {
    /// Some service gives it new flows.
    pub active: bool,
    pub default_snat: Option<Addr>,
}

/// One (VIP, port, protocol).
#[derive(Debug)]
pub struct FrontendPlan {
    pub key: FrontendKey,
    /// Index into the services of `Desired`.
    pub service: usize,
    pub mode: Mode,
    pub snat: Vec<Addr>,
    /// Backends with their weights, drained ones included.
    pub members: Vec<(BackendKey, u16)>,
    pub announce: PortMask,
    /// Slots of the Maglev table.
    pub table_size: u32,
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
        Strictness::Running => &compiler.memo.tables.ports,
    };
    let mut ports = ports::plan(&compiler.ports, known, desired, topology)?;
    let names = compiler.memo.vlan_names(&compiler.ports, desired, topology);
    vlans::append(&mut ports, &names, topology);
    let mut problems = Vec::new();
    let paths = reach::paths(desired, topology, &ports, lookup, &mut problems);
    let linux = LinuxOwned::new(topology);
    let sources = snat::plan(desired, &linux, &ports, &paths, &mut problems);
    if strictness == Strictness::Running {
        problems = problems.into_iter().map(Problem::demoted).collect();
    }
    let services = services::plan(desired, &linux, &ports, &sources, &mut problems);
    let mut warnings = std::mem::take(&mut ports.unusable);
    for problem in problems.extract_if(.., |problem| !problem.is_error()) {
        warnings.push(problem);
    }
    problems.extend(too_many(&services));
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Plan {
        ports,
        lookup: Arc::clone(lookup),
        snat: sources.addresses,
        retired_snat: HashSet::new(),
        backends: services.backends,
        backend_order: services.order,
        frontends: services.frontends,
        warnings,
    })
}

/// Ids are 20 bits wide; tombstones need some of them.
fn too_many(services: &services::Services) -> Option<Problem> {
    let limit = FrontendId::INDEX_MAX - TOMBSTONES_MAX;
    let most = services.frontends.len().max(services.backends.len());
    let what = format!("{most} (VIP, port) pairs or backends; one gateway holds {limit}");
    (most > limit).then(|| Problem::error(None, what).help("spread the services over gateways"))
}
