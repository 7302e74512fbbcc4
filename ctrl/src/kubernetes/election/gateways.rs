use std::collections::{BTreeMap, BTreeSet};

use dataplane::time::BootTime;

use super::Timing;
use super::watched::{Seen, Watched};

/// How names of heartbeats begin.
const PREFIX: &str = "portreeve-gateway-";

/// Name of the lease by which the gateway of this node says that it is alive. Nobody else wants it.
#[must_use]
pub fn heartbeat_lease(node: &str) -> String {
    format!("{PREFIX}{node}")
}

/// Which gateways are alive: those whose heartbeat has changed, or came into sight, within its duration.
#[derive(Debug)]
pub struct Gateways {
    timing: Timing,
    /// By node.
    heartbeats: BTreeMap<String, Watched>,
}

impl Gateways {
    /// None is known. A heartbeat that does not say how long it is good for is good for as long as those
    /// with this `timing`.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self { timing: timing.sane(), heartbeats: BTreeMap::new() }
    }

    /// Takes over what is seen of the lease of this name; others than heartbeats are left out.
    pub fn observe(&mut self, now: BootTime, lease: &str, seen: Seen<'_>) {
        let Some(node) = lease.strip_prefix(PREFIX) else { return };
        let duration = self.timing.duration;
        match self.heartbeats.get_mut(node) {
            Some(heartbeat) => heartbeat.see(now, seen, node, duration),
            None => {
                self.heartbeats.insert(node.to_owned(), Watched::first(now, seen, duration));
            }
        }
        self.heartbeats.retain(|_, heartbeat| heartbeat.lease.is_some());
    }

    /// Those that are alive at `now`, by node.
    #[must_use]
    pub fn alive(&self, now: BootTime) -> BTreeSet<String> {
        let alive = |heartbeat: &Watched| heartbeat.holder().is_some() && heartbeat.free_at > now;
        let all = self.heartbeats.iter().filter(|(_, heartbeat)| alive(heartbeat));
        all.map(|(node, _)| node.clone()).collect()
    }

    /// When the next of them is not, if nothing is seen of it.
    #[must_use]
    pub fn next_end(&self, now: BootTime) -> Option<BootTime> {
        let held = self.heartbeats.values().filter(|heartbeat| heartbeat.holder().is_some());
        held.map(|heartbeat| heartbeat.free_at).filter(|end| *end > now).min()
    }
}
