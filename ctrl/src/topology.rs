//! What the kernel knows of links, addresses, routes and neighbours, as plain data. Filled by
//! `crate::netlink`, read by `crate::compile`; nothing here does IO.

use std::net::IpAddr;

use dataplane::addr::Mac;
use ipnet::IpNet;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub ifindex: u32,
    /// Kernel name.
    pub name: String,
    /// MAC; zero for interfaces without one.
    pub mac: Mac,
    /// MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Receive queues in use (0 when unknown).
    pub rx_queues: u32,
}

/// What makes an interface a VLAN (802.1Q) of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanLink {
    /// The interface.
    pub ifindex: u32,
    /// The one whose frames carry its tag.
    pub parent: u32,
    /// Number of the VLAN.
    pub id: u16,
}

/// An address that Linux owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface that carries it.
    pub ifindex: u32,
    /// The address with its prefix length.
    pub net: IpNet,
    /// Scope global (not link-local, not host).
    pub global: bool,
    /// Neither leased nor temporary.
    pub permanent: bool,
}

/// What the kernel does with a matching destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Sends it on.
    Unicast,
    /// Delivers it to itself.
    Local,
    /// Rejects or discards it (blackhole, unreachable, prohibit, throw).
    Rejected,
}

/// A route of the main or local table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Destination prefix.
    pub dest: IpNet,
    /// What happens to it.
    pub kind: RouteKind,
    /// Outgoing interface.
    pub ifindex: Option<u32>,
    /// Router; `None` when on link.
    pub gateway: Option<IpAddr>,
    /// Smaller wins among routes with one prefix.
    pub metric: u32,
    /// MTU metric in bytes.
    pub mtu: Option<u32>,
}

/// A neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface whose link it is on.
    pub ifindex: u32,
    /// Its address.
    pub addr: IpAddr,
    /// Its MAC, when the kernel holds it usable (reachable, stale, delay, probe, permanent, noarp).
    pub mac: Option<Mac>,
}

/// One consistent picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Interfaces by index.
    pub links: Vec<Link>,
    /// Interfaces that have the name of a port, but are not the one that it was bound to at the start.
    /// Nothing of ours hangs on them.
    pub remade: Vec<Link>,
    /// Those of the links that are VLANs.
    pub vlans: Vec<VlanLink>,
    /// Addresses in the kernel's order (the first of an interface is its primary).
    pub addresses: Vec<LinkAddress>,
    /// Routes of the main and local tables.
    pub routes: Vec<KernelRoute>,
    /// Neighbours.
    pub neighbours: Vec<Neighbour>,
}

impl Topology {
    /// The interface with this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Whether hosts on the first or another of these links ask for an address, since it lies in a subnet of
    /// the link; `None` when there is no such link.
    #[must_use]
    pub fn is_on_link(&self, addr: IpAddr, links: &[&str]) -> Option<bool> {
        let indexes: Vec<u32> =
            links.iter().filter_map(|name| Some(self.link(name)?.ifindex)).collect();
        let covers = |address: &LinkAddress| {
            indexes.contains(&address.ifindex) && address.net.contains(&addr)
        };
        (!indexes.is_empty()).then(|| self.addresses.iter().any(covers))
    }

    /// The interface made anew that this one is, or is a VLAN of.
    #[must_use]
    pub fn remade(&self, ifindex: u32) -> Option<&Link> {
        let vlan = self.vlans.iter().find(|vlan| vlan.ifindex == ifindex);
        let wire = vlan.map_or(ifindex, |vlan| vlan.parent);
        self.remade.iter().find(|link| link.ifindex == wire)
    }
}
