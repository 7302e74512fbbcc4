use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dataplane::addr::{Addr, Proto};

use super::policy;
use super::shift::{Shift, Tables};
use crate::compile::members;
use crate::desired::health::Probe;
use crate::desired::{Announce, Desired, Service, TableSize};

/// What a change does to one service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDiff {
    /// Its name.
    pub name: String,
    /// What is different, one line each.
    pub changes: Vec<String>,
    /// What happens to its flows, averaged over the (VIP, port)s that it had before and has
    /// after; `None` without any.
    pub flows: Option<Shift>,
}

type Side<'d> = (&'d Desired, &'d Service);

/// Compares a service with what it was; `None` when nothing changes.
pub fn compare(name: &str, sides: [Side<'_>; 2], tables: &mut Tables) -> Option<ServiceDiff> {
    let [old, new] = sides;
    let mut changes = Vec::new();
    if old.1.name.value != new.1.name.value {
        changes.push(format!("~ was called {}", old.1.name.value));
    }
    listed(&mut changes, "vip", sets(old.1, new.1, vips));
    listed(&mut changes, "port", sets(old.1, new.1, ports));
    backends(&mut changes, old.1, new.1);
    listed(&mut changes, "snat address", sets(old.1, new.1, sources));
    if old.1.announce != new.1.announce {
        let (before, after) = (announced(&old.1.announce), announced(&new.1.announce));
        changes.push(format!("~ announced on {before} -> {after}"));
    }
    if old.1.health != new.1.health {
        let (before, after) = (checked(old.1), checked(new.1));
        changes.push(format!("~ health check {before} -> {after}"));
    }
    changes.extend(policy::compare(old.1, new.1));
    let frontends = kept(old.1, new.1);
    let shifts: Vec<Shift> = frontends
        .iter()
        .map(|frontend| {
            let both = [old, new].map(|side| table(side, frontend));
            changes.extend(step(sides, &both));
            tables.shift(frontend.0.family(), both)
        })
        .collect();
    changes.dedup();
    let flows = mean(&shifts);
    let still = flows.is_none_or(|flows| flows == Shift::default());
    (!changes.is_empty() || !still).then(|| ServiceDiff { name: name.into(), changes, flows })
}

fn checked(service: &Service) -> String {
    let Some(check) = &service.health else { return "none".into() };
    let Probe { kind, interval, timeout, rise, fall } = &check.probe;
    let port = check.port.as_ref().map(|port| format!(" port {}", port.value)).unwrap_or_default();
    let reset = if check.reset_on_fail { ", resets flows" } else { "" };
    let panic = if check.panic { "" } else { ", no panic" };
    format!("{kind}{port} each {interval:?} within {timeout:?}, {rise}/{fall}{reset}{panic}")
}

/// Whether two services have a (VIP, port) in common.
pub fn share_frontends(old: &Service, new: &Service) -> bool {
    !kept(old, new).is_empty()
}

/// One line about a service that comes or goes.
pub fn summary(service: &Service) -> String {
    let vips: Vec<String> = vips(service).into_iter().collect();
    let ports: Vec<String> = ports(service).into_iter().collect();
    let (vips, ports) = (vips.join(", "), ports.join(", "));
    format!(
        "service {}: {vips} port {ports}, {} backends",
        service.name.value,
        service.backends.len()
    )
}

type Frontend = (Addr, u16, Proto);

/// (VIP, port)s that the service has on both sides.
fn kept(old: &Service, new: &Service) -> Vec<Frontend> {
    let all = |service: &Service| -> BTreeSet<Frontend> {
        let ports = || service.ports.iter();
        let vips = service.vips.iter().map(|vip| Addr::from(vip.value));
        vips.flat_map(|vip| ports().map(move |port| (vip, port.port.value, port.proto))).collect()
    };
    all(old).intersection(&all(new)).copied().collect()
}

fn table((desired, service): Side<'_>, frontend: &Frontend) -> (u32, members::Members) {
    let (vip, port, proto) = *frontend;
    let port = service.ports.iter().find(|p| p.port.value == port && p.proto == proto);
    let members =
        port.map(|port| members::of_frontend(service, vip.family(), port)).unwrap_or_default();
    (members::table_size(desired, service, members.len()), members)
}

/// Says when the size of a table changes, and whether that is `auto`'s doing.
fn step(sides: [Side<'_>; 2], both: &[(u32, members::Members); 2]) -> Option<String> {
    let [(before, old), (after, new)] = both;
    if before == after {
        return None;
    }
    let auto = sides.iter().all(|(desired, service)| {
        let wanted = service.table_size.as_ref().unwrap_or(&desired.maglev.table_size);
        wanted.value == TableSize::Auto
    });
    let why = if auto {
        format!(" (auto crosses a step: {} -> {} backends)", old.len(), new.len())
    } else {
        String::new()
    };
    Some(format!("~ table size {before} -> {after}{why}"))
}

fn mean(shifts: &[Shift]) -> Option<Shift> {
    if shifts.is_empty() {
        return None;
    }
    let count = shifts.len() as f64;
    let moved = shifts.iter().map(|shift| shift.moved).sum::<f64>() / count;
    let ended = shifts.iter().map(|shift| shift.ended).sum::<f64>() / count;
    Some(Shift { moved, ended })
}

fn sets(
    old: &Service,
    new: &Service,
    of: impl Fn(&Service) -> BTreeSet<String>,
) -> [BTreeSet<String>; 2] {
    [of(old), of(new)]
}

pub(super) fn listed(changes: &mut Vec<String>, word: &str, [old, new]: [BTreeSet<String>; 2]) {
    changes.extend(old.difference(&new).map(|gone| format!("- {word} {gone}")));
    changes.extend(new.difference(&old).map(|come| format!("+ {word} {come}")));
}

fn vips(service: &Service) -> BTreeSet<String> {
    service.vips.iter().map(|vip| vip.value.to_string()).collect()
}

fn sources(service: &Service) -> BTreeSet<String> {
    service.snat_addresses.iter().map(|addr| addr.value.to_string()).collect()
}

fn ports(service: &Service) -> BTreeSet<String> {
    let port = |port: &crate::desired::ServicePort| {
        let target = match port.target == port.port.value {
            true => String::new(),
            false => format!(" -> {}", port.target),
        };
        format!("{}/{}{target}", port.port.value, port.proto)
    };
    service.ports.iter().map(port).collect()
}

fn announced(announce: &Announce) -> String {
    match announce {
        Announce::All => "all ports".into(),
        Announce::None => "no port".into(),
        Announce::Ports(names) => {
            names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ")
        }
    }
}

fn backends(changes: &mut Vec<String>, old: &Service, new: &Service) {
    let all = |service: &Service| -> BTreeMap<String, u16> {
        let name = |b: &crate::desired::BackendSettings| match b.port {
            Some(port) => std::net::SocketAddr::new(b.address.value, port).to_string(),
            None => b.address.value.to_string(),
        };
        service.backends.iter().map(|backend| (name(backend), backend.weight)).collect()
    };
    let (old, new) = (all(old), all(new));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(format!("- backend {name}"));
    }
    for (name, weight) in &new {
        match old.get(name) {
            None => changes.push(format!("+ backend {name} (weight {weight})")),
            Some(before) if before != weight => {
                let drains = if *weight == 0 { " (drains)" } else { "" };
                changes.push(format!("~ backend {name} weight {before} -> {weight}{drains}"));
            }
            Some(_) => {}
        }
    }
}

impl fmt::Display for ServiceDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "~ service {}", self.name)?;
        for change in &self.changes {
            writeln!(f, "    {change}")?;
        }
        let Some(Shift { moved, ended }) = self.flows else { return Ok(()) };
        writeln!(f, "    {:.1} % of new flows would reach another backend", moved * 100.0)?;
        if ended > 0.0 {
            writeln!(f, "    {:.1} % of established flows end with their backend", ended * 100.0)?;
        }
        Ok(())
    }
}
