use std::collections::HashMap;
use std::net::IpAddr;

use dataplane::time::BootTime;

use crate::api_types::{Announcement, Service};
use crate::kubernetes::announcing::LeaseState;
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::snapshot::{ClusterService, Snapshot};

/// How a message about a service that no policy selects goes on after its name.
const NOT_ANNOUNCED: &str = " is not announced: ";

/// Who announces what.
#[derive(Debug)]
pub(in crate::run) struct Announcing<'s> {
    /// Objects by the names of services that are made of them.
    objects: HashMap<&'s str, &'s Key>,
    leases: HashMap<IpAddr, &'s LeaseState>,
    why_not: HashMap<&'s Key, &'s str>,
}

impl<'s> Announcing<'s> {
    pub(super) fn of(
        taken: impl IntoIterator<Item = &'s ClusterService>,
        snapshot: &'s Snapshot,
    ) -> Self {
        let objects = taken.into_iter().map(|wish| (&*wish.service.name.value, &wish.object));
        let leases = snapshot.announced.leases.iter();
        let leases =
            leases.flat_map(|lease| lease.addresses.iter().map(move |address| (*address, lease)));
        let missed = snapshot.complaints.iter().filter_map(|complaint| {
            let (_, why) = complaint.message.split_once(NOT_ANNOUNCED)?;
            (complaint.reason == "NotAnnounced").then_some((&complaint.object, why))
        });
        Self { objects: objects.collect(), leases: leases.collect(), why_not: missed.collect() }
    }

    /// Says it of a service, if it is one of the cluster.
    pub(in crate::run) fn show(&self, service: &mut Service) {
        let Some(object) = self.objects.get(service.name.as_str()) else { return };
        let lease = self.leases.get(&service.vip);
        let ours = lease.is_some_and(|lease| lease.deadline.get() > BootTime::now());
        if !ours {
            service.announce.clear();
        }
        service.announcement = Some(Announcement {
            ours,
            lease: lease.map(|lease| lease.lease.clone()),
            holder: lease.and_then(|lease| lease.holder.clone()),
            why_not: self.why_not.get(object).map(|why| (*why).to_owned()),
        });
    }
}
