use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::Addr;
use dataplane::tables::PortMask;
use dataplane::tables::frontend::FrontendKey;
use ipnet::{IpNet, Ipv4Net};

use super::linux::LinuxOwned;
use super::plan::{FrontendPlan, PortPlan};
use super::{members, policy, snat};
use crate::desired::{Announce, Desired, Service};
use crate::problem::Problem;
use crate::topology::Topology;

/// One frontend for each (VIP, port) of a service of `desired`.
pub fn frontends(desired: &Desired, service: &Service, ports: &PortPlan) -> Vec<FrontendPlan> {
    let announce = announce_mask(&service.announce, ports);
    let mut frontends = Vec::with_capacity(service.vips.len() * service.ports.len());
    for vip in &service.vips {
        let vip = Addr::from(vip.value);
        let snat = snat::named(desired, service, vip.family());
        for port in &service.ports {
            let members = members::of_vip(desired, service, vip, port);
            frontends.push(FrontendPlan {
                key: FrontendKey { addr: vip, port: port.port.value, proto: port.proto },
                mode: service.mode,
                snat: snat.clone(),
                table_size: members::table_size(desired, service, members.len()),
                policy: policy::of_frontend(service, &members),
                stateless_replies: service.policy.stateless_replies(),
                members,
                announce,
            });
        }
    }
    frontends
}

/// We never answer for an address that Linux owns.
pub fn vips_are_free(service: &Service, linux: &LinuxOwned<'_>, problems: &mut Vec<Problem>) {
    for vip in &service.vips {
        if let Some(link) = linux.interface(vip.value) {
            let what = format!(
                "VIP {} of service `{}` is an address of this host (on {link}): two would answer for it",
                vip.value, service.name.value
            );
            let help = format!(
                "remove it with `ip address del {}/... dev {link}`, or choose another VIP",
                vip.value
            );
            problems.push(Problem::error(vip.place(), what).help(help));
        }
    }
}

/// IPv4 subnets on the links of ports in which the first and the last address are no host's. In
/// shorter ones (RFC 3021) all are.
pub fn subnets(topology: &Topology, ports: &PortPlan) -> Vec<Ipv4Net> {
    subnets_on(topology, |ifindex| ports.by_ifindex(ifindex).is_some())
}

/// The same, where `is_port` says which interfaces are ports.
pub fn subnets_on(topology: &Topology, is_port: impl Fn(u32) -> bool) -> Vec<Ipv4Net> {
    let of_ports = topology.addresses.iter().filter(|held| is_port(held.ifindex));
    let v4 = of_ports.filter_map(|held| match held.net {
        IpNet::V4(net) => Some(net),
        IpNet::V6(_) => None,
    });
    v4.filter(|net| net.prefix_len() <= 30).collect()
}

/// Nobody can connect to the address of a subnet or to its broadcast address.
pub fn vips_are_hosts(service: &Service, subnets: &[Ipv4Net], problems: &mut Vec<Problem>) {
    for vip in &service.vips {
        let IpAddr::V4(addr) = vip.value else { continue };
        let found = subnets.iter().find_map(|net| Some((net, role(*net, addr)?)));
        let Some((net, role)) = found else { continue };
        let what = format!(
            "VIP {addr} of service `{}` is the {role} address of {}, where a port is",
            service.name.value,
            net.trunc()
        );
        let help = "hosts of that network do not connect to it: choose an address between";
        problems.push(Problem::error(vip.place(), what).help(help));
    }
}

fn role(net: Ipv4Net, addr: Ipv4Addr) -> Option<&'static str> {
    if addr == net.network() {
        return Some("network");
    }
    (addr == net.broadcast()).then_some("broadcast")
}

/// The ports on which something is announced.
pub fn announce_mask(announce: &Announce, ports: &PortPlan) -> PortMask {
    match announce {
        Announce::All => ports.all(),
        Announce::None => PortMask::NONE,
        // `validate` has refused names that are no port.
        Announce::Ports(names) => {
            names.iter().filter_map(|name| ports.by_name(name)).fold(PortMask::NONE, PortMask::with)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_address_of_a_subnet_are_no_vips() {
        let toml = |vip: &str| {
            format!(
                "[[port]]\nname = \"ens5\"\n[[service]]\nname = \"web\"\nvip = \"{vip}\"\nports = [{{ port = 80 }}]\nbackends = [\"172.16.1.93\"]\n"
            )
        };
        let net = "10.10.200.6/29".parse().unwrap();
        let said = |vip: &str| {
            let desired = crate::source::toml::load("t", &toml(vip)).unwrap().desired;
            let mut problems = Vec::new();
            vips_are_hosts(&desired.services[0], &[net], &mut problems);
            problems.iter().map(ToString::to_string).collect::<String>()
        };
        assert!(said("10.10.200.0").contains("network address of 10.10.200.0/29"));
        assert!(said("10.10.200.7").contains("broadcast address of 10.10.200.0/29"));
        assert_eq!(said("10.10.200.1"), "");
    }
}
