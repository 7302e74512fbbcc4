use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::topology::Topology;

/// Addresses that Linux owns, with the interface that carries each.
#[derive(Debug)]
pub struct LinuxOwned<'t>(HashMap<IpAddr, &'t str>);

impl<'t> LinuxOwned<'t> {
    pub fn new(topology: &'t Topology) -> Self {
        let links: HashMap<_, _> =
            topology.links.iter().map(|link| (link.ifindex, link.name.as_str())).collect();
        let name = |ifindex| links.get(&ifindex).copied().unwrap_or("an interface");
        let held = topology.addresses.iter();
        Self(held.map(|a| (a.net.addr(), name(a.ifindex))).collect())
    }

    /// All of them.
    pub fn owned(&self) -> BTreeMap<IpAddr, String> {
        self.0.iter().map(|(addr, name)| (*addr, (*name).to_owned())).collect()
    }

    /// The interface that carries `addr`; `None` when Linux does not own it.
    pub fn interface(&self, addr: IpAddr) -> Option<&'t str> {
        self.0.get(&addr).copied()
    }
}
