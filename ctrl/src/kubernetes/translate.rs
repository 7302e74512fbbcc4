//! A Service with its EndpointSlices to services of ours. Pure. What cannot be is a complaint, and
//! touches nothing but the part that it is about. Where Cilium has a rule, it is Cilium's
//! (`docs/kubernetes.md`).

/// What holds for all services.
mod facts;
/// The addresses that clients use.
mod vips;
/// Where a port of a service ends up.
mod endpoints;
/// Ports that share their backends.
mod groups;
/// Clients, affinity and mode.
mod policy;

use std::sync::Arc;

use dataplane::addr::Proto;

use super::api::endpoint_slice::EndpointSlice;
use super::api::service::{Port, Service};
use super::snapshot::Complaint;
use crate::desired::{self, Announce, Located};
use endpoints::End;
use groups::Group;

pub use facts::{Facts, Path};

/// The services of somebody else's proxy.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Services without any address of their own.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What a Service comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translated {
    /// Of the object that it was made of.
    pub uid: String,
    /// One for each group of ports that have the same backends.
    pub services: Vec<Arc<desired::Service>>,
    /// What cannot be.
    pub complaints: Vec<Complaint>,
}

impl Translated {
    /// From now on it is announced there; says whether it was otherwise before.
    pub fn announce(&mut self, announce: &Announce) -> bool {
        let mut others = false;
        for service in self.services.iter_mut().filter(|service| service.announce != *announce) {
            Arc::make_mut(service).announce = announce.clone();
            others = true;
        }
        others
    }

    /// Whether both have the same addresses, announced in the same places.
    #[must_use]
    pub fn has_addresses_of(&self, other: &Self) -> bool {
        let pairs = self.services.iter().zip(&other.services);
        let mut same = pairs.map(|(a, b)| a.vips == b.vips && a.announce == b.announce);
        self.services.len() == other.services.len() && same.all(|same| same)
    }

    /// Takes services that `before` has too from there, so that one sees by pointer that they are the
    /// same.
    pub fn keep(&mut self, before: &Self) {
        for service in &mut self.services {
            if let Some(same) = before.services.iter().find(|held| *held == service) {
                *service = Arc::clone(same);
            }
        }
    }
}

/// Complaints about one Service.
struct Complaints<'s> {
    service: &'s Service,
    all: Vec<Complaint>,
}

impl Complaints<'_> {
    fn add(&mut self, reason: &'static str, message: impl Into<String>) {
        let metadata = &self.service.metadata;
        let (object, uid) = (metadata.key(), metadata.uid.clone());
        let message = message.into();
        self.all.push(Complaint { kind: "Service", object, uid, reason, message });
    }
}

/// What a Service comes to with these slices of its own. It is announced nowhere: policies say where.
#[must_use]
pub fn translate(service: &Service, slices: &[&EndpointSlice], facts: &Facts) -> Translated {
    let mut complaints = Complaints { service, all: Vec::new() };
    let uid = service.metadata.uid.clone();
    let vips = if is_ours(service) { vips::of(service, &mut complaints) } else { Vec::new() };
    // Without an address it waits for one, which is nothing to complain of.
    if vips.is_empty() {
        return Translated { uid, services: Vec::new(), complaints: complaints.all };
    }
    let services = match policy::of(service, &mut complaints) {
        Some(policy) => {
            let ports = ports(service, slices, facts, &mut complaints);
            let groups = groups::of(ports, &vips);
            let whole = groups.len() == 1;
            groups.iter().map(|group| assemble(service, group, whole, &policy)).collect()
        }
        None => Vec::new(),
    };
    Translated { uid, services, complaints: complaints.all }
}

/// Whether anybody could be served through it.
fn is_ours(service: &Service) -> bool {
    let labels = &service.metadata.labels;
    let elsewhere = labels.get(PROXY_NAME).is_some_and(|name| !name.is_empty());
    let headless = service.spec.cluster_ip == "None" || labels.contains_key(HEADLESS);
    !elsewhere && !headless && service.spec.kind != "ExternalName"
}

/// The ports that can be served, with where each ends up.
fn ports<'s>(
    service: &'s Service,
    slices: &[&EndpointSlice],
    facts: &Facts,
    complaints: &mut Complaints<'_>,
) -> Vec<(&'s Port, Proto, Vec<End>)> {
    let mut ports = Vec::new();
    for port in &service.spec.ports {
        let proto = match port.protocol.as_str() {
            "TCP" => Proto::Tcp,
            "UDP" => Proto::Udp,
            other => {
                let what = format!("port {} is not served: {other} is not built", port.port);
                complaints.add("ProtocolNotSupported", what);
                continue;
            }
        };
        if !(1..=i32::from(u16::MAX)).contains(&port.port) {
            complaints.add("PortInvalid", format!("{} is no port", port.port));
            continue;
        }
        let ends = match facts.path {
            Path::Pods => endpoints::of(port, slices, complaints),
            Path::NodePort => endpoints::nodes(service, port, slices, facts, complaints),
        };
        ports.push((port, proto, ends));
    }
    ports
}

fn assemble(
    service: &Service,
    group: &Group<'_>,
    whole: bool,
    policy: &policy::Policy,
) -> Arc<desired::Service> {
    let mut name = service.metadata.key().to_string();
    if !whole {
        name += &group.suffix();
    }
    Arc::new(desired::Service {
        name: Located::nowhere(name.as_str().into()),
        vips: group.vips.iter().copied().map(Located::nowhere).collect(),
        announce: Announce::None,
        mode: policy.mode,
        snat_addresses: Vec::new(),
        ports: group.ports(),
        backends: group.backends(),
        table_size: None,
        health: None,
        policy: policy.settings.clone(),
    })
}

#[cfg(test)]
mod tests;
