use std::time::Duration;

use dataplane::time::BootTime;

use crate::kubernetes::api::lease::Lease;
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::election::{Seen, Watched};
use crate::kubernetes::kinds::Store;
use crate::kubernetes::snapshot::Complaint;

/// The lease by which operators of Cilium choose their leader.
const LEASE: &str = "cilium-operator-resource-lock";
/// How long one lasts that does not say so.
const DURATION: Duration = Duration::from_secs(15);
/// It is never ours.
const NOBODY: &str = "";

/// Whether an operator of Cilium is alive: its lease is seen to change within the time that it is for, as
/// in our own elections.
#[derive(Debug, Default)]
pub(super) struct Operator {
    seen: Option<Watched>,
}

/// The operator's lease.
pub(super) fn lease<'s>(store: &'s Store, namespace: &str) -> Option<&'s Lease> {
    let key = Key { namespace: namespace.to_owned(), name: LEASE.to_owned() };
    store.leases.get(&key).map(|lease| &**lease)
}

/// What is said when both give addresses.
pub(super) fn contest(namespace: &str) -> Complaint {
    Complaint {
        kind: "Lease",
        object: Key { namespace: namespace.to_owned(), name: LEASE.to_owned() },
        uid: String::new(),
        reason: "TwoAllocators",
        message: "an operator of Cilium gives addresses, and so do we, since ipam is \"on\": services may get \
                  one address twice; set ipam = \"auto\", or enable-lb-ipam: \"false\" in cilium-config and \
                  restart the operator"
            .to_owned(),
    }
}

impl Operator {
    /// Takes over what is seen of the lease. Whoever deletes it does not tell its holder, who may go on for
    /// as long as it lasts.
    pub fn observe(&mut self, now: BootTime, lease: Option<&Lease>) {
        let seen = lease.map_or(Seen::Gone { version: None }, Seen::Lease);
        match &mut self.seen {
            Some(watched) => watched.see(now, seen, NOBODY, DURATION),
            None => self.seen = lease.map(|_| Watched::first(now, seen, DURATION)),
        }
    }

    /// How long it still counts as alive if nothing more is seen of it; `None` when it does not.
    pub fn lives_for(&self, now: BootTime) -> Option<Duration> {
        let left = self.seen.as_ref()?.free_at.since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::lease::{LeaseSpec, MicroTime};

    fn lease(holder: &str, renewed: u32) -> Lease {
        let spec = LeaseSpec {
            holder_identity: holder.to_owned(),
            renew_time: Some(MicroTime(format!("2020-01-01T00:00:{renewed:02}.000000Z"))),
            ..LeaseSpec::default()
        };
        Lease { spec, ..Lease::default() }
    }

    #[test]
    fn an_operator_is_alive_as_long_as_its_lease_changes() {
        let at = |second| BootTime(1_000_000_000_000).after(Duration::from_secs(second));
        let mut operator = Operator::default();
        operator.observe(at(0), None);
        assert_eq!(operator.lives_for(at(0)), None);
        // An old one may be renewed any moment: it has the whole of its time, by our clock.
        operator.observe(at(0), Some(&lease("a", 0)));
        assert_eq!(operator.lives_for(at(14)), Some(Duration::from_secs(1)));
        operator.observe(at(10), Some(&lease("a", 0)));
        assert_eq!(operator.lives_for(at(15)), None, "it did not change");
        operator.observe(at(20), Some(&lease("a", 10)));
        assert!(operator.lives_for(at(34)).is_some());
        // Given back; taken by another, and deleted.
        operator.observe(at(21), Some(&lease("", 11)));
        assert_eq!(operator.lives_for(at(21)), None);
        operator.observe(at(22), Some(&lease("b", 12)));
        operator.observe(at(23), None);
        assert!(operator.lives_for(at(36)).is_some(), "nobody told it");
        assert_eq!(operator.lives_for(at(37)), None);
    }
}
