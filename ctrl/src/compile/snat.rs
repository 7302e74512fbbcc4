use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use dataplane::addr::{Addr, Family};
use dataplane::tables::SnatAddress;
use dataplane::tables::frontend::Mode;

use super::linux::LinuxOwned;
use super::plan::PortPlan;
use super::reach::Paths;
use crate::desired::{Desired, Located, Service};
use crate::problem::Problem;

/// Every source address, and which backend uses which by default.
#[derive(Debug, Default)]
pub struct Sources {
    pub addresses: BTreeMap<Addr, SnatAddress>,
    /// By backend address: the address of the port that it is reached through.
    pub default_of: HashMap<Addr, Addr>,
}

/// Source addresses that a service names for a family: its own, else the gateway's, else none
/// (each backend has its default).
pub fn named(desired: &Desired, service: &Service, family: Family) -> Vec<Addr> {
    let of_family = |list: &[Located<IpAddr>]| -> Vec<Addr> {
        let all = list.iter().map(|addr| Addr::from(addr.value));
        all.filter(|addr| addr.family() == family).collect()
    };
    let own = of_family(&service.snat_addresses);
    if own.is_empty() { of_family(&desired.snat.addresses) } else { own }
}

/// Gathers every source address with its port range.
pub fn plan(
    desired: &Desired,
    linux: &LinuxOwned<'_>,
    ports: &PortPlan,
    paths: &Paths,
    problems: &mut Vec<Problem>,
) -> Sources {
    let mut sources = Sources::default();
    let own = desired.services.iter().flat_map(|service| &service.snat_addresses);
    for addr in desired.snat.addresses.iter().chain(own) {
        add(&mut sources, desired, linux, addr.value);
    }
    for service in &desired.services {
        defaults(service, desired, ports, paths, &mut sources, problems);
    }
    let used: Vec<_> = sources.default_of.values().copied().collect();
    for addr in used {
        add(&mut sources, desired, linux, addr.to_ip());
    }
    service_ports_clash(desired, &sources, problems);
    sources
}

fn add(sources: &mut Sources, desired: &Desired, linux: &LinuxOwned<'_>, ip: IpAddr) {
    let addr = Addr::from(ip);
    sources.addresses.entry(addr).or_insert_with(|| {
        let shared = linux.interface(ip).is_some();
        let span = if shared { &desired.snat.shared_ports } else { &desired.snat.ports };
        SnatAddress { addr, ports: span.value.clone(), shared }
    });
}

/// The default source of each backend of a service that names none of its family.
fn defaults(
    service: &Service,
    desired: &Desired,
    ports: &PortPlan,
    paths: &Paths,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) {
    for family in [Family::V4, Family::V6] {
        if !named(desired, service, family).is_empty() {
            continue;
        }
        for backend in &service.backends {
            let addr = Addr::from(backend.address.value);
            let Some(port) = paths.get(&addr).filter(|_| addr.family() == family) else { continue };
            match ports.address(*port, family) {
                Some(source) => drop(sources.default_of.insert(addr, source)),
                None => problems.push(unless_needed(
                    service.mode,
                    Problem::error(
                        backend.address.place(),
                        format!(
                            "port {} has no global, permanent {} address to be the source towards backend {addr} of service `{}`",
                            ports.get(*port).name,
                            family_name(family),
                            service.name.value
                        ),
                    )
                    .help("give the port an address, or name one in snat.addresses or snat_addresses"),
                )),
            }
        }
    }
}

/// In other modes only hairpin clients are served from an address of ours.
fn unless_needed(mode: Mode, problem: Problem) -> Problem {
    match mode {
        Mode::Snat => problem,
        Mode::Nat | Mode::DsrL2 => problem.demoted(),
    }
}

/// A VIP that is a source too must not use a service's port as a source port: a reply could not
/// be told from a request.
fn service_ports_clash(desired: &Desired, sources: &Sources, problems: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for service in &desired.services {
        for vip in &service.vips {
            let Some(source) = sources.addresses.get(&Addr::from(vip.value)) else { continue };
            for port in &service.ports {
                let clash = source.ports.contains(&port.port);
                if !clash || !seen.insert((source.addr, port.port.value)) {
                    continue;
                }
                let (first, last) = source.ports.clone().into_inner();
                let what = format!(
                    "port {} of service `{}` lies in the source ports {first}-{last} of {}, which is both its VIP and a SNAT address",
                    port.port.value, service.name.value, source.addr
                );
                problems.push(
                    Problem::error(port.port.place(), what)
                        .help("choose snat.ports without it, or another SNAT address"),
                );
            }
        }
    }
}

/// How people call a family.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
