use super::{Facts, Finding};
use crate::desired::XdpMode;
use crate::netlink::Details;
use crate::topology::Link;

/// Offloads that merge packets or hide a tag before the generic path sees them.
const MERGING: [(&str, &str); 4] = [
    ("rx-gro", "gro"),
    ("rx-lro", "lro"),
    ("rx-gro-hw", "rx-gro-hw"),
    ("rx-vlan-hw-parse", "rxvlan"),
];
/// A receive ring shorter than this is soon full.
const RING_LEAST: u32 = 512;

pub(super) fn examine(facts: &Facts, found: &mut Vec<Finding>) {
    for (name, link) in facts.ports() {
        match link {
            Some(link) => port(facts, link, found),
            // With a configuration, that says so.
            None if facts.wanted.is_none() => found.push(Finding::error(
                "port_gone",
                format!("port {name} does not exist any more"),
                "bring it back, or restart portreeve without it",
            )),
            None => {}
        }
    }
}

fn port(facts: &Facts, link: &Link, found: &mut Vec<Finding>) {
    let nothing = Details::default();
    let details = facts.links.get(&link.ifindex).unwrap_or(&nothing);
    let before = found.len();
    let name = &link.name;
    if link.up && !details.carrier {
        found.push(Finding::error(
            "no_carrier",
            format!("port {name} is up but has no carrier: nothing is connected, or the other end is down"),
            format!("look at cable, switch port or peer; `ip link show {name}` says LOWER_UP then"),
        ));
    }
    queues(facts, link, found);
    programs(facts, link, details, found);
    offloads(facts, link, details, found);
    rings(link, details, found);
    nodes(facts, link, found);
    if found.len() == before {
        let driver = facts.hardware.get(name).and_then(|hardware| hardware.driver.clone());
        let driver = driver.or_else(|| details.kind.clone()).unwrap_or_else(|| "unknown".into());
        let says =
            format!("port {name}: driver {driver}, {} queues, MTU {}", link.rx_queues, link.mtu);
        found.push(Finding::fine("port", says));
    }
}

/// Packets of a queue without a socket are dropped, if they are for what is ours alone.
fn queues(facts: &Facts, link: &Link, found: &mut Vec<Finding>) {
    let ports = facts.status.iter().flat_map(|status| &status.ports);
    let Some(served) = ports.filter(|port| port.name == link.name).map(|port| port.queues).next()
    else {
        return;
    };
    let (name, there) = (&link.name, link.rx_queues);
    if there > served {
        found.push(Finding::error(
            "queue_unserved",
            format!("port {name} has {there} receive queues, but only {served} have a socket: what arrives in the others is lost"),
            format!("restart portreeve, or go back: `ethtool -L {name} rx {served}` (combined {served} on most cards)"),
        ));
    }
}

fn programs(facts: &Facts, link: &Link, details: &Details, found: &mut Vec<Finding>) {
    let (name, running) = (&link.name, facts.status.is_some());
    let Some(pinned) = &facts.pins.programs else { return };
    let ours: Vec<u32> =
        pinned.iter().filter(|(index, _)| *index == link.ifindex).map(|(_, id)| *id).collect();
    let foreign: Vec<String> =
        details.xdp.iter().filter(|id| !ours.contains(id)).map(u32::to_string).collect();
    if !foreign.is_empty() {
        let ids = foreign.join(", ");
        found.push(Finding::error(
            "xdp_foreign",
            format!("port {name} runs somebody else's XDP program (number {ids}): it sees packets first, and ours cannot be attached beside it"),
            format!("`bpftool prog show id {}` says whose it is; `ip link set dev {name} xdp off` takes it off unless a link holds it; an instance of portreeve with another pin_dir is ended and detached", foreign[0]),
        ));
    } else if running && details.xdp.is_empty() {
        found.push(Finding::error(
            "xdp_missing",
            format!("port {name} runs no XDP program: the kernel gets all packets"),
            "somebody has detached it: restart portreeve",
        ));
    }
}

