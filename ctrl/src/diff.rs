//! What a change does before it is made: services, backends and ports that come and go, and the
//! share of each service's flows that would go elsewhere. Pure: looks at two `Desired` only.

/// How much of a frontend's flows moves.
mod shift;
/// Mode of a service, and what it does besides balancing.
mod policy;
/// One service before and after.
mod service;
/// Settings of the gateway.
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::desired::{Desired, Service};

pub use service::ServiceDiff;
pub use shift::Shift;

/// Everything that a change does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// Settings of the gateway and its ports, one line each.
    pub settings: Vec<String>,
    /// Services that come and go, by name.
    pub added: Vec<String>,
    /// Services that go.
    pub removed: Vec<String>,
    /// Services that change, or whose flows move although they do not.
    pub changed: Vec<ServiceDiff>,
}

/// Compares two configurations.
#[must_use]
pub fn diff(old: &Desired, new: &Desired) -> Diff {
    let before = by_name(old);
    let after = by_name(new);
    let mut tables = shift::Tables::new(*old.maglev.seeds, *new.maglev.seeds);
    let mut changed = Vec::new();
    let renamed = renamed(&before, &after);
    for (name, service) in &after {
        let Some(former) = before.get(name).or_else(|| renamed.get(name)) else { continue };
        let sides = [(old, former.as_ref()), (new, service.as_ref())];
        changed.extend(service::compare(name, sides, &mut tables));
    }
    let kept = |name: &Arc<str>| renamed.values().any(|former| former.name.value == *name);
    let added = after.iter().filter(|(name, _)| !before.contains_key(*name));
    let removed = before.iter().filter(|(name, _)| !after.contains_key(*name));
    Diff {
        settings: settings::compare(old, new),
        added: added
            .filter(|(name, _)| !renamed.contains_key(*name))
            .map(|(_, service)| service::summary(service))
            .collect(),
        removed: removed
            .filter(|(name, _)| !kept(name))
            .map(|(_, service)| service::summary(service))
            .collect(),
        changed,
    }
}

type Services = BTreeMap<Arc<str>, Arc<Service>>;

/// What services with a new name were called before: the name means nothing to flows, which go by
/// (VIP, port). A (VIP, port) belongs to one service only, so there is at most one former.
fn renamed(before: &Services, after: &Services) -> Services {
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    new.filter_map(|(name, service)| {
        let mut gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
        let (_, former) = gone.find(|(_, former)| service::share_frontends(former, service))?;
        Some((Arc::clone(name), Arc::clone(former)))
    })
    .collect()
}

impl Diff {
    /// Whether the change does nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no difference");
        }
        for line in &self.settings {
            writeln!(f, "~ {line}")?;
        }
        for service in &self.removed {
            writeln!(f, "- {service}")?;
            writeln!(f, "    its established TCP flows are reset")?;
        }
        for service in &self.added {
            writeln!(f, "+ {service}")?;
        }
        self.changed.iter().try_for_each(|service| write!(f, "{service}"))
    }
}

fn by_name(desired: &Desired) -> Services {
    let services = desired.services.iter();
    services.map(|service| (Arc::clone(&service.name.value), Arc::clone(service))).collect()
}
