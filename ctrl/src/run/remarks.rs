use std::collections::{BTreeMap, HashMap};

use super::Gateway;
use crate::api_types::{Announcement, Service};
use crate::kubernetes::announcing::{Announced, Choice, LeaseState};
use crate::kubernetes::api::metadata::Key;

/// What is said of services of the cluster, gathered once for an answer.
pub(super) struct Remarks<'a> {
    /// The objects that services are made of, by name of the service.
    objects: HashMap<&'a str, &'a Key>,
    problems: BTreeMap<Key, Vec<String>>,
    leases: HashMap<&'a str, &'a LeaseState>,
    announced: &'a Announced,
}

impl Gateway {
    /// What is to be said of services of the cluster.
    pub(super) fn remarks(&self) -> Remarks<'_> {
        let announced = &*self.cluster.snapshot.announced;
        let mut problems: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        // That it is not announced is said by the announcement.
        let complaints = self.complaints().all().into_iter();
        for of in complaints.filter(|of| of.kind == "Service" && of.reason != "NotAnnounced") {
            problems.entry(of.object).or_default().push(of.message);
        }
        let taken = self.cluster.taken.iter();
        Remarks {
            objects: taken.map(|of| (&*of.service.name.value, &of.object)).collect(),
            problems,
            leases: announced.leases.iter().map(|lease| (&*lease.lease, lease)).collect(),
            announced,
        }
    }
}

impl Remarks<'_> {
    /// The service with what is to be said of it; one of the file stays as it is.
    pub(super) fn on(&self, service: Service) -> Service {
        let Some(object) = self.objects.get(&*service.name) else { return service };
        let mut problems = self.problems.get(*object).cloned().unwrap_or_default();
        if service.backends.iter().all(|backend| backend.weight == 0) {
            problems.push("no endpoint of it is ready for new connections".to_owned());
        }
        let choice = self.announced.choices.get(*object);
        let announcement = choice.map(|choice| self.announcement(choice, &service));
        Service { problems, announcement, ..service }
    }

    fn announcement(&self, choice: &Choice, service: &Service) -> Announcement {
        let ours = !service.announce.is_empty();
        let state = choice.lease.as_deref().and_then(|lease| self.leases.get(lease));
        let held = state.filter(|state| state.taken || state.leads);
        let holder = held.and_then(|state| state.holder.clone());
        let why_not = || {
            let of_lease = state.and_then(|s| s.refused.clone().or_else(|| s.unwilling.clone()));
            let held_back = ["released", "lingers"].contains(&&*service.hold);
            let by_hand = held_back.then(|| "its address was released".to_owned());
            let nobody = || "nobody holds its lease yet".to_owned();
            choice
                .why_not
                .clone()
                .or(of_lease)
                .or(by_hand)
                .or_else(|| holder.is_none().then(nobody))
        };
        let why_not = if ours { None } else { why_not() };
        Announcement { ours, lease: choice.lease.clone(), holder, why_not }
    }
}
