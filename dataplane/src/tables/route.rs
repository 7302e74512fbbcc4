use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use ipnet::{Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use siphasher::sip::SipHasher13;
use std::net::IpAddr;

use super::id::{HopId, Slab};
use super::port::PortId;
use crate::addr::{Addr, Mac};

/// A next hop: a neighbour on the link of one of our ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The port whose link it is on.
    pub port: PortId,
    /// Its address on that link.
    pub addr: Addr,
    /// Its MAC; `None` while the kernel has none.
    pub mac: Option<Mac>,
}

/// Where a destination is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The port that it leaves through; `None` when the kernel would use an interface that we do
    /// not drive, or rejects the destination.
    pub port: Option<PortId>,
    /// The router; `None` when the destination is on the link.
    pub gateway: Option<Addr>,
    /// Largest IP packet on this route in bytes, when smaller than the port's.
    pub mtu: Option<u16>,
}

/// How something is reached, as far as is known: looked up once, then cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopRef {
    /// Through this hop, with packets of at most so many bytes.
    Via {
        /// The next hop.
        hop: HopId,
        /// Largest IP packet in bytes.
        mtu: u16,
    },
    /// On the link of `port`, but nobody has asked the kernel for its MAC yet.
    Ask {
        /// The port whose link it is on.
        port: PortId,
        /// The neighbour to ask for.
        addr: Addr,
        /// Largest IP packet in bytes.
        mtu: u16,
    },
    /// There is no way out through a port of ours.
    Unreachable,
}

/// Routes and next hops, mirrored from the kernel's own tables.
#[derive(Debug, Default)]
pub struct Routing {
    /// Grows whenever routes or the set of hops change; what flows cached before is looked up anew.
    pub generation: u16,
    v4: PrefixMap<Ipv4Net, Route>,
    v6: PrefixMap<Ipv6Net, Route>,
    hops: Slab<Hop>,
    by_addr: HashMap<(PortId, Addr), HopId, BuildHasherDefault<SipHasher13>>,
}

impl Routing {
    /// Builds the mirror. Of two routes with one prefix the later wins.
    pub fn new(
        generation: u16,
        routes: impl IntoIterator<Item = (ipnet::IpNet, Route)>,
        hops: impl IntoIterator<Item = (HopId, Hop)>,
    ) -> Self {
        let mut routing = Self { generation, ..Self::default() };
        for (prefix, route) in routes {
            match prefix {
                ipnet::IpNet::V4(net) => drop(routing.v4.insert(net, route)),
                ipnet::IpNet::V6(net) => drop(routing.v6.insert(net, route)),
            }
        }
        for (id, hop) in hops {
            routing.by_addr.insert((hop.port, hop.addr), id);
            routing.hops.insert(id, hop);
        }
        routing
    }

    /// The hop that `id` names.
    #[inline]
    #[must_use]
    pub fn hop(&self, id: HopId) -> Option<&Hop> {
        self.hops.get(id)
    }

    /// The hop with this address on this port's link.
    #[inline]
    #[must_use]
    pub fn hop_at(&self, port: PortId, addr: Addr) -> Option<(HopId, &Hop)> {
        let id = *self.by_addr.get(&(port, addr))?;
        Some((id, self.hops.get(id)?))
    }

    /// Every hop with its id, by index.
    pub fn hops(&self) -> impl Iterator<Item = (HopId, &Hop)> {
        self.hops.iter()
    }

    /// The longest-prefix route to `dest`.
    #[must_use]
    pub fn route(&self, dest: Addr) -> Option<Route> {
        match dest.to_ip() {
            IpAddr::V4(ip) => self.v4.get_lpm(&Ipv4Net::from(ip)).map(|(_, route)| *route),
            IpAddr::V6(ip) => self.v6.get_lpm(&Ipv6Net::from(ip)).map(|(_, route)| *route),
        }
    }

    /// How `dest` is reached: longest prefix, then the neighbour. `port_mtu` gives a port's MTU.
    #[must_use]
    pub fn resolve(&self, dest: Addr, port_mtu: impl Fn(PortId) -> u16) -> HopRef {
        let Some(Route { port: Some(port), gateway, mtu }) = self.route(dest) else {
            return HopRef::Unreachable;
        };
        let limit = port_mtu(port);
        let mtu = mtu.map_or(limit, |m| m.min(limit));
        let addr = gateway.unwrap_or(dest);
        match self.by_addr.get(&(port, addr)) {
            Some(hop) => HopRef::Via { hop: *hop, mtu },
            None => HopRef::Ask { port, addr, mtu },
        }
    }
}
