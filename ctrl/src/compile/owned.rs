use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dataplane::addr::{Addr, Proto};
use dataplane::tables::registry::Registry;
use dataplane::tables::{NatBackends, Owned, PortId, PortMask, SnatAddress, Vip};

use super::SnatKey;
use super::plan::{FrontendPlan, Plan, PortPlan};
use crate::desired::apart::Apart;
use crate::steering::{PortRange, Share, Steering};
use crate::topology::Topology;

/// Every address that is ours, by address.
pub fn addresses<'v>(
    plan: &Plan,
    retired: impl Iterator<Item = &'v Addr>,
    snat_ids: &Registry<SnatKey, SnatAddress>,
) -> BTreeMap<Addr, Owned> {
    let mut owned: BTreeMap<Addr, Owned> = BTreeMap::new();
    for FrontendPlan { key, announce, .. } in plan.frontends.iter().flatten() {
        let entry = owned.entry(key.addr).or_default();
        let before = entry.vip.map_or(PortMask::NONE, |vip| vip.announce);
        let announce = PortMask(before.0 | announce.0);
        entry.vip = Some(Vip { announce, retired: false });
        entry.announce = announce;
    }
    for addr in retired {
        let entry = owned.entry(*addr).or_default();
        entry.vip = Some(Vip { announce: PortMask::NONE, retired: true });
    }
    for (addr, source) in &plan.snat {
        let entry = owned.entry(*addr).or_default();
        entry.snat = snat_ids.get(&(*addr, source.shared));
        if !source.shared && !plan.retired_snat.contains(addr) {
            entry.announce = plan.ports.all();
        }
    }
    for (addr, announce) in &plan.routers {
        let entry = owned.entry(*addr).or_default();
        entry.announce = PortMask(entry.announce.0 | announce.0);
    }
    silence(&mut owned, &plan.apart);
    owned
}

/// Whoever asks for an address that was released gets no answer from us.
fn silence(owned: &mut BTreeMap<Addr, Owned>, apart: &Apart) {
    for (addr, _) in apart.iter().filter(|(_, state)| !state.announced) {
        let Some(entry) = owned.get_mut(addr) else { continue };
        entry.announce = PortMask::NONE;
        entry.vip = entry.vip.map(|vip| Vip { announce: PortMask::NONE, ..vip });
    }
}

/// What the steering program shall take: VIPs, router addresses and our own SNAT addresses wholly,
/// those that Linux owns by port range, and what backends in mode `nat` say.
pub fn steering(
    owned: &BTreeMap<Addr, Owned>,
    plan: &Plan,
    topology: &Topology,
    nat_backends: &NatBackends,
) -> Steering {
    let share = |addr: &Addr, owned: &Owned| {
        let source = plan.snat.get(addr).filter(|source| source.shared && owned.vip.is_none());
        source.map_or(Share::Whole, ranges)
    };
    let let_go = |addr: &Addr| plan.apart.get(addr).is_some_and(|state| !state.steered);
    let taken = owned.iter().filter(|(addr, _)| !let_go(addr));
    let global = topology.addresses.iter().filter(|held| held.global);
    Steering {
        addresses: taken.map(|(addr, owned)| (*addr, share(addr, owned))).collect(),
        nat_backends: nat_backends.iter().map(|(end, _)| *end).collect(),
        host: global.map(|held| Addr::from(held.net.addr())).collect(),
    }
}

fn ranges(source: &SnatAddress) -> Share {
    let (first, last) = source.ports.clone().into_inner();
    Share::Ranges([Proto::Tcp, Proto::Udp].map(|proto| PortRange { proto, first, last }).into())
}

/// Addresses that are announced somewhere, with the ports.
pub fn announce(owned: &BTreeMap<Addr, Owned>) -> Arc<[(Addr, PortMask)]> {
    let announced = owned.iter().filter(|(_, owned)| owned.announce != PortMask::NONE);
    announced.map(|(addr, owned)| (*addr, owned.announce)).collect()
}

/// Solicited-node groups of the announced IPv6 addresses, with the interface of each: ff02::1:ff00:0/104
/// and the last 24 bits of the address (RFC 4291 section 2.7.1).
pub fn groups(announce: &[(Addr, PortMask)], ports: &PortPlan) -> Arc<[(u32, Ipv6Addr)]> {
    let mut groups = BTreeSet::new();
    for (addr, mask) in announce {
        let IpAddr::V6(ip) = addr.to_ip() else { continue };
        let [.., a, b, c] = ip.octets();
        let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
        let members = (0..).map(PortId).zip(&ports.ifindex);
        let announced = members.filter(|(port, ifindex)| mask.contains(*port) && **ifindex != 0);
        groups.extend(announced.map(|(_, ifindex)| (*ifindex, group)));
    }
    groups.into_iter().collect()
}
