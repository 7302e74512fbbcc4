use std::collections::HashMap;

use foldhash::fast::FixedState;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use std::net::IpAddr;

use super::id::{HopId, Slab};
use super::port::PortId;
use crate::addr::{Addr, Mac};

/// A next hop: a neighbour on the link of one of our ports. Laid out without holes and without
/// values that cannot be, so that the compiler copies it in two moves and hides no tag in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Hop {
    /// Its address on that link.
    pub addr: Addr,
    mac: Mac,
    /// The port whose link it is on.
    pub port: PortId,
}

const _: () = assert!(size_of::<Hop>() == 24);

impl Hop {
    /// The hop at `addr` on the link of `port`; `None` while the kernel has no MAC for it.
    #[inline]
    #[must_use]
    pub fn new(port: PortId, addr: Addr, mac: Option<Mac>) -> Self {
        Self { addr, mac: mac.unwrap_or_default(), port }
    }

    /// Its MAC; `None` while the kernel has none: packets wait. No neighbour has 00:00:00:00:00:00.
    #[inline]
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        (self.mac != Mac::default()).then_some(self.mac)
    }
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
    by_addr: HashMap<(PortId, Addr), HopId, FixedState>,
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

    /// The same with its prefix.
    #[must_use]
    pub fn route_with_prefix(&self, dest: Addr) -> Option<(IpNet, Route)> {
        match dest.to_ip() {
            IpAddr::V4(ip) => {
                let found = self.v4.get_lpm(&Ipv4Net::from(ip));
                found.map(|(prefix, route)| (IpNet::V4(prefix), *route))
            }
            IpAddr::V6(ip) => {
                let found = self.v6.get_lpm(&Ipv6Net::from(ip));
                found.map(|(prefix, route)| (IpNet::V6(prefix), *route))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: PortId = PortId(0);
    const WAN: PortId = PortId(1);

    fn addr(text: &str) -> Addr {
        Addr::from(text.parse::<IpAddr>().unwrap())
    }

    fn on_link(port: PortId) -> Route {
        Route { port: Some(port), gateway: None, mtu: None }
    }

    fn routing(routes: &[(&str, Route)], hops: &[(HopId, PortId, &str)]) -> Routing {
        let routes = routes.iter().map(|(net, route)| (net.parse().unwrap(), *route));
        let hop =
            |(id, port, text): &(HopId, PortId, &str)| (*id, Hop::new(*port, addr(text), None));
        Routing::new(1, routes, hops.iter().map(hop))
    }

    #[test]
    fn the_longest_prefix_wins() {
        let routing = routing(
            &[
                ("0.0.0.0/0", on_link(WAN)),
                ("10.0.0.0/8", Route { mtu: Some(1400), ..on_link(WAN) }),
                ("10.1.0.0/16", on_link(LAN)),
                ("10.1.2.3/32", Route { port: None, ..on_link(LAN) }),
                ("2001:db8::/32", on_link(LAN)),
            ],
            &[],
        );
        assert_eq!(routing.route(addr("8.8.8.8")), Some(on_link(WAN)));
        assert_eq!(routing.route(addr("10.2.0.1")).unwrap().mtu, Some(1400));
        assert_eq!(routing.route(addr("10.1.2.4")), Some(on_link(LAN)));
        assert_eq!(routing.route(addr("10.1.2.3")).unwrap().port, None);
        assert_eq!(routing.route(addr("2001:db8::1")), Some(on_link(LAN)));
        assert_eq!(routing.route(addr("2001:db9::1")), None, "no IPv6 default route");
    }

    #[test]
    fn a_destination_on_the_link_is_its_own_hop() {
        let hop = HopId::new(4, 2);
        let routing = routing(&[("10.0.0.0/24", on_link(LAN))], &[(hop, LAN, "10.0.0.7")]);
        assert_eq!(routing.resolve(addr("10.0.0.7"), |_| 1500), HopRef::Via { hop, mtu: 1500 });
        let ask = HopRef::Ask { port: LAN, addr: addr("10.0.0.8"), mtu: 1500 };
        assert_eq!(routing.resolve(addr("10.0.0.8"), |_| 1500), ask);
    }

    #[test]
    fn a_destination_behind_a_router_goes_to_the_router() {
        let hop = HopId::new(0, 0);
        let gateway = Some(addr("fd00::1"));
        let routing =
            routing(&[("::/0", Route { gateway, ..on_link(WAN) })], &[(hop, WAN, "fd00::1")]);
        assert_eq!(routing.resolve(addr("fd99::9"), |_| 9001), HopRef::Via { hop, mtu: 9001 });
    }

    #[test]
    fn the_smaller_of_route_and_port_mtu_counts() {
        let via_wan = |mtu| Route { mtu: Some(mtu), ..on_link(WAN) };
        let routing =
            routing(&[("10.0.0.0/24", via_wan(1400)), ("10.0.1.0/24", via_wan(9000))], &[]);
        let port_mtu = |port| if port == WAN { 1500 } else { 68 };
        let mtu = |dest| match routing.resolve(addr(dest), port_mtu) {
            HopRef::Ask { mtu, .. } => mtu,
            other => panic!("{other:?}"),
        };
        assert_eq!((mtu("10.0.0.1"), mtu("10.0.1.1")), (1400, 1500));
    }

    #[test]
    fn without_a_route_out_of_our_ports_nothing_is_reached() {
        let elsewhere = Route { port: None, gateway: None, mtu: None };
        let routing = routing(&[("10.0.0.0/24", elsewhere)], &[]);
        for dest in ["10.0.0.1", "192.0.2.1", "fd00::1"] {
            assert_eq!(routing.resolve(addr(dest), |_| 1500), HopRef::Unreachable);
        }
    }

    #[test]
    fn one_address_on_two_links_is_two_hops() {
        let (on_lan, on_wan) = (HopId::new(0, 0), HopId::new(1, 0));
        let routing = routing(&[], &[(on_lan, LAN, "fe80::1"), (on_wan, WAN, "fe80::1")]);
        assert_eq!(routing.hop_at(LAN, addr("fe80::1")).unwrap().0, on_lan);
        assert_eq!(routing.hop_at(WAN, addr("fe80::1")).unwrap().0, on_wan);
        assert_eq!(routing.hop_at(WAN, addr("fe80::2")), None);
        assert_eq!(routing.hop(HopId::new(1, 1)), None, "a later tenant");
    }
}
