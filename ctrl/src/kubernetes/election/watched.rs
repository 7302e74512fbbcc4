use std::time::Duration;

use dataplane::time::BootTime;

use crate::kubernetes::api::lease::Lease;

/// What is seen of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'l> {
    /// It is there.
    Lease(&'l Lease),
    /// It is not there, or not any more.
    Gone {
        /// The version of the list or of the deletion that says so; `None` for a read, which is never
        /// out of date.
        version: Option<u64>,
    },
}

impl Seen<'_> {
    fn version(&self) -> Option<u64> {
        match self {
            Self::Lease(lease) => lease.metadata.resource_version.parse().ok(),
            Self::Gone { version } => *version,
        }
    }
}

/// A lease as we have seen it. Only that it changes counts, and when it did by our own clock: what its
/// holder's clock says is not looked at.
#[derive(Debug)]
pub struct Watched {
    /// `None` when there is none.
    pub lease: Option<Lease>,
    /// From then on it may be taken: its holder has not renewed it until then.
    pub free_at: BootTime,
    version: Option<u64>,
}

impl Watched {
    /// As it is seen first. When it was renewed is not known: from now on its time counts.
    pub fn first(now: BootTime, seen: Seen<'_>, duration: Duration) -> Self {
        let mut watched = Self { lease: None, free_at: now, version: seen.version() };
        if let Seen::Lease(lease) = seen {
            watched.take_over(now, lease, duration);
        }
        watched
    }

    /// Takes over what is seen, unless that is older than what we know. A lease that does not say how
    /// long it lasts is good for `duration`.
    pub fn see(&mut self, now: BootTime, seen: Seen<'_>, me: &str, duration: Duration) {
        let version = seen.version();
        if let (Some(known), Some(version)) = (self.version, version)
            && version < known
        {
            return;
        }
        self.version = version.or(self.version);
        match seen {
            Seen::Lease(lease) => self.take_over(now, lease, duration),
            Seen::Gone { .. } => {
                // Somebody who deletes a lease does not tell its holder: his time has to run out.
                if self.holder().is_none_or(|holder| holder == me) && self.lease.is_some() {
                    self.free_at = now;
                }
                self.lease = None;
            }
        }
    }

    /// Who holds it.
    pub fn holder(&self) -> Option<&str> {
        let holder = self.lease.as_ref().map(|lease| lease.spec.holder_identity.as_str());
        holder.filter(|holder| !holder.is_empty())
    }

    fn take_over(&mut self, now: BootTime, lease: &Lease, duration: Duration) {
        let renewed = self.lease.as_ref().is_none_or(|known| known.spec != lease.spec);
        self.lease = Some(lease.clone());
        if renewed {
            self.free_at = match self.holder() {
                Some(_) => now.after(lasts(lease, duration)),
                None => now,
            };
        }
    }
}

/// How long a lease is good for after it was renewed.
pub fn lasts(lease: &Lease, otherwise: Duration) -> Duration {
    let seconds = lease.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(otherwise, Duration::from_secs)
}
