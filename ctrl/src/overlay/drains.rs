use std::collections::BTreeMap;
use std::time::SystemTime;

use dataplane::addr::{Addr, L4Port};

use crate::desired::{BackendSettings, Service};

/// Something that gets no new flows because an operator said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    /// Every service on this VIP.
    Vip(Addr),
    /// This backend in every service; with a port (host order) only where a service sends to it.
    Backend(Addr, Option<L4Port>),
}

/// Everything that is drained, with the time since when. It outlives reloads and ends with the
/// process.
#[derive(Debug, Clone, Default)]
pub struct Drains {
    all: BTreeMap<Drained, SystemTime>,
}

impl Drains {
    /// Drains it from `now` on, unless it is drained already.
    pub fn add(&mut self, what: Drained, now: SystemTime) {
        self.all.entry(what).or_insert(now);
    }

    /// Ends that. Returns whether it was drained.
    pub fn remove(&mut self, what: Drained) -> bool {
        self.all.remove(&what).is_some()
    }

    /// Whether nothing is drained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Everything that is drained.
    pub fn iter(&self) -> impl Iterator<Item = (Drained, SystemTime)> {
        self.all.iter().map(|(what, since)| (*what, *since))
    }

    /// Whether it is drained.
    #[must_use]
    pub fn contains(&self, what: Drained) -> bool {
        self.all.contains_key(&what)
    }

    /// Drains that hold back what this one does, or part of it: of the same backend as a whole,
    /// or at a port.
    pub fn others(&self, what: Drained) -> impl Iterator<Item = Drained> {
        let touches = move |other: Drained| match (what, other) {
            (Drained::Backend(a, port), Drained::Backend(b, other)) => {
                a == b && port != other && (port.is_none() || other.is_none())
            }
            _ => false,
        };
        self.all.keys().copied().filter(move |other| touches(*other))
    }

    /// Whether this VIP is drained.
    #[must_use]
    pub fn vip(&self, addr: Addr) -> bool {
        !self.is_empty() && self.contains(Drained::Vip(addr))
    }

    /// Whether this backend of `service` is. A backend is drained in all ports of a service at once.
    #[must_use]
    pub fn backend(&self, service: &Service, backend: &BackendSettings) -> bool {
        if self.is_empty() {
            return false;
        }
        let addr = Addr::from(backend.address.value);
        let at = |port| self.contains(Drained::Backend(addr, Some(port)));
        self.contains(Drained::Backend(addr, None))
            || service.ports.iter().any(|port| at(backend.port.unwrap_or(port.target)))
    }
}
