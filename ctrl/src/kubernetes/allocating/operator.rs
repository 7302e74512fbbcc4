use std::time::Duration;

use tokio::time::Instant;

use crate::kubernetes::api::lease::{LeaseSpec, MicroTime};
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::kinds::Store;
use crate::kubernetes::snapshot::Complaint;

/// The lease by which operators of Cilium choose their leader.
const LEASE: &str = "cilium-operator-resource-lock";
/// How long one lasts that does not say so.
const DURATION_S: i32 = 15;

/// Whether an operator of Cilium is alive: its lease is seen to change within the time that it is for. What
/// clocks say that are not ours does not count.
#[derive(Debug, Default)]
pub(super) struct Operator {
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    renewal: Renewal,
    until: Instant,
}

/// What is another after each renewal, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Renewal {
    holder: String,
    renewed: Option<MicroTime>,
    lasts: Duration,
}

/// The operator's lease, if somebody holds it.
pub(super) fn lease(store: &Store, namespace: &str) -> Option<Renewal> {
    let key = Key { namespace: namespace.to_owned(), name: LEASE.to_owned() };
    Renewal::read(&store.leases.get(&key)?.spec)
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

impl Renewal {
    fn read(spec: &LeaseSpec) -> Option<Self> {
        let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(DURATION_S));
        let lasts = Duration::from_secs(lasts.unwrap_or(0));
        let (holder, renewed) = (spec.holder_identity.clone(), spec.renew_time.clone());
        (!holder.is_empty()).then_some(Self { holder, renewed, lasts })
    }
}

impl Operator {
    /// Takes over what is seen of the lease.
    pub fn observe(&mut self, now: Instant, renewal: Option<Renewal>) {
        let Some(renewal) = renewal else {
            self.seen = None;
            return;
        };
        if self.seen.as_ref().is_none_or(|seen| seen.renewal != renewal) {
            self.seen = Some(Seen { until: now + renewal.lasts, renewal });
        }
    }

    /// Until when it is alive, if nothing more is seen of it.
    pub fn alive_until(&self) -> Option<Instant> {
        self.seen.as_ref().map(|seen| seen.until)
    }

    /// Whether it is alive.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.alive_until().is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewal(holder: &str, renewed: u32) -> Option<Renewal> {
        Renewal::read(&LeaseSpec {
            holder_identity: holder.to_owned(),
            renew_time: Some(MicroTime(format!("2020-01-01T00:00:{renewed:02}.000000Z"))),
            ..LeaseSpec::default()
        })
    }

    #[test]
    fn an_operator_is_alive_as_long_as_its_lease_changes() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut operator = Operator::default();
        assert!(!operator.is_alive(start));
        // An old one may be renewed any moment: it has the whole of its time, by our clock.
        operator.observe(start, renewal("a", 0));
        assert!(operator.is_alive(start + 14 * second));
        operator.observe(start + 10 * second, renewal("a", 0));
        assert!(!operator.is_alive(start + 15 * second), "it did not change");
        operator.observe(start + 20 * second, renewal("a", 10));
        assert!(operator.is_alive(start + 34 * second));
        // Given back, and gone.
        operator.observe(start + 21 * second, renewal("", 11));
        assert!(!operator.is_alive(start + 21 * second));
        operator.observe(start + 22 * second, renewal("b", 12));
        operator.observe(start + 23 * second, None);
        assert!(!operator.is_alive(start + 23 * second));
    }
}
