use std::sync::Arc;

use super::{Judged, Last, Merged, Merger};
use crate::compile::OnHost;
use crate::desired::{Desired, Service};
use crate::kubernetes::snapshot::Snapshot;
use crate::problem::Problem;
use crate::validate::validate_alone;

impl Merger {
    /// What `merge_all` would come to, found out from the services that changed alone; `None` where all
    /// have to be looked at. Endpoints are what changes all the time, and hardly ever does a service stand
    /// in the way of another then.
    pub(super) fn again(
        &mut self,
        file: &Desired,
        snapshot: &Snapshot,
        host: &OnHost<'_>,
    ) -> Option<Merged> {
        let last = self.last.as_mut()?;
        if !last.has_basis(file, snapshot, host) {
            return None;
        }
        let pairs = last.merged.taken.iter().zip(&*snapshot.services);
        let others = pairs.enumerate().filter(|(_, (old, new))| !Arc::ptr_eq(old, new));
        let others: Vec<usize> = others.map(|(at, _)| at).collect();
        for &at in &others {
            let (old, new) = (&last.merged.taken[at].service, &snapshot.services[at].service);
            let fits = is_reached_as(old, new) && last.taken.misdirected(new).is_none();
            if !fits || validate_alone(new, &last.merged.desired).iter().any(Problem::is_error) {
                return None;
            }
        }
        let first = last.file.services.len();
        for at in others {
            let service = &snapshot.services[at].service;
            let old = std::mem::replace(
                &mut last.merged.desired.services[first + at],
                Arc::clone(service),
            );
            self.judged.remove(&Arc::as_ptr(&old));
            let judged = Judged { service: Arc::clone(service), wrong: None };
            self.judged.insert(Arc::as_ptr(service), judged);
        }
        last.merged.taken = Arc::clone(&snapshot.services);
        Some(last.merged.clone())
    }
}

impl Last {
    /// Whether nothing but services may be others.
    fn has_basis(&self, file: &Desired, snapshot: &Snapshot, host: &OnHost<'_>) -> bool {
        self.merged.taken.len() == snapshot.services.len()
            && self.hints == snapshot.maglev
            && self.file == *file
            && self.host == host.basis()
    }
}

/// Whether both have the same name, addresses and ports: then the newer one takes nothing from anybody.
fn is_reached_as(old: &Service, new: &Service) -> bool {
    old.name == new.name && old.vips == new.vips && old.ports == new.ports
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{file, wish};
    use super::*;
    use crate::kubernetes::snapshot::ClusterService;
    use crate::topology::Topology;

    /// A service, by its place among few names, addresses and backends, so that many are in each other's way.
    fn any_wish(place: usize) -> impl Strategy<Value = Arc<ClusterService>> {
        let vip = prop_oneof![8 => Just(10 + place), 1 => 1..16_usize];
        let backend = prop_oneof![6 => (1..9_usize).prop_map(|n| format!("10.1.0.{n}")),
            1 => (1..16_usize).prop_map(|n| format!("10.9.0.{n}")),
            1 => Just("127.0.0.1".to_owned()), 1 => Just("10.8.0.1".to_owned())];
        (vip, backend).prop_map(move |(vip, backend)| {
            Arc::new(wish(&format!("s{place} 10.9.0.{vip} {backend}")))
        })
    }

    fn edits() -> impl Strategy<Value = Vec<(usize, Arc<ClusterService>)>> {
        let edit = (0..5_usize).prop_flat_map(|at| (Just(at), any_wish(at)));
        proptest::collection::vec(edit, 1..30)
    }

    proptest! {
        #[test]
        fn a_change_comes_to_what_all_come_to(edits in edits()) {
            let (file, topology) = (file(), Topology::default());
            let host = OnHost::new(&file, &topology);
            let first = |n: usize| Arc::new(wish(&format!("s{n} 10.9.0.{} 10.1.0.2", 10 + n)));
            let mut services: Vec<_> = (0..5).map(first).collect();
            let mut merger = Merger::default();
            for (at, wish) in edits {
                services[at] = wish;
                let snapshot = Snapshot { services: services.clone().into(), ..Snapshot::default() };
                let merged = merger.merge(&file, &snapshot, &host);
                let anew = Merger::default().merge(&file, &snapshot, &host);
                prop_assert_eq!(&merged.desired, &anew.desired);
                prop_assert_eq!(&merged.taken, &anew.taken);
                prop_assert_eq!(&merged.complaints, &anew.complaints);
                prop_assert_eq!(merger.judged.len(), services.len());
            }
        }
    }

    #[test]
    fn another_backend_is_found_out_from_its_service_alone() {
        let (file, topology) = (file(), Topology::default());
        let host = OnHost::new(&file, &topology);
        let snapshot = |backend: &str| {
            let wishes = [Arc::new(wish("a 10.9.0.2 10.1.0.2")), Arc::new(wish(backend))];
            Snapshot { services: wishes.into(), ..Snapshot::default() }
        };
        let mut merger = Merger::default();
        merger.merge(&file, &snapshot("b 10.9.0.3 10.1.0.3"), &host);
        let mut again = |backend| merger.again(&file, &snapshot(backend), &host).is_some();
        assert!(again("b 10.9.0.3 10.1.0.4"));
        assert!(!again("b 10.9.0.3 10.9.0.2"), "that is a VIP");
        assert!(!again("b 10.9.0.3 10.9.0.3"), "that is its own");
        assert!(!again("b 10.9.0.4 10.1.0.4"), "another address");
        assert!(!again("b 10.9.0.3 127.0.0.1"), "not a backend at all");
        assert!(again("b 10.9.0.3 10.1.0.5"));
    }
}
