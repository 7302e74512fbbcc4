use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use dataplane::addr::{Addr, Mac};
use dataplane::tables::{PortId, Tables};
use tokio::sync::Notify;

use super::{Gateway, apply, now};
use crate::api_types;
use crate::compile::Compiled;
use crate::probe::{Probing, Target};
use crate::steer::Start;

/// Claims that may wait for control at once. A lost one is made again.
const CLAIMS: usize = 256;
/// Conflicts that are remembered: a liar may claim every address under every MAC.
const CONFLICTS: usize = 1_024;
/// Between two words in the log about one conflict.
const QUIET: Duration = Duration::from_secs(60);
/// A conflict that was not seen for so long is over.
const OVER: Duration = Duration::from_secs(600);

/// Claims of other stations, on their way from workers.
#[derive(Debug)]
pub(super) struct Claims {
    queue: ArrayQueue<(PortId, Addr, Mac)>,
    notify: Notify,
}

impl Default for Claims {
    fn default() -> Self {
        Self { queue: ArrayQueue::new(CLAIMS), notify: Notify::new() }
    }
}

impl Claims {
    /// The workers' end; never blocks.
    pub(super) fn push(&self, port: PortId, addr: Addr, mac: Mac) {
        // Full: whoever claims does so again.
        let _ = self.queue.push((port, addr, mac));
        self.notify.notify_one();
    }

    /// Resolves when somebody claims something. Cancellation-safe.
    pub(super) async fn made(&self) {
        while self.queue.is_empty() {
            self.notify.notified().await;
        }
    }
}

/// A station that claims an address of ours.
#[derive(Debug, Clone, Copy)]
struct Conflict {
    claims: u64,
    last: Instant,
    said: Instant,
}

/// Stations that claim addresses of ours, by address, port and MAC.
#[derive(Debug, Default)]
pub struct Conflicts {
    claims: Arc<Claims>,
    seen: BTreeMap<(Addr, PortId, Mac), Conflict>,
    /// Questions about addresses that are claimed with the next change.
    probing: Option<Probing>,
}

impl Conflicts {
    /// None yet; who has the addresses of a first configuration is asked.
    pub(super) fn asking(first: &Compiled) -> Self {
        let probing = begin(new_targets(&Compiled::default(), first));
        Self { probing, ..Self::default() }
    }

    /// The workers' end.
    pub(super) fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    /// Notes a claim. Says whether the operator should hear of it.
    fn note(&mut self, key: (Addr, PortId, Mac), now: Instant) -> bool {
        if let Some(conflict) = self.seen.get_mut(&key) {
            conflict.claims += 1;
            conflict.last = now;
            let due = now.duration_since(conflict.said) >= QUIET;
            if due {
                conflict.said = now;
            }
            return due;
        }
        self.seen.retain(|_, conflict| now.duration_since(conflict.last) < OVER);
        if self.seen.len() >= CONFLICTS {
            return false;
        }
        self.seen.insert(key, Conflict { claims: 1, last: now, said: now });
        true
    }
}

impl Gateway {
    /// Asks who has the addresses that `compiled` announces and that are not announced yet. At
    /// start that is done first, so that answers come in while everything else is made.
    pub(super) fn begin_probing(&mut self, compiled: &Compiled) {
        if self.conflicts.probing.is_some() {
            return;
        }
        let targets = new_targets(&self.compiled, compiled);
        self.conflicts.probing = begin(targets);
    }

    /// Hears who has answered. What survived an earlier process was ours all along: a restart hears
    /// what has come in by now, and does not wait.
    pub(super) async fn hear_owners(&mut self, tables: &Tables) {
        let Some(probing) = self.conflicts.probing.take() else { return };
        let restart = self.start_ms == 0 && self.steer.report().start != Start::Fresh;
        for (target, mac) in probing.owners(!restart).await {
            let at = tables.ports.iter().position(|port| *port.name == *target.port);
            let Some(at) = at else { continue };
            self.conflict((target.addr, PortId(at as u8), mac), &target.port);
        }
    }

    /// Takes up what workers have heard.
    pub(super) fn take_claims(&mut self) {
        for _ in 0..CLAIMS {
            let Some((port, addr, mac)) = self.conflicts.claims.queue.pop() else { return };
            let name = self.port_name(port);
            self.conflict((addr, port, mac), &name);
        }
    }

    fn conflict(&mut self, key: (Addr, PortId, Mac), port: &str) {
        let (addr, _, mac) = key;
        if self.conflicts.note(key, now()) {
            tracing::error!(
                "{addr} is also claimed by {mac} on {port}: two stations answer for it; take it \
                 from one of them"
            );
        }
    }

    fn port_name(&self, port: PortId) -> String {
        let port = self.compiled.tables.ports.get(usize::from(port.0));
        port.map_or_else(|| "?".to_owned(), |port| port.name.to_string())
    }

    /// What `status` says of them.
    pub(super) fn conflicts(&self) -> Vec<api_types::Conflict> {
        let now = now();
        let fresh = self.conflicts.seen.iter();
        fresh
            .filter(|(_, conflict)| now.duration_since(conflict.last) < OVER)
            .map(|((addr, port, mac), conflict)| api_types::Conflict {
                address: addr.to_ip(),
                port: self.port_name(*port),
                mac: mac.to_string(),
                claims: conflict.claims,
                seconds_ago: now.duration_since(conflict.last).as_secs(),
            })
            .collect()
    }
}

/// Begins to ask for all of `targets`; without the right to, nothing is asked.
fn begin(targets: Vec<Target>) -> Option<Probing> {
    if targets.is_empty() {
        return None;
    }
    match Probing::begin(targets, now()) {
        Ok(probing) => Some(probing),
        Err(error) => {
            tracing::warn!("{error:#}");
            None
        }
    }
}

/// What is announced by `next` and was not ours before. An address that is held again after a
/// release is taken over from another gateway: every moment counts, and the other may still answer. One
/// with a lease may well be another gateway's.
pub(crate) fn new_targets(before: &Compiled, next: &Compiled) -> Vec<Target> {
    apply::pairs(next)
        .filter(|(addr, _)| before.tables.addresses.get(addr).is_none())
        .filter(|(addr, _)| next.tables.deadlines.get(addr).is_none())
        .map(|(addr, port)| {
            let port = next.tables.port(port);
            Target { port: port.name.to_string(), mac: port.mac, addr }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> (Addr, PortId, Mac) {
        (Addr::v4([10, 0, 0, 1]), PortId(0), Mac([2, 0, 0, 0, 0, last]))
    }

    #[test]
    fn a_conflict_is_said_once_a_minute_and_counted_always() {
        let (mut conflicts, start) = (Conflicts::default(), now());
        assert!(conflicts.note(key(1), start));
        assert!(!conflicts.note(key(1), start + QUIET / 2));
        assert!(conflicts.note(key(2), start + QUIET / 2), "another station");
        assert!(conflicts.note(key(1), start + QUIET));
        assert_eq!(conflicts.seen[&key(1)].claims, 3);
    }

    #[test]
    fn liars_do_not_take_memory_for_ever() {
        let (mut conflicts, start) = (Conflicts::default(), now());
        for n in 0..2 * CONFLICTS {
            let [.., a, b] = n.to_be_bytes();
            conflicts.note((Addr::v4([10, 0, a, b]), PortId(0), Mac([2; 6])), start);
        }
        assert_eq!(conflicts.seen.len(), CONFLICTS);
        assert!(conflicts.note(key(1), start + OVER), "what is over makes room");
        assert_eq!(conflicts.seen.len(), 1);
    }
}
