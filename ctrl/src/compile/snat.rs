use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use dataplane::addr::{Addr, Family};
use dataplane::tables::frontend::Mode;
use dataplane::tables::{Port, SnatAddress};

use super::backends::{BackendPlan, Backends};
use super::linux::LinuxOwned;
use super::uses::Uses;
use crate::desired::{BackendSettings, Desired, Located, Service};
use crate::problem::Problem;

/// Every source address that is used.
#[derive(Debug, Default)]
pub struct Sources {
    pub addresses: BTreeMap<Addr, SnatAddress>,
    /// How often each is named, or is the default of a backend.
    pub uses: Uses<Addr>,
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
pub fn plan(desired: &Desired, linux: &LinuxOwned<'_>, backends: &Backends) -> Sources {
    let own = desired.services.iter().flat_map(|service| &service.snat_addresses);
    let named = desired.snat.addresses.iter().chain(own).map(|addr| Addr::from(addr.value));
    let defaults = backends.by_key.values().filter_map(BackendPlan::default_snat);
    let mut sources = Sources::default();
    for addr in named.chain(defaults) {
        if sources.uses.add(addr) {
            sources.addresses.insert(addr, source(desired, linux, addr));
        }
    }
    sources
}

fn source(desired: &Desired, linux: &LinuxOwned<'_>, addr: Addr) -> SnatAddress {
    let shared = linux.interface(addr.to_ip()).is_some();
    let span = if shared { &desired.snat.shared_ports } else { &desired.snat.ports };
    SnatAddress { addr, ports: span.value.clone(), shared }
}

/// A backend of a service that names no source of its family, behind a port that has none either.
pub fn no_default(service: &Service, backend: &BackendSettings, port: &Port) -> Problem {
    let addr = Addr::from(backend.address.value);
    let what = format!(
        "port {} has no global, permanent {} address to be the source towards backend {addr} of service `{}`",
        port.name,
        family_name(addr.family()),
        service.name.value
    );
    let problem = Problem::error(backend.address.place(), what)
        .help("give the port an address, or name one in snat.addresses or snat_addresses");
    unless_needed(service.mode, problem)
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
pub fn service_ports_clash(desired: &Desired, sources: &Sources) -> Vec<Problem> {
    let mut problems = Vec::new();
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
    problems
}

/// How people call a family.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
