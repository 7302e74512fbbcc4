use std::collections::{HashMap, HashSet};

use dataplane::addr::{Classes, L4Port};
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
    range(&snat.ports, "snat.ports", desired.worker.count, problems);
    range(&snat.shared_ports, "snat.shared_ports", desired.worker.count, problems);
}

/// A whole block of ports at least, and never port 0.
fn range(span: &Located<PortSpan>, key: &str, workers: usize, problems: &mut Vec<Problem>) {
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
    } else {
        problems.extend(without_ports(span, key, workers));
    }
}

/// Each worker takes ports of its own class only; one without any could begin no connection.
fn without_ports(span: &Located<PortSpan>, key: &str, workers: usize) -> Option<Problem> {
    let classes = Classes::new(u8::try_from(workers).ok()?)?;
    let (first, last) = (*span.start(), *span.end());
    let upward = all_classes(first..=L4Port::MAX, classes);
    if upward.is_some_and(|enough| enough <= last) {
        return None;
    }
    let what = format!("{key} {first}-{last} hold no port for some of {workers} workers");
    let enough = match upward {
        Some(enough) => first..=enough,
        None => all_classes((1..=last).rev(), classes)?..=last,
    };
    let help = format!(
        "{} ports are needed: write \"{}-{}\" or wider, or fewer workers",
        enough.len(),
        enough.start(),
        enough.end()
    );
    Some(Problem::error(span.place(), what).help(help))
}

/// The port with which there is one of each class.
fn all_classes(mut ports: impl Iterator<Item = L4Port>, classes: Classes) -> Option<L4Port> {
    let mut seen = HashSet::new();
    ports.find(|port| {
        seen.insert(classes.of(*port).worker());
        seen.len() == classes.count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_needs_a_port_of_its_own() {
        let said = |span: PortSpan, workers| {
            let found = without_ports(&Located::nowhere(span), "snat.ports", workers);
            found.map(|problem| problem.to_string()).unwrap_or_default()
        };
        assert_eq!(said(20_000..=20_063, 1), "");
        assert_eq!(said(1_024..=65_535, 64), "");
        assert_eq!(said(61_000..=65_535, 64), "");
        let low = said(20_000..=20_063, 64);
        assert!(low.contains("ports are needed: write \"20000-"), "{low}");
        let high = said(65_472..=65_535, 64);
        assert!(high.contains("-65535\" or wider"), "{high}");
    }
}
