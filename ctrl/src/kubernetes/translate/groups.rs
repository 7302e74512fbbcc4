use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane::addr::{L4Port, Proto};

use super::endpoints::End;
use crate::desired::{BackendSettings, Located, ServicePort};
use crate::kubernetes::api::service::Port;

/// Ports of one service whose packets end up at the same backends, and the addresses that they are of.
#[derive(Debug)]
pub struct Group<'s> {
    /// The addresses.
    pub vips: Vec<IpAddr>,
    ports: Vec<Member<'s>>,
    backends: Vec<Backend>,
    /// Of addresses whose family has other backends than the rest.
    family: Option<&'static str>,
}

#[derive(Debug)]
struct Member<'s> {
    port: &'s Port,
    proto: Proto,
    target: L4Port,
}

/// A backend; the port is its own where backends listen on different ones.
type Backend = (IpAddr, Option<L4Port>, u16);

/// Puts ports together that have the same backends; addresses of a family of which there is no backend
/// while there are others stand apart, since nothing translates between families.
pub fn of<'s>(ports: Vec<(&'s Port, Proto, Vec<End>)>, vips: &[IpAddr]) -> Vec<Group<'s>> {
    let mut order: Vec<Vec<Backend>> = Vec::new();
    let mut members: BTreeMap<usize, Vec<Member<'s>>> = BTreeMap::new();
    for (port, proto, ends) in ports {
        let has_vip = |end: &&End| vips.iter().any(|vip| vip.is_ipv4() == end.address.is_ipv4());
        let ends: Vec<&End> = ends.iter().filter(has_vip).collect();
        let (target, backends) = backends(port, &ends);
        let at = order.iter().position(|held| *held == backends);
        let at = at.unwrap_or_else(|| {
            order.push(backends);
            order.len() - 1
        });
        members.entry(at).or_default().push(Member { port, proto, target });
    }
    let groups = order.into_iter().zip(members.into_values());
    groups.flat_map(|(backends, ports)| by_family(backends, ports, vips)).collect()
}

/// The port of all backends where they have one; else each has its own.
fn backends(port: &Port, ends: &[&End]) -> (L4Port, Vec<Backend>) {
    // In range: `translate` has looked.
    let own = L4Port::try_from(port.port).unwrap_or_default();
    let target = ends.first().map_or(own, |end| end.port);
    if ends.iter().all(|end| end.port == target) {
        return (target, ends.iter().map(|end| (end.address, None, end.weight)).collect());
    }
    (own, ends.iter().map(|end| (end.address, Some(end.port), end.weight)).collect())
}

fn by_family<'s>(
    backends: Vec<Backend>,
    ports: Vec<Member<'s>>,
    vips: &[IpAddr],
) -> Vec<Group<'s>> {
    let served = |vip: &IpAddr| {
        backends.is_empty() || backends.iter().any(|(addr, ..)| addr.is_ipv4() == vip.is_ipv4())
    };
    let (with, without): (Vec<IpAddr>, Vec<IpAddr>) = vips.iter().partition(|vip| served(vip));
    let bare = without.first().map(|vip| {
        let family = Some(if vip.is_ipv4() { "ipv4" } else { "ipv6" });
        let again = |member: &Member<'s>| Member { ..*member };
        Group {
            ports: ports.iter().map(again).collect(),
            vips: without.clone(),
            backends: Vec::new(),
            family,
        }
    });
    let whole = (!with.is_empty()).then_some(Group { vips: with, ports, backends, family: None });
    whole.into_iter().chain(bare).collect()
}

impl Group<'_> {
    /// What tells it from the other groups of its service.
    pub fn suffix(&self) -> String {
        let first = self.ports.first().map(|member| match member.port.name.as_str() {
            "" => format!("{}-{}", member.port.port, member.proto),
            name => name.to_owned(),
        });
        let family = self.family.map(|family| format!(":{family}")).unwrap_or_default();
        format!(":{}{family}", first.unwrap_or_default())
    }

    /// Its ports as the compiler wants them.
    pub fn ports(&self) -> Vec<ServicePort> {
        let ports = self.ports.iter().map(|member| ServicePort {
            port: Located::nowhere(L4Port::try_from(member.port.port).unwrap_or_default()),
            proto: member.proto,
            target: member.target,
        });
        ports.collect()
    }

    /// Its backends as the compiler wants them.
    pub fn backends(&self) -> Vec<BackendSettings> {
        let backends = self.backends.iter().map(|&(address, port, weight)| BackendSettings {
            address: Located::nowhere(address),
            port,
            weight,
        });
        backends.collect()
    }
}
