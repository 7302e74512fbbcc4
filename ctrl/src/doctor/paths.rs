use std::collections::BTreeSet;
use std::net::IpAddr;

use dataplane::addr::Addr;
use dataplane::tables::route::HopRef;
use dataplane::tables::{PortId, Tables};

use super::facts::Wanted;
use super::{Facts, Finding};
use crate::problem::Problem;

pub(super) fn examine(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(wanted) = &facts.wanted else { return };
    found.extend(wanted.problems.iter().map(Finding::from));
    vips(facts, wanted, found);
    routers(facts, wanted, found);
    neighbours(facts, wanted, found);
    if let Some(compiled) = &wanted.compiled {
        mtus(&compiled.tables, wanted, found);
    }
    if wanted.problems.is_empty() {
        let services = wanted.desired.services.len();
        found.push(Finding::fine(
            "config",
            format!("the configuration fits this host: {services} services"),
        ));
    }
}

impl From<&Problem> for Finding {
    /// What `check` says of a configuration.
    fn from(problem: &Problem) -> Self {
        let place = problem.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
        let what = format!("{place}{}", problem.what);
        let help = problem.help.clone().unwrap_or_else(|| "see `portreeve check`".into());
        if problem.is_error() {
            Self::error("config", what, help)
        } else {
            Self::warning("config", what, help)
        }
    }
}

/// Nobody on a link asks for an address outside of its subnets: a host sends it to its router.
fn vips(facts: &Facts, wanted: &Wanted, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for service in &wanted.desired.services {
        let names = wanted.desired.announced_on(service);
        for vip in service.vips.iter().map(|vip| vip.value) {
            let on_link = facts.topology.is_on_link(vip, &names).unwrap_or(true);
            if on_link || !seen.insert(vip) {
                continue;
            }
            found.push(Finding::warning(
                "vip_outside_subnets",
                format!(
                    "VIP {vip} of service `{}` lies in no subnet of {}: hosts there do not ask for it, they send it to a router",
                    service.name.value,
                    names.join(", ")
                ),
                "have the router send it to this host and write announce = \"none\", or give a port an address of its subnet",
            ));
        }
    }
}

/// What backends send to others than clients is the kernel's to forward.
fn routers(facts: &Facts, wanted: &Wanted, found: &mut Vec<Finding>) {
    for router in &wanted.desired.routers {
        let address = router.address.value;
        let (family, name) = match address {
            IpAddr::V4(_) => (0, "net.ipv4.ip_forward"),
            IpAddr::V6(_) => (1, "net.ipv6.conf.all.forwarding"),
        };
        if facts.system.forwards[family] == Some(false) {
            found.push(Finding::warning(
                "forwarding_off",
                format!("{address} is a router address, but {name} is 0: what backends send to others than clients of a service ends here"),
                format!("run `sysctl -w {name}=1`"),
            ));
        }
    }
}

/// Entries that the kernel keeps for us, but has no MAC for.
fn neighbours(facts: &Facts, wanted: &Wanted, found: &mut Vec<Finding>) {
    let Some(compiled) = &wanted.compiled else { return };
    let mut dead = 0;
    for neighbour in compiled.wanted_neighbours.iter() {
        let entry = facts
            .topology
            .neighbours
            .iter()
            .find(|entry| entry.ifindex == neighbour.ifindex && entry.addr == neighbour.addr);
        if entry.is_none_or(|entry| entry.mac.is_some()) {
            continue;
        }
        dead += 1;
        let link = facts.topology.links.iter().find(|link| link.ifindex == neighbour.ifindex);
        let link = link.map_or("?", |link| link.name.as_str());
        let (addr, asked) = (neighbour.addr, if neighbour.addr.is_ipv4() { "ARP" } else { "NDP" });
        let used = behind(wanted, addr);
        found.push(Finding::error(
            "neighbour_dead",
            format!("{addr} ({used}) does not answer {asked} on {link}: packets to it are dropped as hop_unresolved"),
            format!("is it up, on this link, with this address? `ip neigh show {addr}`, `arping -I {link} {addr}`"),
        ));
    }
    if dead == 0 && facts.status.is_some() {
        found.push(Finding::fine("neighbours", "every next hop answers, or was not asked yet"));
    }
}

/// What a next hop is to the configuration.
fn behind(wanted: &Wanted, addr: IpAddr) -> String {
    let services = wanted.desired.services.iter();
    let users: Vec<&str> = services
        .filter(|service| service.backends.iter().any(|backend| backend.address.value == addr))
        .map(|service| &*service.name.value)
        .collect();
    match users.as_slice() {
        [] => "a router".into(),
        [first, ..] => format!("a backend of service `{first}`"),
    }
}

/// A packet that comes in whole may not go out whole.
fn mtus(tables: &Tables, wanted: &Wanted, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for service in &wanted.desired.services {
        for name in wanted.desired.announced_on(service) {
            let Some(at) = tables.ports.iter().position(|port| &*port.name == name) else {
                continue;
            };
            let client_side = &tables.ports[at];
            for backend in &service.backends {
                let addr = backend.address.value;
                let Some((port, mtu)) = way(tables, addr) else { continue };
                let out = tables.port(port);
                let same = usize::from(port.0) == at;
                if same || mtu == client_side.mtu || !seen.insert((at, port, mtu)) {
                    continue;
                }
                found.push(Finding::warning(
                    "mtu_mismatch",
                    format!(
                        "packets of {} bytes pass through {name}, but only {mtu} on the way to backend {addr} ({}): the larger are refused (too_big), and who ignores that stalls",
                        client_side.mtu, out.name
                    ),
                    "give ports and routes of both sides one MTU, or lower the larger one on hosts and ports",
                ));
            }
        }
    }
}

fn way(tables: &Tables, addr: IpAddr) -> Option<(PortId, u16)> {
    let addr = Addr::from(addr);
    let port = tables.routing.route(addr)?.port?;
    match tables.routing.resolve(addr, |port| tables.port(port).mtu) {
        HopRef::Via { mtu, .. } | HopRef::Ask { mtu, .. } => Some((port, mtu)),
        HopRef::Unreachable => None,
    }
}
