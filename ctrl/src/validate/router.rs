use std::collections::HashMap;
use std::net::IpAddr;

use super::{address, service};
use crate::desired::{Desired, Located};
use crate::problem::Problem;

/// Router addresses: addresses of their own, announced where ports are.
pub fn check(desired: &Desired, problems: &mut Vec<Problem>) {
    let vips: HashMap<IpAddr, &str> = desired
        .services
        .iter()
        .flat_map(|service| service.vips.iter().map(|vip| (vip.value, &*service.name.value)))
        .collect();
    let mut seen: HashMap<IpAddr, &Located<IpAddr>> = HashMap::new();
    for router in &desired.routers {
        let addr = &router.address;
        address::check(addr, "router address", problems);
        if let Some(first) = seen.insert(addr.value, addr) {
            let what = format!("router address {} is listed twice", addr.value);
            problems.push(address::again(addr.place(), what, first.place()));
        }
        if let Some(owner) = vips.get(&addr.value) {
            let what = format!("router address {} is the VIP of service `{owner}`", addr.value);
            let help = "that is answered for already, and backends may use it as their router: remove this section";
            problems.push(Problem::error(addr.place(), what).help(help));
        }
        let who = format!("router address {}", addr.value);
        service::announced_on_ports(&router.announce, &who, desired, problems);
    }
}
