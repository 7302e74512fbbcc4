//! The topology once more, from what iproute2 and ethtool print.

use std::net::IpAddr;

use dataplane::addr::Mac;
use ipnet::IpNet;
use portreeve::topology::{KernelRoute, Link, LinkAddress, Neighbour, RouteKind, Topology};
use serde_json::Value;

use super::netns::{ip, run};

/// The MAC that the tests give neighbours in state noarp.
pub const NOARP_MAC: &str = "02:00:00:00:00:aa";

/// All of it, sorted as by [`sorted`].
pub fn topology() -> Topology {
    let links = json("-j addr show");
    let v4 = json("-j -4 route show table all");
    let v6 = json("-j -6 route show table all");
    let neighbours = json("-j neigh show nud all");
    sorted(Topology {
        links: links.iter().map(link).collect(),
        remade: Vec::new(),
        // There is none in this namespace.
        vlans: Vec::new(),
        addresses: links.iter().flat_map(addresses).collect(),
        routes: v4
            .iter()
            .map(|shown| route(shown, "0.0.0.0/0"))
            .chain(v6.iter().map(|shown| route(shown, "::/0")))
            .collect(),
        // The others are the kernel's own, for multicast addresses.
        neighbours: neighbours
            .iter()
            .filter(|shown| shown["state"][0] != "NOARP" || text(&shown["lladdr"]) == NOARP_MAC)
            .map(neighbour)
            .collect(),
    })
}

/// Routes and neighbours in an order of their own, since they have none.
pub fn sorted(mut topology: Topology) -> Topology {
    topology.routes.sort_by_key(|route| format!("{route:?}"));
    topology.neighbours.sort_by_key(|neighbour| (neighbour.ifindex, neighbour.addr));
    topology.addresses.sort_by_key(|address| address.ifindex);
    topology
}

/// One neighbour as `ip -j neigh` prints it.
pub fn shown_neighbour(addr: &str) -> Value {
    let shown = json(&format!("-j neigh show nud all to {addr}"));
    shown.into_iter().next().unwrap_or_else(|| panic!("no neighbour {addr}"))
}

fn json(arguments: &str) -> Vec<Value> {
    serde_json::from_str(&ip(arguments)).unwrap()
}

fn link(shown: &Value) -> Link {
    let flags = shown["flags"].as_array().unwrap();
    let name = text(&shown["ifname"]).to_owned();
    Link {
        ifindex: number(&shown["ifindex"]),
        mac: mac(text(&shown["address"])),
        mtu: number(&shown["mtu"]),
        up: flags.contains(&Value::from("UP")),
        rx_queues: rx_queues(&name),
        name,
    }
}

fn rx_queues(ifname: &str) -> u32 {
    if ifname == "lo" {
        // It has no channels, and one queue.
        return 1;
    }
    let shown = run("ethtool", &["-l", ifname], "");
    let (_, current) = shown.split_once("Current hardware settings:").unwrap();
    let rx = current.lines().find_map(|line| line.strip_prefix("RX:")).unwrap();
    rx.trim().parse().unwrap()
}

fn addresses(shown: &Value) -> impl Iterator<Item = LinkAddress> {
    let ifindex = number(&shown["ifindex"]);
    shown["addr_info"].as_array().unwrap().iter().map(move |address| {
        let ip: IpAddr = text(&address["local"]).parse().unwrap();
        LinkAddress {
            ifindex,
            net: IpNet::new(ip, number(&address["prefixlen"]) as u8).unwrap(),
            global: address["scope"] == "global",
            permanent: address["valid_life_time"] == u64::from(u32::MAX),
        }
    })
}

fn route(shown: &Value, default: &str) -> KernelRoute {
    let hop = if shown["nexthops"].is_array() { &shown["nexthops"][0] } else { shown };
    let gateway = hop["gateway"].as_str().or(hop["via"]["host"].as_str());
    let mtu = shown["metrics"][0]["mtu"].as_u64();
    KernelRoute {
        dest: dest(text(&shown["dst"]), default),
        kind: match shown["type"].as_str() {
            None | Some("unicast") => RouteKind::Unicast,
            Some("local" | "broadcast" | "anycast") => RouteKind::Local,
            Some(_) => RouteKind::Rejected,
        },
        ifindex: hop["dev"].as_str().map(ifindex),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        metric: shown["metric"].as_u64().unwrap_or(0) as u32,
        mtu: mtu.map(|mtu| mtu as u32),
    }
}

fn dest(shown: &str, default: &str) -> IpNet {
    match shown {
        "default" => default.parse().unwrap(),
        shown => shown.parse().unwrap_or_else(|_| IpNet::from(shown.parse::<IpAddr>().unwrap())),
    }
}

fn neighbour(shown: &Value) -> Neighbour {
    let unusable = ["NONE", "INCOMPLETE", "FAILED"].contains(&text(&shown["state"][0]));
    let lladdr = shown["lladdr"].as_str().filter(|_| !unusable);
    Neighbour {
        ifindex: ifindex(text(&shown["dev"])),
        addr: text(&shown["dst"]).parse().unwrap(),
        mac: lladdr.map(mac),
    }
}

fn ifindex(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

/// From six bytes in hexadecimal, colons between.
pub fn mac(shown: &str) -> Mac {
    let bytes: Vec<u8> =
        shown.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Mac(bytes.try_into().unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}")).try_into().unwrap()
}
