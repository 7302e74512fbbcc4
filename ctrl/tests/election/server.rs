use std::collections::BTreeMap;

use portreeve::kubernetes::api::lease::Lease;
use portreeve::kubernetes::election::{Action, Outcome};

/// Keeps leases; each write is over the version that it names, or is refused.
#[derive(Debug, Default)]
pub struct Server {
    leases: BTreeMap<String, Lease>,
    pub version: u64,
    /// Writes that changed the holder.
    pub writes_but_renewals: usize,
    /// When something was written.
    writes: Vec<u64>,
}

impl Server {
    /// Does what is asked for. A change is returned besides, for those who watch.
    pub fn serve(&mut self, now: u64, name: &str, action: &Action) -> (Outcome, Option<Lease>) {
        let known = self.leases.get(name);
        let lease = match action {
            Action::Create(lease) if known.is_none() => lease,
            Action::Replace(lease)
                if known.is_some_and(|known| {
                    known.metadata.resource_version == lease.metadata.resource_version
                }) =>
            {
                lease
            }
            Action::Read => return (Outcome::Read(known.cloned()), None),
            _ => return (Outcome::Conflict, None),
        };
        let held = known.map(|known| &known.spec.holder_identity);
        if held != Some(&lease.spec.holder_identity) {
            self.writes_but_renewals += 1;
        }
        self.writes.push(now);
        self.version += 1;
        let mut lease = lease.clone();
        lease.metadata.resource_version = self.version.to_string();
        self.leases.insert(name.to_owned(), lease.clone());
        (Outcome::Written(lease.clone()), Some(lease))
    }

    pub fn get(&self, name: &str) -> Option<&Lease> {
        self.leases.get(name)
    }

    /// How often leases have changed their holders.
    pub fn transitions(&self) -> i32 {
        self.leases.values().filter_map(|lease| lease.spec.lease_transitions).sum()
    }

    /// How much was written in the last so many milliseconds before the last write.
    pub fn writes_within(&self, ms: u64) -> usize {
        let last = self.writes.last().copied().unwrap_or_default();
        self.writes.iter().filter(|at| **at + ms > last).count()
    }
}
