use std::net::IpAddr;

use super::request::Request;
use crate::kubernetes::api::condition::{self, Condition, Truth};
use crate::kubernetes::api::metadata::{Key, Metadata};
use crate::kubernetes::api::service::{Ingress, Service};

/// The condition on services: whether they have what they ask for.
pub const SATISFIED: &str = "cilium.io/IPAMRequestSatisfied";

/// A service that we are responsible for.
#[derive(Debug)]
pub struct View {
    /// Where it is.
    pub key: Key,
    /// Of its object.
    pub metadata: Metadata,
    /// What it asks for.
    pub request: Request,
    /// The addresses that it has, in the order in which it got them. Not all need to be on its
    /// object: the object may have been changed by somebody else.
    pub held: Vec<IpAddr>,
    /// What shall be on its object.
    pub wanted: Statement,
    /// What is on its object, as far as we know.
    pub shown: Statement,
}

/// What we say on the object of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// The whole list.
    pub ingress: Vec<Ingress>,
    /// Of type [`SATISFIED`].
    pub condition: Option<Condition>,
}

impl Statement {
    /// What is on an object.
    #[must_use]
    pub fn read(service: &Service) -> Self {
        let status = &service.status;
        Self {
            ingress: status.load_balancer.ingress.clone(),
            condition: condition::find(&status.conditions, SATISFIED).cloned(),
        }
    }

    /// Whether an address is on the list.
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        self.find(address).is_some()
    }

    /// Where an address is on the list.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Ingress> {
        self.ingress.iter().find(|ingress| ingress.ip.parse() == Ok(address))
    }

    /// The addresses on the list, in its order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ingress.iter().filter_map(|ingress| ingress.ip.parse().ok())
    }
}

impl View {
    /// A service that has nothing yet.
    #[must_use]
    pub fn new(service: &Service, request: Request) -> Self {
        let statement = Statement::read(service);
        Self {
            key: service.metadata.key(),
            metadata: service.metadata.clone(),
            request,
            held: Vec::new(),
            wanted: statement.clone(),
            shown: statement,
        }
    }

    /// Takes over what the object says now. Its list of addresses is the truth from which all else
    /// is made, so that a change by hand is not undone if it can be kept.
    pub fn update(&mut self, service: &Service, request: Request) {
        let statement = Statement::read(service);
        self.metadata = service.metadata.clone();
        self.request = request;
        self.wanted.clone_from(&statement);
        self.shown = statement;
    }

    /// Whether all that it asks for is on its list.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        if !self.request.addresses.is_empty() {
            return self.request.addresses.iter().all(|&address| self.wanted.lists(address));
        }
        let families = self.request.families;
        (!families.ipv4 || self.wanted.addresses().any(|address| address.is_ipv4()))
            && (!families.ipv6 || self.wanted.addresses().any(|address| address.is_ipv6()))
    }

    /// Says whether it has what it asks for, and if not, why.
    pub fn say(&mut self, status: Truth, reason: &str, message: String) {
        self.wanted.condition = Some(Condition {
            kind: SATISFIED.to_owned(),
            status,
            observed_generation: self.metadata.generation,
            reason: reason.to_owned(),
            message,
        });
    }
}
