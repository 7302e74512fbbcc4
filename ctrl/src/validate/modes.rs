//! What a mode asks of its service, and what it does not look at.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use dataplane::addr::Proto;
use dataplane::tables::frontend::Mode;

use crate::desired::{BackendSettings, Desired, Located, Service, ServicePort};
use crate::problem::Problem;

/// What can be wrong with the mode of a service and what goes with it.
pub fn check(service: &Service, problems: &mut Vec<Problem>) {
    if service.mode == Mode::DsrL2 {
        ports_stay(service, problems);
    }
    unused(service, problems);
}

/// In mode `dsr-l2` nothing but MACs is rewritten, so backends listen on the service's own port.
fn ports_stay(service: &Service, problems: &mut Vec<Problem>) {
    let name = &service.name.value;
    for port in service.ports.iter().filter(|port| port.target != port.port.value) {
        let (from, to) = (port.port.value, port.target);
        let what = format!("port {from} of service `{name}` has target {to} in mode `dsr-l2`");
        let help = "this mode rewrites no ports: leave `target` out, or use mode `nat` or `snat`";
        problems.push(Problem::error(port.port.place(), what).help(help));
    }
    for backend in &service.backends {
        let Some(own) = backend.port else { continue };
        if service.ports.iter().any(|port| port.port.value != own) {
            let address = &backend.address;
            let what = format!(
                "backend {} of service `{name}` has port {own} of its own in mode `dsr-l2`",
                address.value
            );
            let help = "this mode rewrites no ports: leave `port` of the backend out, or use mode `nat` or `snat`";
            problems.push(Problem::error(address.place(), what).help(help));
        }
    }
}

fn unused(service: &Service, problems: &mut Vec<Problem>) {
    let (name, policy) = (&service.name.value, &service.policy);
    let mut warn = |place, what: String, help: &str| {
        problems.push(Problem::warning(place, what).help(help));
    };
    if let Some(first) = policy.hairpin.first().filter(|_| service.mode == Mode::Snat) {
        let what = format!("`hairpin` of service `{name}` changes nothing in mode `snat`");
        warn(first.place(), what, "every client is served that way: leave it out");
    }
    if let Some(switch) = policy.stateless_replies.as_ref().filter(|_| service.mode != Mode::Nat) {
        let what = format!(
            "`stateless_replies` of service `{name}` changes nothing in mode `{}`",
            service.mode.name()
        );
        warn(switch.place(), what, "it belongs to mode `nat`: leave it out");
    }
    let tcp = service.ports.iter().any(|port| port.proto == Proto::Tcp);
    if let Some(mss) = policy.mss.as_ref().filter(|_| !tcp) {
        let what = format!("`mss` of service `{name}` changes nothing: no port of it is TCP");
        warn(mss.place(), what, "leave it out");
    }
    prefixes(service, problems);
}

/// Prefixes that say two things, or nothing.
fn prefixes(service: &Service, problems: &mut Vec<Problem>) {
    let (name, policy) = (&service.name.value, &service.policy);
    for denied in &policy.deny {
        if policy.allow.iter().any(|allowed| allowed.value == denied.value) {
            let what = format!("{} is both allowed and denied by service `{name}`", denied.value);
            let help = "of two prefixes the longer counts; equal ones cannot both stand";
            problems.push(Problem::error(denied.place(), what).help(help));
        }
    }
    for v4 in [true, false] {
        let of_family =
            |list: &[Located<ipnet::IpNet>]| list.iter().any(|net| net.addr().is_ipv4() == v4);
        let vip = service.vips.iter().any(|vip| vip.is_ipv4() == v4);
        let Some(first) = policy.allow.first().filter(|_| vip && !of_family(&policy.allow)) else {
            continue;
        };
        let family = if v4 { "IPv4" } else { "IPv6" };
        let what = format!(
            "`allow` of service `{name}` names no {family} prefix, but it has a VIP of that family"
        );
        let help = "none of its clients is served: name prefixes of both families";
        problems.push(Problem::warning(first.place(), what).help(help));
    }
    let lists = [("allow", &policy.allow), ("deny", &policy.deny), ("hairpin", &policy.hairpin)];
    for (key, list) in lists {
        for net in list {
            let v4 = net.addr().is_ipv4();
            if service.vips.is_empty() || service.vips.iter().any(|vip| vip.is_ipv4() == v4) {
                continue;
            }
            let family = if v4 { "IPv4" } else { "IPv6" };
            let what =
                format!("`{key}` of service `{name}` names {}, but no VIP is {family}", net.value);
            problems.push(Problem::warning(net.place(), what).help("it will not be used"));
        }
    }
}

/// What replies in mode `nat` come from.
type End = (SocketAddr, Proto);

/// A reply without a flow can be told only when its source belongs to one (VIP, port).
pub fn shared_backends(desired: &Desired, problems: &mut Vec<Problem>) {
    let mut uses: BTreeMap<End, Vec<&Service>> = BTreeMap::new();
    let mut places: BTreeMap<End, &Located<IpAddr>> = BTreeMap::new();
    for (service, port, backend) in replies(desired) {
        let address = &backend.address;
        let end = SocketAddr::new(address.value, backend.port.unwrap_or(port.target));
        let key = (end, port.proto);
        let vips = service.vips.iter().filter(|vip| vip.is_ipv4() == address.is_ipv4()).count();
        uses.entry(key).or_default().extend(std::iter::repeat_n(service, vips));
        places.insert(key, address);
    }
    for ((end, proto), services) in uses.iter().filter(|(_, services)| services.len() > 1) {
        if services.iter().all(|service| !service.policy.stateless_replies()) {
            continue;
        }
        let mut names: Vec<_> = services.iter().map(|s| format!("`{}`", s.name.value)).collect();
        names.dedup();
        let what = format!(
            "{end}/{proto} is a backend of {} (VIP, port) pairs in mode `nat`, of {}",
            services.len(),
            names.join(", ")
        );
        let help = "its replies without a flow, as after a restart, are dropped as `reply_ambiguous` until the client's next packet: let it listen on a port of its own for each";
        problems.push(Problem::warning(places[&(*end, *proto)].place(), what).help(help));
    }
}

/// Every port and backend of every service in mode `nat`.
fn replies(desired: &Desired) -> impl Iterator<Item = (&Service, &ServicePort, &BackendSettings)> {
    let services = desired.services.iter().filter(|service| service.mode == Mode::Nat);
    services.flat_map(|service| {
        service.ports.iter().flat_map(move |port| {
            service.backends.iter().map(move |backend| (&**service, port, backend))
        })
    })
}
