use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::desired::{Announce, Desired, Located, PortSettings};

/// What is different in the gateway's own settings, one line each. What is bound at start says
/// so.
pub fn compare(old: &Desired, new: &Desired) -> Vec<String> {
    let mut lines = Vec::new();
    ports(&mut lines, old, new);
    restart(&mut lines, old, new);
    let (before, after) = (&old.timeouts, &new.timeouts);
    let timeouts = [
        ("tcp_syn", before.tcp_syn, after.tcp_syn),
        ("tcp_established", before.tcp_established, after.tcp_established),
        ("tcp_fin", before.tcp_fin, after.tcp_fin),
        ("udp", before.udp, after.udp),
    ];
    for (name, before, after) in timeouts.into_iter().filter(|(_, a, b)| a != b) {
        lines.push(format!("timeouts.{name} {before} ms -> {after} ms"));
    }
    let list = |list: &[Located<std::net::IpAddr>]| {
        let all: Vec<String> = list.iter().map(|addr| addr.value.to_string()).collect();
        if all.is_empty() { "the ports' own".to_owned() } else { all.join(", ") }
    };
    routers(&mut lines, old, new);
    if old.snat.addresses != new.snat.addresses {
        let (before, after) = (list(&old.snat.addresses), list(&new.snat.addresses));
        lines.push(format!("snat.addresses {before} -> {after}"));
    }
    field(&mut lines, "snat.ports", &old.snat.ports.value, &new.snat.ports.value, RESTART);
    let shared = (&old.snat.shared_ports.value, &new.snat.shared_ports.value);
    field(&mut lines, "snat.shared_ports", shared.0, shared.1, RESTART);
    let sizes = (&old.maglev.table_size.value, &new.maglev.table_size.value);
    field(&mut lines, "maglev.table_size", sizes.0, sizes.1, "");
    if old.maglev.seeds != new.maglev.seeds {
        lines.push("maglev.seed changes: every gateway of the group needs the same".into());
    }
    lines
}

fn routers(lines: &mut Vec<String>, old: &Desired, new: &Desired) {
    let all = |desired: &Desired| -> BTreeMap<std::net::IpAddr, Announce> {
        let routers = desired.routers.iter();
        routers.map(|router| (router.address.value, router.announce.clone())).collect()
    };
    let (old, new) = (all(old), all(new));
    for addr in old.keys().filter(|addr| !new.contains_key(*addr)) {
        lines.push(format!("router address {addr} is removed"));
    }
    for (addr, announce) in &new {
        match old.get(addr) {
            None => lines.push(format!("router address {addr} is added")),
            Some(before) if before != announce => {
                lines.push(format!("router address {addr} is announced elsewhere"));
            }
            Some(_) => {}
        }
    }
}

const RESTART: &str = " (needs a restart)";

fn restart(lines: &mut Vec<String>, old: &Desired, new: &Desired) {
    let (a, b) = (&old.gateway, &new.gateway);
    field(lines, "gateway.name", &a.name, &b.name, RESTART);
    field(lines, "gateway.api", &a.api, &b.api, RESTART);
    field(lines, "gateway.metrics", &a.metrics, &b.metrics, RESTART);
    field(lines, "gateway.log", &a.log, &b.log, RESTART);
    field(lines, "gateway.pin_dir", &a.pin_dir, &b.pin_dir, RESTART);
    if old.kubernetes != new.kubernetes {
        lines.push(format!("[kubernetes] changes{RESTART}"));
    }
    let (a, b) = (&old.worker, &new.worker);
    field(lines, "worker.count", &a.count, &b.count, RESTART);
    field(lines, "worker.cores", &a.cores.value, &b.cores.value, RESTART);
    field(lines, "worker.flows", &a.flows, &b.flows, RESTART);
    field(lines, "worker.poll", &a.poll, &b.poll, RESTART);
    field(lines, "worker.ring", &a.ring, &b.ring, RESTART);
    field(lines, "worker.frames", &a.frames, &b.frames, RESTART);
}

fn field<T: PartialEq + Debug>(lines: &mut Vec<String>, name: &str, old: &T, new: &T, note: &str) {
    if old != new {
        lines.push(format!("{name} {old:?} -> {new:?}{note}"));
    }
}

fn ports(lines: &mut Vec<String>, old: &Desired, new: &Desired) {
    let all = |desired: &Desired| -> BTreeMap<String, PortSettings> {
        desired.ports.iter().map(|port| (port.name.value.clone(), port.clone())).collect()
    };
    let (old, new) = (all(old), all(new));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        lines.push(format!("port {name} is removed{RESTART}"));
    }
    for (name, port) in &new {
        let Some(before) = old.get(name) else {
            lines.push(format!("port {name} is added{RESTART}"));
            continue;
        };
        field(lines, &format!("port {name} mode"), &before.mode, &port.mode, RESTART);
    }
}
