use std::collections::HashMap;
use std::net::IpAddr;

use crate::desired::Located;
use crate::problem::Problem;

/// Why nothing on a network can be reached at this address; `None` when it can.
pub fn unusable(addr: IpAddr) -> Option<&'static str> {
    if addr.is_unspecified() {
        return Some("the unspecified address");
    }
    if addr.is_loopback() {
        return Some("a loopback address, which never leaves a host");
    }
    if addr.is_multicast() {
        return Some("a multicast address");
    }
    match addr {
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("in 0.0.0.0/8, which means \"this network\""),
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => Some("in 240.0.0.0/4, which is reserved"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("a link-local address, which is not unique")
        }
        _ => None,
    }
}

/// Reports an address that cannot be what it shall be.
pub fn check(addr: &Located<IpAddr>, role: &str, problems: &mut Vec<Problem>) {
    if let Some(why) = unusable(addr.value) {
        let what = format!("{role} {} is {why}", addr.value);
        problems.push(
            Problem::error(addr.place(), what).help("write a unicast address of your network"),
        );
    }
}

/// Reports every address of a list that stands there twice.
pub fn twice(list: &[Located<IpAddr>], role: &str, problems: &mut Vec<Problem>) {
    let mut seen = HashMap::new();
    for addr in list {
        if let Some(first) = seen.insert(addr.value, addr) {
            let what = format!("{role} {} is listed twice", addr.value);
            problems.push(again(addr.place(), what, first.place()));
        }
    }
}

/// An error whose help names the place where something stands for the first time.
pub fn again(
    place: Option<&crate::problem::Place>,
    what: String,
    first: Option<&crate::problem::Place>,
) -> Problem {
    let problem = Problem::error(place, what);
    match first {
        Some(first) => problem.help(format!("the first is at {first}")),
        None => problem,
    }
}
