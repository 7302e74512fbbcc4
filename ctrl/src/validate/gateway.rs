use std::collections::HashMap;

use dataplane::limits::{PORT_BLOCK, PORTS_MAX};

use super::address;
use crate::desired::{Desired, Located, PortSpan};
use crate::problem::Problem;

/// Ports exist, once each, and not too many.
pub fn ports(desired: &Desired, problems: &mut Vec<Problem>) {
    if desired.ports.is_empty() {
        let what = "there is no [[port]], so there is no interface to take packets from";
        problems.push(Problem::error(None, what).help("add [[port]] with name = \"ens5\""));
    }
    if let Some(port) = desired.ports.get(PORTS_MAX) {
        let what = format!("there are {} ports; {PORTS_MAX} can be driven", desired.ports.len());
        problems.push(Problem::error(port.name.place(), what).help("remove some"));
    }
    let mut seen = HashMap::new();
    // A port whose name could not be read has none, and that is reported already.
    for port in desired.ports.iter().filter(|port| !port.name.is_empty()) {
        if let Some(first) = seen.insert(&port.name.value, port) {
            let what = format!("port {} is listed twice", port.name.value);
            problems.push(address::again(port.name.place(), what, first.name.place()));
        }
    }
}

/// Source addresses and their port ranges.
pub fn sources(desired: &Desired, problems: &mut Vec<Problem>) {
    let snat = &desired.snat;
    for addr in &snat.addresses {
        address::check(addr, "SNAT address", problems);
    }
    address::twice(&snat.addresses, "SNAT address", problems);
    range(&snat.ports, "snat.ports", problems);
    range(&snat.shared_ports, "snat.shared_ports", problems);
}

/// A whole block of ports at least, and never port 0.
fn range(span: &Located<PortSpan>, key: &str, problems: &mut Vec<Problem>) {
    let (first, last) = (*span.start(), *span.end());
    if first == 0 {
        let what = format!("{key} begin at 0, and no packet may carry port 0");
        problems
            .push(Problem::error(span.place(), what).help(format!("write \"1-{last}\" or higher")));
    }
    let count = usize::from(last - first) + 1;
    if count < usize::from(PORT_BLOCK) {
        let what = format!(
            "{key} {first}-{last} hold {count} ports; they are handed out {PORT_BLOCK} at a time"
        );
        problems.push(
            Problem::error(span.place(), what)
                .help(format!("widen the range to {PORT_BLOCK} ports or more")),
        );
    }
}