/// Only the generic path comes after them.
fn offloads(facts: &Facts, link: &Link, details: &Details, found: &mut Vec<Finding>) {
    let name = &link.name;
    let status = facts.status.iter().flat_map(|status| &status.ports);
    let in_force = status.filter(|port| port.name == *name).any(|port| port.mode == "skb");
    let wanted = facts.wanted.iter().flat_map(|wanted| &wanted.desired.ports);
    let wanted = wanted.filter(|p| p.name.value == *name).any(|p| p.mode == XdpMode::Skb);
    if !in_force && !wanted {
        return;
    }
    let on: Vec<&str> = MERGING
        .into_iter()
        .filter(|(feature, _)| details.offloads.contains(*feature))
        .map(|(_, word)| word)
        .collect();
    if !on.is_empty() {
        let switches: Vec<String> = on.iter().map(|word| format!("{word} off")).collect();
        found.push(Finding::warning(
            "offloads",
            format!(
                "port {name} is in skb mode, and {} merge or hide packets before they are seen",
                on.join(", ")
            ),
            format!("run `ethtool -K {name} {}`", switches.join(" ")),
        ));
    }
}

fn rings(link: &Link, details: &Details, found: &mut Vec<Finding>) {
    let Some((now, most)) = details.rx_ring else { return };
    if now < RING_LEAST && most > now {
        let name = &link.name;
        found.push(Finding::warning(
            "ring_short",
            format!("the receive ring of port {name} has {now} slots: bursts overflow it"),
            format!("run `ethtool -G {name} rx {}`", most.min(2_048)),
        ));
    }
}

/// Memory of another node is slower to reach.
fn nodes(facts: &Facts, link: &Link, found: &mut Vec<Finding>) {
    let Some(node) = facts.hardware.get(&link.name).and_then(|hardware| hardware.node) else {
        return;
    };
    let workers = facts.status.iter().flat_map(|status| &status.workers);
    for core in workers.filter_map(|worker| worker.core) {
        let Some(other) = facts.system.core_nodes.get(&core).filter(|other| **other != node) else {
            continue;
        };
        found.push(Finding::warning(
            "numa",
            format!("port {} is on NUMA node {node}, its worker (core {core}) on {other}: every packet crosses between them", link.name),
            format!("choose a core of node {node} in [worker]: `lscpu` lists them"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::{HealthSummary, Port, Reload, Status, Worker};
    use crate::doctor::facts::Hardware;

    /// A gateway with one port, `ens5`, that is served as it should be.
    fn healthy() -> Facts {
        let link = Link {
            ifindex: 3,
            name: "ens5".into(),
            mac: dataplane::addr::Mac([2; 6]),
            mtu: 1_500,
            up: true,
            rx_queues: 1,
        };
        let port = Port {
            name: "ens5".into(),
            mode: "native".into(),
            queues: 1,
            remade: false,
            zero_copy: false,
            rx_packets: 0,
            rx_bytes: 0,
            tx_packets: 0,
            tx_bytes: 0,
        };
        let status = Status {
            version: "0".into(),
            gateway: "gw".into(),
            uptime_s: 0,
            start_ms: 0,
            epoch: 1,
            config: String::new(),
            last_reload: Reload { at: 0, ok: true, problems: Vec::new() },
            ports: vec![port],
            workers: vec![Worker { core: Some(1), ..Worker::default() }],
            frames: None,
            conflicts: Vec::new(),
            drops: [].into(),
            verdicts: [].into(),
            health: HealthSummary::default(),
            drained: Vec::new(),
            released: Vec::new(),
            cluster: None,
        };
        let mut facts = Facts { status: Some(status), ..Facts::default() };
        let details = Details { carrier: true, xdp: [7].into(), ..Details::default() };
        facts.topology.links.push(link);
        facts.links.insert(3, details);
        facts.pins.programs = Some(vec![(3, 7)]);
        facts
    }

    fn ids(facts: &Facts) -> Vec<String> {
        let mut found = Vec::new();
        examine(facts, &mut found);
        found.into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn a_port_in_order_is_fine() {
        assert_eq!(ids(&healthy()), ["port"]);
    }

    #[test]
    fn what_no_lab_can_make_is_found_too() {
        let mut facts = healthy();
        facts.links.entry(3).or_default().rx_ring = Some((256, 4_096));
        let node = Hardware { driver: None, node: Some(0) };
        facts.hardware.insert("ens5".into(), node);
        facts.system.core_nodes.insert(1, 1);
        assert_eq!(ids(&facts), ["ring_short", "numa"]);
    }

    #[test]
    fn a_program_that_somebody_has_taken_off_is_missed() {
        let mut facts = healthy();
        facts.links.entry(3).or_default().xdp.clear();
        assert_eq!(ids(&facts), ["xdp_missing"]);
        facts.topology.links.clear();
        assert_eq!(ids(&facts), ["port_gone"]);
    }

    #[test]
    fn pins_that_cannot_be_read_accuse_nobody() {
        let mut facts = healthy();
        facts.pins.programs = None;
        assert_eq!(ids(&facts), ["port"]);
    }
}
