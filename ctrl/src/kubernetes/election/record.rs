use super::{Seat, Timing};
use crate::kubernetes::api::lease::{Lease, LeaseMetadata, LeaseSpec, MicroTime};

/// Annotation of a lease that was given up: the gateway that takes it at once.
pub const SUCCESSOR: &str = "portreeve.io/successor";

/// The lease in our hands: taken, or renewed if it was ours `before`.
pub fn taken(before: Option<&Lease>, seat: &Seat, timing: &Timing, wall: &MicroTime) -> Lease {
    let mut lease = before.cloned().unwrap_or_else(|| Lease {
        metadata: LeaseMetadata {
            name: seat.lease.clone(),
            namespace: seat.namespace.clone(),
            ..LeaseMetadata::default()
        },
        spec: LeaseSpec::default(),
    });
    lease.metadata.annotations.remove(SUCCESSOR);
    let spec = &mut lease.spec;
    let transitions = spec.lease_transitions.unwrap_or_default();
    if spec.holder_identity != seat.me {
        spec.holder_identity.clone_from(&seat.me);
        spec.acquire_time = Some(wall.clone());
        spec.lease_transitions = Some(transitions.saturating_add(i32::from(before.is_some())));
    }
    spec.lease_transitions.get_or_insert(transitions);
    spec.acquire_time.get_or_insert_with(|| wall.clone());
    spec.renew_time = Some(wall.clone());
    spec.lease_duration_seconds = Some(timing.seconds());
    lease
}

/// The lease in nobody's hands, as agents leave it: one second is the least that the API allows.
pub fn released(before: &Lease, wall: &MicroTime, successor: Option<&str>) -> Lease {
    let mut lease = before.clone();
    let annotations = &mut lease.metadata.annotations;
    match successor {
        Some(successor) => annotations.insert(SUCCESSOR.to_owned(), successor.to_owned()),
        None => annotations.remove(SUCCESSOR),
    };
    let spec = &mut lease.spec;
    spec.holder_identity.clear();
    spec.lease_duration_seconds = Some(1);
    spec.acquire_time = Some(wall.clone());
    spec.renew_time = Some(wall.clone());
    lease
}
