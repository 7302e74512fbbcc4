use std::collections::HashMap;
use std::net::IpAddr;

use super::address::again;
use crate::desired::Desired;
use crate::problem::Problem;

/// A name means one service.
pub fn names(desired: &Desired, problems: &mut Vec<Problem>) {
    let mut seen = HashMap::new();
    // A service whose name could not be read has none, and that is reported already.
    for service in desired.services.iter().filter(|service| !service.name.is_empty()) {
        if let Some(first) = seen.insert(&*service.name.value, service) {
            let what = format!("two services are called `{}`", service.name.value);
            problems.push(again(service.name.place(), what, first.name.place()));
        }
    }
}

/// A (VIP, port, protocol) belongs to one service.
pub fn frontends(desired: &Desired, problems: &mut Vec<Problem>) {
    let mut seen = HashMap::new();
    for (index, service) in desired.services.iter().enumerate() {
        let mut vips: Vec<IpAddr> = service.vips.iter().map(|vip| vip.value).collect();
        vips.sort_unstable();
        // A VIP that stands twice in one service is reported as such.
        vips.dedup();
        for vip in vips {
            for port in &service.ports {
                let key = (vip, port.port.value, port.proto);
                let Some((first, other)) = seen.insert(key, (&port.port, index)) else { continue };
                let who = if other == index {
                    format!("service `{}`", service.name.value)
                } else {
                    let other = &desired.services[other].name.value;
                    format!("services `{other}` and `{}`", service.name.value)
                };
                let what = format!(
                    "{vip} port {}/{} is used twice, by {who}",
                    port.port.value, port.proto
                );
                problems.push(again(port.port.place(), what, first.place()));
            }
        }
    }
}

/// A packet to such a backend would come back to us.
pub fn vips_as_backends(desired: &Desired, problems: &mut Vec<Problem>) {
    let vips: HashMap<IpAddr, &str> = desired
        .services
        .iter()
        .flat_map(|service| service.vips.iter().map(|vip| (vip.value, &*service.name.value)))
        .collect();
    for service in &desired.services {
        for backend in &service.backends {
            let Some(owner) = vips.get(&backend.address.value) else { continue };
            let what = format!(
                "backend {} of service `{}` is the VIP of service `{owner}`",
                backend.address.value, service.name.value
            );
            let help =
                "packets to it would come back to this gateway: name the servers behind it instead";
            problems.push(Problem::error(backend.address.place(), what).help(help));
        }
    }
}

/// ARP and NDP are answered for such addresses, which would take a backend's own from it.
pub fn own_as_backends(desired: &Desired, problems: &mut Vec<Problem>) {
    let backends: HashMap<IpAddr, &str> = desired
        .services
        .iter()
        .flat_map(|service| service.backends.iter().map(move |b| (b.address.value, service)))
        .map(|(addr, service)| (addr, &*service.name.value))
        .collect();
    let of_services = desired.services.iter().flat_map(|service| &service.snat_addresses);
    let sources = desired.snat.addresses.iter().chain(of_services);
    let sources = sources.map(|addr| ("SNAT address", addr));
    let routers = desired.routers.iter().map(|router| ("router address", &router.address));
    for (role, addr) in sources.chain(routers) {
        let Some(owner) = backends.get(&addr.value) else { continue };
        let what = format!("{role} {} is a backend of service `{owner}`", addr.value);
        let help = "this gateway would answer ARP and NDP in the backend's place: name an address that no other host has";
        problems.push(Problem::error(addr.place(), what).help(help));
    }
}
