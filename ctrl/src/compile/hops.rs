use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use dataplane::addr::{Addr, Mac};
use dataplane::tables::registry::Registry;
use dataplane::tables::{Hop, HopId};

use super::WantedNeighbour;
use super::backends::HopKey;
use super::plan::PortPlan;
use super::uses::Uses;
use crate::topology::Topology;

/// Neighbours taken over from the kernel without our needing them (on-link clients).
pub const NEIGHBOURS_MAX: usize = 4_096;

/// Wanted hops as entries for the kernel.
pub fn neighbours(wanted: &Uses<HopKey>, ports: &PortPlan) -> Arc<[WantedNeighbour]> {
    let entry = |(port, addr): &HopKey| WantedNeighbour {
        ifindex: ports.ifindex[usize::from(port.0)],
        addr: addr.to_ip(),
        managed: true,
    };
    wanted.keys().map(entry).collect()
}

/// Every hop with its id, by index: the wanted ones, then what the kernel knows beside them.
pub fn collect(
    registry: &mut Registry<HopKey, Hop>,
    wanted: &Uses<HopKey>,
    topology: &Topology,
    ports: &PortPlan,
) -> Vec<(HopId, Hop)> {
    let macs = macs(topology, ports);
    let mut others: Vec<HopKey> =
        macs.keys().filter(|key| !wanted.contains(key)).copied().collect();
    // Those that have an id keep it when there are too many: flows cached them.
    others.sort_unstable_by_key(|key| (registry.get(key).is_none(), *key));
    others.truncate(NEIGHBOURS_MAX);
    let keys: HashSet<HopKey> = wanted.keys().copied().chain(others).collect();
    release(registry, &keys);
    let mut sorted: Vec<HopKey> = keys.into_iter().collect();
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

fn macs(topology: &Topology, ports: &PortPlan) -> HashMap<HopKey, Mac> {
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

fn release(registry: &mut Registry<HopKey, Hop>, keep: &HashSet<HopKey>) {
    let mut gone: Vec<HopKey> =
        registry.iter().map(|(key, _)| *key).filter(|key| !keep.contains(key)).collect();
    // So that ids do not depend on chance.
    gone.sort_unstable();
    for key in gone {
        registry.release(&key);
    }
}
