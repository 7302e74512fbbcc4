use std::net::IpAddr;

use dataplane::addr::{Addr, Mac};
use dataplane::tables::Port;

use super::plan::PortPlan;
use crate::desired::{Desired, PortSettings};
use crate::problem::Problem;
use crate::topology::{Link, Topology};

/// Finds the link of every port. Ids follow `known`, the names of the first compilation: flows,
/// sockets and counters are bound to them until the process ends. `running` are the ports in force,
/// where a host that changed must not stop everything.
pub fn plan(
    known: &[Box<str>],
    running: &[Port],
    desired: &Desired,
    topology: &Topology,
) -> Result<PortPlan, Vec<Problem>> {
    let mut problems = changed(known, desired);
    let mut ordered: Vec<&PortSettings> = desired.ports.iter().collect();
    if !known.is_empty() {
        ordered.sort_by_key(|port| known.iter().position(|name| **name == **port.name));
    }
    let mut plan = PortPlan::default();
    for settings in ordered {
        match usable(settings, desired.worker.count, topology) {
            Ok(link) => {
                plan.ifindex.push(link.ifindex);
                plan.ports.push(port(link, topology));
            }
            // A port in force stays what it was while it is down or gone; its routes went with it.
            Err(problem) => match running.iter().find(|port| *port.name == **settings.name) {
                Some(port) => {
                    let link = topology.link(&settings.name);
                    plan.ifindex.push(link.map_or(0, |link| link.ifindex));
                    plan.ports.push(port.clone());
                    plan.unusable.push(problem.demoted());
                }
                None => problems.push(problem),
            },
        }
    }
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

/// The set of ports is bound to sockets and memory at start.
fn changed(known: &[Box<str>], desired: &Desired) -> Vec<Problem> {
    if known.is_empty() {
        return Vec::new();
    }
    let wanted = |name: &str| desired.ports.iter().any(|port| *port.name.value == *name);
    let added = desired
        .ports
        .iter()
        .filter(|port| !known.iter().any(|name| **name == *port.name.value))
        .map(|port| {
            let what = format!("port {} cannot be added while running", port.name.value);
            Problem::error(port.name.place(), what)
        });
    let removed = known
        .iter()
        .filter(|name| !wanted(name))
        .map(|name| Problem::error(None, format!("port {name} cannot be removed while running")));
    added
        .chain(removed)
        .map(|problem| {
            problem.help("sockets are bound at start: restart portreeve to change ports")
        })
        .collect()
}

fn usable<'t>(
    settings: &PortSettings,
    workers: usize,
    topology: &'t Topology,
) -> Result<&'t Link, Problem> {
    let name = &settings.name;
    let wrong = |what: String| Problem::error(name.place(), what);
    if topology.remade.iter().any(|link| link.name == name.value) {
        let what = format!("port {} was deleted and made anew", name.value);
        return Err(wrong(what).help("its sockets were bound at start: restart portreeve"));
    }
    let Some(link) = topology.link(name) else {
        let all: Vec<_> = topology.links.iter().map(|link| link.name.as_str()).collect();
        let help = match all.as_slice() {
            [] => "this host has no interfaces at all".to_owned(),
            all => format!("interfaces are: {}", all.join(", ")),
        };
        return Err(wrong(format!("port {} does not exist on this host", name.value)).help(help));
    };
    if !link.up {
        return Err(wrong(format!("port {} is down", name.value))
            .help(format!("run `ip link set {} up`", name.value)));
    }
    if link.mac == Mac::default() {
        return Err(wrong(format!("port {} has no Ethernet address", name.value))
            .help("portreeve drives Ethernet interfaces; tunnels and loopback are not"));
    }
    let queues = link.rx_queues.max(1) as usize;
    if queues < workers {
        let what = format!(
            "port {} has {queues} receive queue{}, but there are {workers} workers and each needs one",
            name.value,
            if queues == 1 { "" } else { "s" }
        );
        return Err(wrong(what).help(format!(
            "run `ethtool -L {} combined {workers}`, or write worker.count = {queues}",
            name.value
        )));
    }
    Ok(link)
}

/// A link as packets see it.
pub fn port(link: &Link, topology: &Topology) -> Port {
    let first = |v4: bool| {
        topology
            .addresses
            .iter()
            .filter(|a| a.ifindex == link.ifindex && a.global && a.permanent)
            .map(|a| a.net.addr())
            .find(|addr| matches!(addr, IpAddr::V4(_)) == v4)
            .map(Addr::from)
    };
    Port {
        name: link.name.as_str().into(),
        mac: link.mac,
        mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        ipv4: first(true),
        ipv6: first(false),
    }
}
