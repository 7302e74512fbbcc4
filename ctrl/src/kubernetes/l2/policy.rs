use std::collections::BTreeSet;
use std::net::IpAddr;

use regex::Regex;

use super::why::{Miss, Reason};
use super::{Places, Service};
use crate::kubernetes::api::condition::{self, Condition, Truth};
use crate::kubernetes::api::l2_policy::{
    BAD_INTERFACE_REGEX, BAD_NODE_SELECTOR, BAD_SERVICE_SELECTOR, L2Policy,
};
use crate::kubernetes::api::selector::Labels;

/// A policy as it is on this node.
#[derive(Debug)]
pub struct Policy<'p> {
    object: &'p L2Policy,
    /// What keeps our node from being selected; nothing if it is.
    node: Vec<String>,
    /// Our ports that it names.
    ports: BTreeSet<String>,
    faults: Faults,
}

/// What makes no sense in a policy. One such thing, and it selects nothing, wherever that is.
#[derive(Debug, Default)]
struct Faults {
    node_selector: Option<String>,
    interface: Option<String>,
    service_selector: Option<String>,
}

impl<'p> Policy<'p> {
    /// Looks at a policy from a node with these labels and ports.
    pub fn judge(object: &'p L2Policy, node: &Labels, ports: &[&str]) -> Self {
        let spec = &object.spec;
        let mut faults = Faults::default();
        let obstacles = spec.node_selector.as_ref().map(|selector| selector.obstacles(node));
        let node = obstacles.unwrap_or(Ok(Vec::new())).unwrap_or_else(|error| {
            faults.node_selector = Some(error.to_string());
            Vec::new()
        });
        let ports = matching(&spec.interfaces, ports).unwrap_or_else(|error| {
            faults.interface = Some(error.to_string());
            BTreeSet::new()
        });
        // Whether a selector makes sense does not hang on labels.
        let nonsense =
            spec.service_selector.as_ref().map(|selector| selector.selects(&Labels::new()));
        faults.service_selector = nonsense.and_then(Result::err).map(|error| error.to_string());
        Self { object, node, ports, faults }
    }

    /// The addresses of a service that it has announced by the nodes that it selects.
    ///
    /// # Errors
    /// Why it has none of them announced.
    pub fn addresses(&self, service: &Service, labels: &Labels) -> Result<BTreeSet<IpAddr>, Miss> {
        if let Some(fault) = self.faults.first() {
            return Err(self.miss(Reason::Fault(fault.clone())));
        }
        let spec = &self.object.spec;
        let selector = spec.service_selector.as_ref();
        // Its faults were found before.
        let obstacles = selector.map_or(Ok(Vec::new()), |selector| selector.obstacles(labels));
        let obstacles = obstacles.unwrap_or_default();
        if !obstacles.is_empty() {
            return Err(self.miss(Reason::Service(obstacles)));
        }
        let kinds = [
            (spec.load_balancer_ips, &service.load_balancer_ips),
            (spec.external_ips, &service.external_ips),
        ];
        let enabled = kinds.into_iter().filter(|(enabled, _)| *enabled);
        let addresses: BTreeSet<IpAddr> =
            enabled.flat_map(|(_, addresses)| addresses).copied().collect();
        if addresses.is_empty() {
            return Err(self.miss(self.no_addresses()));
        }
        Ok(addresses)
    }

    /// Where these addresses are announced by our node.
    ///
    /// # Errors
    /// Why they are not.
    pub fn places(&self, addresses: &BTreeSet<IpAddr>) -> Result<Places, Miss> {
        if !self.node.is_empty() {
            return Err(self.miss(Reason::Node(self.node.clone())));
        }
        if self.ports.is_empty() {
            return Err(self.miss(Reason::Interfaces(self.object.spec.interfaces.clone())));
        }
        Ok(addresses.iter().map(|addr| (*addr, self.ports.clone())).collect())
    }

    /// Name and conditions, if those are not as they should be. What a node that is not selected does
    /// not look at, it says nothing of.
    pub fn conditions(&self) -> Option<(String, Vec<Condition>)> {
        let mut conditions = self.object.status.conditions.clone();
        let Faults { node_selector, interface, service_selector } = &self.faults;
        let checks = [
            (BAD_NODE_SELECTOR, node_selector),
            (BAD_INTERFACE_REGEX, interface),
            (BAD_SERVICE_SELECTOR, service_selector),
        ];
        for (kind, fault) in checks {
            self.say(&mut conditions, kind, fault.as_deref());
            if fault.is_some() || !self.node.is_empty() {
                break;
            }
        }
        let changed = conditions != self.object.status.conditions;
        changed.then(|| (self.object.metadata.name.clone(), conditions))
    }

    fn say(&self, conditions: &mut Vec<Condition>, kind: &str, fault: Option<&str>) {
        let status = if fault.is_some() { Truth::True } else { Truth::False };
        let generation = self.object.metadata.generation;
        let said = condition::find(conditions, kind);
        let nothing_to_clear = said.is_none() && fault.is_none();
        // Others find the same in other words: whoever is first has said it.
        let same =
            |said: &Condition| said.status == status && said.observed_generation == generation;
        if nothing_to_clear || said.is_some_and(same) {
            return;
        }
        let new = Condition {
            kind: kind.to_owned(),
            status,
            observed_generation: generation,
            reason: "error".to_owned(),
            message: fault.unwrap_or_default().to_owned(),
        };
        condition::set(conditions, new);
    }

    fn no_addresses(&self) -> Reason {
        let spec = &self.object.spec;
        match (spec.load_balancer_ips, spec.external_ips) {
            (false, false) => Reason::NoKind,
            (true, false) => Reason::NoneOfKind("loadBalancerIPs"),
            _ => Reason::NoneOfKind("externalIPs"),
        }
    }

    fn miss(&self, reason: Reason) -> Miss {
        Miss { policy: self.object.metadata.name.clone(), reason }
    }
}

impl Faults {
    fn first(&self) -> Option<&String> {
        let Self { node_selector, interface, service_selector } = self;
        node_selector.as_ref().or(interface.as_ref()).or(service_selector.as_ref())
    }
}

/// Ports in whose name one of the expressions is found, wherever in it; all without expressions.
fn matching(interfaces: &[String], ports: &[&str]) -> Result<BTreeSet<String>, regex::Error> {
    let all: Vec<Regex> =
        interfaces.iter().map(|interface| Regex::new(interface)).collect::<Result<_, _>>()?;
    let meant = |port: &&&str| all.is_empty() || all.iter().any(|regex| regex.is_match(port));
    Ok(ports.iter().filter(meant).map(|port| (*port).to_owned()).collect())
}
