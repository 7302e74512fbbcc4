use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use dataplane::addr::{Addr, Mac};
use dataplane::tables::registry::Registry;
use dataplane::tables::{Hop, HopId, PortId, Route};

use super::WantedNeighbour;
use super::plan::PortPlan;
use super::routes::Lookup;
use crate::topology::Topology;

/// Neighbours taken over from the kernel without our needing them (on-link clients).
pub const NEIGHBOURS_MAX: usize = 4_096;

type Key = (PortId, Addr);

/// Next hops of backends and the routers of our routes: the kernel shall keep them fresh.
pub fn wanted(backends: impl Iterator<Item = Addr>, lookup: &Lookup) -> BTreeSet<Key> {
    let hop = |addr| {
        let Route { port, gateway, .. } = lookup.route(addr)?;
        Some((port?, gateway.unwrap_or(addr)))
    };
    let routers = lookup.routes.iter().filter_map(|(_, route)| Some((route.port?, route.gateway?)));
    backends.filter_map(hop).chain(routers).collect()
}

/// The same as entries for the kernel.
pub fn neighbours(wanted: &BTreeSet<Key>, ports: &PortPlan) -> Vec<WantedNeighbour> {
    let entry = |(port, addr): &Key| WantedNeighbour {
        ifindex: ports.ifindex[usize::from(port.0)],
        addr: addr.to_ip(),
        managed: true,
    };
    wanted.iter().map(entry).collect()
}

/// Every hop with its id, by index: the wanted ones, then what the kernel knows beside them.
pub fn collect(
    registry: &mut Registry<Key, Hop>,
    wanted: &BTreeSet<Key>,
    topology: &Topology,
    ports: &PortPlan,
) -> Vec<(HopId, Hop)> {
    let macs = macs(topology, ports);
    let mut others: Vec<Key> = macs.keys().filter(|key| !wanted.contains(key)).copied().collect();
    // Those that have an id keep it when there are too many: flows cached them.
    others.sort_unstable_by_key(|key| (registry.get(key).is_none(), *key));
    others.truncate(NEIGHBOURS_MAX);
    let keys: HashSet<Key> = wanted.iter().copied().chain(others).collect();
    release(registry, &keys);
    let mut sorted: Vec<Key> = keys.into_iter().collect();
    sorted.sort_unstable();
    let mut hops: Vec<_> = sorted
        .into_iter()
        .filter_map(|key| {
            let (port, addr) = key;
            Some((registry.id_of(&key)?, Hop::new(port, addr, macs.get(&key).copied())))
        })
        .collect();
    hops.sort_unstable_by_key(|(id, _)| id.index());
    hops
}

fn macs(topology: &Topology, ports: &PortPlan) -> HashMap<Key, Mac> {
    let usable = |ip: &IpAddr| !ip.is_multicast() && !ip.is_unspecified();
    topology
        .neighbours
        .iter()
        .filter(|neighbour| usable(&neighbour.addr))
        .filter_map(|neighbour| {
            let port = ports.by_ifindex(neighbour.ifindex)?;
            Some(((port, Addr::from(neighbour.addr)), neighbour.mac?))
        })
        .collect()
}

fn release(registry: &mut Registry<Key, Hop>, keep: &HashSet<Key>) {
    let gone: Vec<Key> =
        registry.iter().map(|(key, _)| *key).filter(|key| !keep.contains(key)).collect();
    for key in gone {
        registry.release(&key);
    }
}
