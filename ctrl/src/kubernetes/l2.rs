//! L2 announcements: which services this gateway may announce, on which ports, and which of them have
//! one leader. Pure. A policy decides who announces, not who forwards.

/// Policies as they are on this node.
mod policy;
/// Services that have one leader.
mod groups;
/// Why something is not announced, in words.
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::kubernetes::api::condition::Condition;
use crate::kubernetes::api::l2_policy::L2Policy;
use crate::kubernetes::api::metadata::{Key, Timestamp};
use crate::kubernetes::api::selector::Labels;

pub use groups::{Group, router_lease};
pub use why::{Miss, Reason, WhyNot};

/// The class of services that are announced, besides those without one.
pub const CLASS: &str = "io.cilium/l2-announcer";
/// Labels that every service has for selectors.
const NAMESPACE_LABEL: &str = "io.kubernetes.service.namespace";
const NAME_LABEL: &str = "io.kubernetes.service.name";

/// A service, as far as announcing it needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Where it is.
    pub key: Key,
    /// When it was made.
    pub created: Timestamp,
    /// For selectors.
    pub labels: Labels,
    /// `spec.loadBalancerClass`
    pub class: Option<String>,
    /// Addresses in `status.loadBalancer.ingress`.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.externalIPs`
    pub external_ips: Vec<IpAddr>,
    /// With `externalTrafficPolicy: Local`: whether an endpoint that is ready is reached from here
    /// without another node in between. `None` for `Cluster`.
    pub local_path: Option<bool>,
    /// In mode `nat`: router addresses that its backends send their replies to.
    pub routers: BTreeSet<IpAddr>,
}

/// Everything that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct World<'w> {
    /// All services that we serve.
    pub services: &'w [Service],
    /// All policies.
    pub policies: &'w [L2Policy],
    /// Labels of our CiliumNode; of our Node where there is none.
    pub node: &'w Labels,
    /// Names of our ports.
    pub ports: &'w [&'w str],
}

/// Ports on which an address is announced, by name.
pub type Places = BTreeMap<IpAddr, BTreeSet<String>>;

/// What follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announcements {
    /// Where each service may be announced by us, or why it may not.
    pub services: BTreeMap<Key, Result<Places, WhyNot>>,
    /// Services that have one leader, and where we announce them when that is us; by lease.
    pub groups: BTreeMap<String, Group>,
    /// Conditions of policies that are not as they should be, by name of the policy: the whole list.
    pub conditions: BTreeMap<String, Vec<Condition>>,
}

/// What holds of one service.
#[derive(Debug, Clone, Default)]
struct Standing {
    /// Addresses that some node may announce. Each gateway finds the same, whatever its node is.
    anywhere: BTreeSet<IpAddr>,
    /// Addresses that we may announce.
    here: Places,
    /// Why no more of them.
    misses: Vec<Miss>,
}

/// Finds out who may announce what.
#[must_use]
pub fn announcements(world: &World<'_>) -> Announcements {
    let judge = |object| policy::Policy::judge(object, world.node, world.ports);
    let policies: Vec<_> = world.policies.iter().map(judge).collect();
    let conditions = policies.iter().filter_map(policy::Policy::conditions);
    let mut result = Announcements { conditions: conditions.collect(), ..Announcements::default() };
    let mut members = Vec::new();
    for service in world.services {
        let verdict = service.eligible().and_then(|()| {
            let standing = service.standing(&policies);
            let Standing { here, misses, .. } = &standing;
            let verdict =
                if here.is_empty() { Err(WhyNot::from(misses.clone())) } else { Ok(here.clone()) };
            members.push((service, standing));
            verdict
        });
        result.services.insert(service.key.clone(), verdict);
    }
    result.groups = groups::groups(&members);
    result
}

impl Service {
    /// Whether anybody may announce it.
    fn eligible(&self) -> Result<(), WhyNot> {
        if let Some(class) = self.class.as_ref().filter(|class| *class != CLASS) {
            return Err(WhyNot::Class(class.clone()));
        }
        let has_address = !self.load_balancer_ips.is_empty() || !self.external_ips.is_empty();
        if has_address { Ok(()) } else { Err(WhyNot::NoAddress) }
    }

    fn standing(&self, policies: &[policy::Policy<'_>]) -> Standing {
        let mut standing = Standing::default();
        let labels = self.labels_for_selectors();
        for policy in policies {
            match policy.addresses(self, &labels) {
                Ok(addresses) => {
                    standing.anywhere.extend(&addresses);
                    match policy.places(&addresses) {
                        Ok(places) => merge(&mut standing.here, places),
                        Err(miss) => standing.misses.push(miss),
                    }
                }
                Err(miss) => standing.misses.push(miss),
            }
        }
        standing
    }

    fn labels_for_selectors(&self) -> Labels {
        let mut labels = self.labels.clone();
        labels.insert(NAMESPACE_LABEL.to_owned(), self.key.namespace.clone());
        labels.insert(NAME_LABEL.to_owned(), self.key.name.clone());
        labels
    }
}

/// Adds what others announce.
fn merge(places: &mut Places, others: Places) {
    for (addr, ports) in others {
        places.entry(addr).or_default().extend(ports);
    }
}

#[cfg(test)]
mod tests;
