use std::collections::BTreeMap;

use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::l2::Announcements;

/// What policies say of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Name of the lease whose holder announces it; `None` when nobody does.
    pub lease: Option<String>,
    /// Why we do not, whoever holds the lease.
    pub why_not: Option<String>,
}

/// What policies say of each service that we serve.
pub fn choices(found: &Announcements) -> BTreeMap<Key, Choice> {
    let grouped = found.groups.iter();
    let leases: BTreeMap<&Key, &String> = grouped
        .flat_map(|(lease, group)| group.services.iter().map(move |service| (service, lease)))
        .collect();
    let services = found.services.iter().map(|(key, verdict)| {
        let lease = leases.get(key).map(|lease| (*lease).clone());
        let why_not = verdict.as_ref().err().map(ToString::to_string);
        (key.clone(), Choice { lease, why_not })
    });
    services.collect()
}
