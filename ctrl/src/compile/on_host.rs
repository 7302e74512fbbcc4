use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use ipnet::Ipv4Net;

use super::linux::LinuxOwned;
use super::services::{subnets_on, vips_are_free, vips_are_hosts};
use crate::desired::{Desired, Service};
use crate::problem::Problem;
use crate::topology::Topology;

/// What this host refuses a service for. A source of many services leaves such a one out before it keeps
/// all others from being compiled.
#[derive(Debug)]
pub struct OnHost<'t> {
    linux: LinuxOwned<'t>,
    subnets: Vec<Ipv4Net>,
}

/// What a host refuses services for, to be compared: two hosts with the same refuse the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBasis {
    /// Addresses that Linux owns, with their interfaces.
    owned: BTreeMap<IpAddr, String>,
    subnets: Vec<Ipv4Net>,
}

impl<'t> OnHost<'t> {
    /// The host as it is now, with the ports of `desired`.
    #[must_use]
    pub fn new(desired: &Desired, topology: &'t Topology) -> Self {
        let ports = desired.ports.iter();
        let links: HashSet<u32> =
            ports.filter_map(|port| Some(topology.link(&port.name)?.ifindex)).collect();
        let vlans = topology.vlans.iter().filter(|vlan| links.contains(&vlan.parent));
        let vlans: HashSet<u32> = vlans.map(|vlan| vlan.ifindex).collect();
        let ours = |ifindex| links.contains(&ifindex) || vlans.contains(&ifindex);
        Self { linux: LinuxOwned::new(topology), subnets: subnets_on(topology, ours) }
    }

    /// All that a refusal hangs on besides the service.
    #[must_use]
    pub fn basis(&self) -> HostBasis {
        HostBasis { owned: self.linux.owned(), subnets: self.subnets.clone() }
    }

    /// Why it refuses a service; empty when it does not.
    #[must_use]
    pub fn refuses(&self, service: &Service) -> Vec<Problem> {
        let mut problems = Vec::new();
        vips_are_free(service, &self.linux, &mut problems);
        vips_are_hosts(service, &self.subnets, &mut problems);
        problems
    }
}
