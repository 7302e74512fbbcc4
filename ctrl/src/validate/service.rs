use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use dataplane::addr::Proto;
use dataplane::tables::maglev::{TABLE_SIZES, auto_size};

use super::address;
use crate::desired::{Announce, BackendSettings, Desired, Service, TableSize};
use crate::problem::Problem;

/// Slots per backend below which the spread of new flows becomes visibly uneven (Cilium's rule
/// of thumb: 1 % of difference).
const SLOTS_PER_BACKEND: usize = 100;

/// What can be wrong with a service on its own.
pub fn check(service: &Service, desired: &Desired, problems: &mut Vec<Problem>) {
    for vip in &service.vips {
        address::check(vip, "VIP", problems);
    }
    address::twice(&service.vips, "VIP", problems);
    for addr in &service.snat_addresses {
        address::check(addr, "SNAT address", problems);
    }
    address::twice(&service.snat_addresses, "SNAT address", problems);
    for backend in &service.backends {
        address::check(&backend.address, "backend", problems);
    }
    backends_twice(service, problems);
    families(service, problems);
    let who = format!("service `{}`", service.name.value);
    announced_on_ports(&service.announce, &who, desired, problems);
    health(service, problems);
    for v4 in [true, false] {
        table_size(service, desired, v4, problems);
    }
}

/// Two entries are one backend when packets of a port of the service end up at the same place,
/// however that is written.
fn backends_twice(service: &Service, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<(usize, SocketAddr), &BackendSettings> = HashMap::new();
    for backend in &service.backends {
        let address = &backend.address;
        // All ports are gone through, so that a third entry meets each of the two before it.
        let mut first = None;
        for (index, at) in ends(service, backend) {
            let met = seen.insert((index, at), backend);
            first = first.or_else(|| met.map(|met| (met, at)));
        }
        let Some((met, at)) = first else { continue };
        let (addr, name) = (address.value, &service.name.value);
        let mut what = format!("backend {addr} of service `{name}` is listed twice");
        if met.port != backend.port {
            what += &format!(": both entries are {at}");
        }
        problems.push(address::again(address.place(), what, met.address.place()));
    }
}

/// Where packets of each port of a service end up at a backend. A service without ports is
/// reported as such; its backends are compared as they are written.
fn ends(service: &Service, backend: &BackendSettings) -> Vec<(usize, SocketAddr)> {
    let targets = service.ports.iter().map(|port| port.target);
    let mut ports: Vec<_> = targets.map(|target| backend.port.unwrap_or(target)).collect();
    if ports.is_empty() {
        ports.push(backend.port.unwrap_or_default());
    }
    let at = |port| SocketAddr::new(backend.address.value, port);
    ports.into_iter().map(at).enumerate().collect()
}

/// Packets keep their family on the way through.
fn families(service: &Service, problems: &mut Vec<Problem>) {
    let name = &service.name.value;
    let vip_of = |v4: bool| service.vips.iter().any(|vip| vip.is_ipv4() == v4);
    for backend in &service.backends {
        let address = &backend.address;
        if !service.vips.is_empty() && !vip_of(address.is_ipv4()) {
            let what = format!(
                "backend {} of service `{name}` is {}, but no VIP is",
                address.value,
                family(address.value)
            );
            let help = "packets are not translated between IPv4 and IPv6: add a VIP of that family or remove the backend";
            problems.push(Problem::error(address.place(), what).help(help));
        }
    }
    for vip in &service.vips {
        let same = service.backends.iter().any(|b| b.address.is_ipv4() == vip.is_ipv4());
        if !service.backends.is_empty() && !same {
            let what = format!(
                "VIP {} of service `{name}` is {}, but no backend is",
                vip.value,
                family(vip.value)
            );
            let help = "packets are not translated between IPv4 and IPv6: add a backend of that family or remove the VIP";
            problems.push(Problem::error(vip.place(), what).help(help));
        }
    }
    for addr in &service.snat_addresses {
        if !service.vips.is_empty() && !vip_of(addr.is_ipv4()) {
            let what = format!(
                "SNAT address {} of service `{name}` is {}, but no VIP is",
                addr.value,
                family(addr.value)
            );
            problems.push(Problem::warning(addr.place(), what).help("it will not be used"));
        }
    }
}

/// What is announced, is announced on ports of ours.
pub fn announced_on_ports(
    announce: &Announce,
    who: &str,
    desired: &Desired,
    problems: &mut Vec<Problem>,
) {
    let Announce::Ports(names) = announce else { return };
    // A port whose name could not be read may be the one that is meant.
    if desired.ports.iter().any(|port| port.name.is_empty()) {
        return;
    }
    for name in names {
        // `eth0.7`: a VLAN of `eth0`, which may come and go.
        let of_vlan = |port: &str| name.strip_prefix(port).is_some_and(|id| id.starts_with('.'));
        if desired.ports.iter().any(|port| port.name == *name || of_vlan(&port.name)) {
            continue;
        }
        let known: Vec<&str> = desired.ports.iter().map(|port| port.name.as_str()).collect();
        let what = format!("{who} is announced on {}, which is not a [[port]]", name.value);
        let help = format!("ports are: {}", known.join(", "));
        problems.push(Problem::error(name.place(), what).help(help));
    }
}

/// A check that asks a port has one to ask.
fn health(service: &Service, problems: &mut Vec<Problem>) {
    let Some(check) = &service.health else { return };
    let kind = &check.probe.kind;
    let tcp = service.ports.iter().any(|port| port.proto == Proto::Tcp);
    // A service without any port is reported as such.
    if kind.needs_port() && check.port.is_none() && !tcp && !service.ports.is_empty() {
        let name = &service.name.value;
        let what = format!("service `{name}` has no TCP port that its check could ask");
        let help = "add `port` to [service.health], or write kind = \"icmp\"";
        problems.push(Problem::error(service.name.place(), what).help(help));
    }
}

fn table_size(service: &Service, desired: &Desired, v4: bool, problems: &mut Vec<Problem>) {
    let backends = service.backends.iter().filter(|b| b.address.is_ipv4() == v4).count();
    let wanted = service.table_size.as_ref().unwrap_or(&desired.maglev.table_size);
    let size = match wanted.value {
        TableSize::Auto => auto_size(backends),
        TableSize::Fixed(size) => size,
    } as usize;
    let name = &service.name.value;
    let place = service.table_size.as_ref().map_or(service.name.place(), |size| size.place());
    if backends >= size {
        let what = format!(
            "a Maglev table of {size} slots is too small for the {backends} backends of service `{name}`"
        );
        let fits = TABLE_SIZES.iter().find(|size| **size as usize > backends * SLOTS_PER_BACKEND);
        let help = match fits {
            Some(fits) => format!("write table_size = {fits}"),
            None => "split the service".into(),
        };
        problems.push(Problem::error(place, what).help(help));
    } else if backends * SLOTS_PER_BACKEND > size && wanted.value != TableSize::Auto {
        let what = format!(
            "a Maglev table of {size} slots spreads {backends} backends of service `{name}` unevenly"
        );
        let help = format!(
            "{SLOTS_PER_BACKEND} slots a backend keep shares within about 1 %: table_size = \"auto\" does that where it can"
        );
        problems.push(Problem::warning(place, what).help(help));
    }
}

fn family(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "IPv4" } else { "IPv6" }
}
