use dataplane::addr::Mac;
use dataplane::limits::PORTS_MAX;
use dataplane::tables::{Port, PortId, Vlan};

use super::plan::PortPlan;
use super::ports::port;
use crate::problem::Problem;
use crate::topology::{Link, Topology, VlanLink};

/// Names of the VLANs on the links of `ports`, by their ids, which follow those of the ports. One that
/// has an id keeps it, also while its device is gone: next hops are bound to it.
pub fn names(known: &[Box<str>], ports: &[&str], topology: &Topology) -> Vec<Box<str>> {
    let parents: Vec<u32> =
        ports.iter().filter_map(|name| Some(topology.link(name)?.ifindex)).collect();
    let on_ports = topology.vlans.iter().filter(|vlan| parents.contains(&vlan.parent));
    let mut new: Vec<&Link> = on_ports
        .filter_map(|vlan| topology.links.iter().find(|link| link.ifindex == vlan.ifindex))
        .filter(|link| !ports.contains(&link.name.as_str()))
        .filter(|link| !known.iter().any(|name| **name == *link.name))
        .collect();
    new.sort_by_key(|link| link.ifindex);
    known.iter().cloned().chain(new.into_iter().map(|link| link.name.as_str().into())).collect()
}

/// Appends VLANs to the ports that they are on.
pub fn append(plan: &mut PortPlan, names: &[Box<str>], topology: &Topology) {
    for name in names {
        let id = PortId(plan.ports.len() as u8);
        if plan.ports.len() >= PORTS_MAX {
            let what = format!("VLAN {name} is left out: there are {PORTS_MAX} ports and VLANs");
            plan.unusable.push(Problem::warning(None, what));
            continue;
        }
        match found(plan, name, topology) {
            Some((link, vlan, parent)) => {
                plan.vlans.push(Vlan { port: id, parent, id: vlan.id });
                plan.ifindex.push(link.ifindex);
                plan.ports.push(port(link, topology));
            }
            None => {
                let (name, mac) = (name.clone(), Mac::default());
                plan.ifindex.push(0);
                plan.ports.push(Port { name, mac, mtu: 1_500, ipv4: None, ipv6: None });
            }
        }
    }
}

/// The device of a VLAN, when it is there and up, and the port that it is on.
fn found<'t>(
    plan: &PortPlan,
    name: &str,
    topology: &'t Topology,
) -> Option<(&'t Link, &'t VlanLink, PortId)> {
    let link = topology.link(name).filter(|link| link.up)?;
    let vlan = topology.vlans.iter().find(|vlan| vlan.ifindex == link.ifindex)?;
    Some((link, vlan, plan.by_ifindex(vlan.parent)?))
}
