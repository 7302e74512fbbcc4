use std::collections::{BTreeMap, BTreeSet};

use dataplane::time::BootTime;

use super::Timing;
use super::watched::{Seen, Watched};

/// How names of heartbeats begin.
const PREFIX: &str = "portreeve-gateway-";

/// Name of the lease by which the gateway of this node says that it is alive. Nobody else wants it: its
/// [`super::Election`] has this gateway for the only candidate.
#[must_use]
pub fn heartbeat_lease(node: &str) -> String {
    format!("{PREFIX}{node}")
}

/// Which gateways are alive: those whose heartbeat has changed, or came into sight, within its duration.
#[derive(Debug)]
pub struct Gateways {
    me: String,
    timing: Timing,
    /// From then on those that started together with us have been seen, too.
    settled: Option<BootTime>,
    /// By node.
    heartbeats: BTreeMap<String, Watched>,
}

impl Gateways {
    /// None is known. A heartbeat that does not say how long it is good for is good for as long as those
    /// with this `timing`; `me` is our own node.
    #[must_use]
    pub fn new(me: &str, timing: Timing) -> Self {
        let (me, timing) = (me.to_owned(), timing.sane());
        Self { me, timing, settled: None, heartbeats: BTreeMap::new() }
    }

    /// Heartbeats that do not say how long they are good for are good for so long from now on.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing.sane();
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
        if self.heartbeats.get(&self.me).is_some_and(|own| own.holder().is_some()) {
            // Well before those who are not preferred take what is free.
            self.settled.get_or_insert(now.after(self.timing.retry / 2));
        }
    }

    /// Those that are alive at `now`, by node. We are not among them before our own heartbeat has been
    /// seen for a while: of gateways that start together the first would take all that is free.
    #[must_use]
    pub fn candidates(&self, now: BootTime) -> BTreeSet<String> {
        let settled = self.settled.is_some_and(|settled| settled <= now);
        let alive = |(node, heartbeat): &(&String, &Watched)| {
            let alive = heartbeat.holder().is_some() && heartbeat.free_at > now;
            alive && (settled || **node != self.me)
        };
        self.heartbeats.iter().filter(alive).map(|(node, _)| node.clone()).collect()
    }

    /// When there will be others, if nothing is seen of them.
    #[must_use]
    pub fn next_change(&self, now: BootTime) -> Option<BootTime> {
        let held = self.heartbeats.values().filter(|heartbeat| heartbeat.holder().is_some());
        let changes = held.map(|heartbeat| heartbeat.free_at).chain(self.settled);
        changes.filter(|change| *change > now).min()
    }
}
