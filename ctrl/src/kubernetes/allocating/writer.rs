use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kube::Client;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::write::{Failure, Target, Write};
use crate::kubernetes::kinds::{Store, Watched};
use crate::kubernetes::snapshot::Complaint;

/// Requests on their way at a time.
const IN_FLIGHT: usize = 16;
/// After the first failure; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// At most so long.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Writes until it is written, the object is gone, or something newer is to be written. One request at a time
/// for each object.
pub(super) struct Writer {
    client: Client,
    /// Objects on which something is or will be written.
    waiting: BTreeMap<Target, Waiting>,
    flying: JoinSet<Result<(), Failure>>,
    /// What is on its way, by task.
    targets: HashMap<Id, Target>,
}

#[derive(Debug)]
struct Waiting {
    /// The newest.
    write: Write,
    /// Whether it is the one that is on its way.
    sent: bool,
    /// Whether any is.
    busy: bool,
    /// Nobody wants it any more; what is on its way may arrive all the same.
    dropped: bool,
    failures: u32,
    /// Why the last one failed.
    why: Option<Failure>,
    not_before: Instant,
}

impl Writer {
    /// Has nothing to write.
    pub fn new(client: Client) -> Self {
        let (waiting, flying) = (BTreeMap::new(), JoinSet::new());
        Self { client, waiting, flying, targets: HashMap::new() }
    }

    /// From now on this is to be on the object.
    pub fn set(&mut self, target: Target, write: Write, now: Instant) {
        let busy = self.waiting.get(&target).is_some_and(|held| held.busy);
        let why = self.waiting.remove(&target).and_then(|held| held.why);
        let (sent, dropped, failures) = (false, false, 0);
        let waiting = Waiting { write, sent, busy, dropped, failures, why, not_before: now };
        self.waiting.insert(target, waiting);
    }

    /// Nothing more is written. What is on its way has been sent.
    pub fn clear(&mut self) {
        self.waiting.retain(|_, waiting| waiting.busy);
        self.waiting.values_mut().for_each(|waiting| waiting.dropped = true);
    }

    /// The object has this uid now: what was for another one is not written any more.
    pub fn forget_others(&mut self, target: &Target, uid: &str) {
        if let Some(waiting) = self.waiting.get_mut(target)
            && waiting.write.uid != uid
        {
            waiting.dropped = true;
            if !waiting.busy {
                self.waiting.remove(target);
            }
        }
    }

    /// Sends what may be sent now.
    pub fn send(&mut self, now: Instant) {
        let due = |waiting: &Waiting| !waiting.busy && !waiting.sent && waiting.not_before <= now;
        let room = IN_FLIGHT.saturating_sub(self.flying.len());
        let due = self.waiting.iter_mut().filter(|(_, waiting)| due(waiting));
        for (target, waiting) in due.take(room) {
            (waiting.sent, waiting.busy) = (true, true);
            let (client, write) = (self.client.clone(), waiting.write.clone());
            let to = target.clone();
            let task = self.flying.spawn(async move { to.write(&client, &write).await });
            self.targets.insert(task.id(), target.clone());
        }
    }

    /// When there is something to send without anything having come back.
    pub fn next_due(&self) -> Option<Instant> {
        if self.flying.len() >= IN_FLIGHT {
            return None;
        }
        let idle = self.waiting.values().filter(|waiting| !waiting.busy && !waiting.sent);
        idle.map(|waiting| waiting.not_before).min()
    }

    /// Resolves when something has come back. Cancellation-safe.
    pub async fn progress(&mut self) {
        let Some(done) = self.flying.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Err(Failure::Other(error.to_string()))),
        };
        if let Some(target) = self.targets.remove(&id) {
            self.settle(&target, outcome, Instant::now());
        }
    }

    fn settle(&mut self, target: &Target, outcome: Result<(), Failure>, now: Instant) {
        let Some(waiting) = self.waiting.get_mut(target) else { return };
        waiting.busy = false;
        match outcome {
            _ if waiting.dropped => drop(self.waiting.remove(target)),
            Ok(()) | Err(Failure::Gone) if waiting.sent => drop(self.waiting.remove(target)),
            Ok(()) | Err(Failure::Gone) => waiting.why = None,
            Err(why) => {
                tracing::debug!("{target:?} is not written: {why:?}");
                waiting.not_before = now + pause(waiting.failures);
                waiting.failures += 1;
                waiting.why = Some(why);
                waiting.sent = false;
            }
        }
    }

    /// What could not be written at the last attempt, and why.
    pub fn failing(&self, store: &Store) -> impl Iterator<Item = Complaint> {
        self.waiting.iter().filter_map(|(target, waiting)| {
            let why = match waiting.why.as_ref()? {
                Failure::Gone => return None,
                Failure::Forbidden(rule) => format!("our role needs: {rule}"),
                Failure::Other(why) => why.clone(),
            };
            let found = match target.watched() {
                Watched::Pools => store.pools.get(target.key()).map(|pool| &pool.metadata),
                _ => store.services.get(target.key()).map(|service| &service.metadata),
            };
            Some(Complaint {
                kind: target.watched().kind().kind,
                object: target.key().clone(),
                uid: found.map(|metadata| metadata.uid.clone()).unwrap_or_default(),
                reason: "StatusNotWritten",
                message: format!("what is to be said of its addresses cannot be written: {why}"),
            })
        })
    }
}

fn pause(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.min(11)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::metadata::Key;

    fn writer() -> Writer {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        Writer::new(Client::try_from(config).unwrap())
    }

    fn target(name: &str) -> Target {
        Target::Service(Key { namespace: "default".into(), name: name.into() })
    }

    fn write(uid: &str) -> Write {
        Write { uid: uid.into(), ingress: Some(vec![]), conditions: vec![] }
    }

    fn refused() -> Result<(), Failure> {
        Err(Failure::Other("refused".into()))
    }

    #[tokio::test]
    async fn one_request_at_a_time_for_each_object_and_the_newest_is_the_last() {
        let (mut writer, now) = (writer(), Instant::now());
        writer.set(target("a"), write("1"), now);
        writer.send(now);
        assert_eq!(writer.flying.len(), 1);
        writer.set(target("a"), write("2"), now);
        writer.send(now);
        assert_eq!(writer.flying.len(), 1, "the first has not come back");
        writer.settle(&target("a"), Ok(()), now);
        writer.send(now);
        assert_eq!((writer.flying.len(), writer.waiting[&target("a")].busy), (2, true));
        writer.settle(&target("a"), Ok(()), now);
        assert!(writer.waiting.is_empty());
    }

    #[tokio::test]
    async fn failures_are_tried_again_later_and_later() {
        let (mut writer, mut now) = (writer(), Instant::now());
        writer.set(target("a"), write("1"), now);
        let mut pauses = Vec::new();
        for _ in 0..13 {
            writer.send(now);
            assert!(writer.waiting[&target("a")].busy);
            writer.settle(&target("a"), refused(), now);
            let due = writer.next_due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses[..4], [250, 500, 1_000, 2_000]);
        assert_eq!(pauses[11..], [300_000, 300_000]);
        assert_eq!(writer.failing(&Store::default()).count(), 1);
        // Something newer does not wait.
        writer.set(target("a"), write("2"), now);
        assert_eq!(writer.next_due(), Some(now));
    }

    #[tokio::test]
    async fn many_are_on_their_way_at_once_and_none_after_the_end() {
        let (mut writer, now) = (writer(), Instant::now());
        for at in 0..100 {
            writer.set(target(&at.to_string()), write("1"), now);
        }
        writer.send(now);
        assert_eq!(writer.flying.len(), IN_FLIGHT);
        assert_eq!(writer.next_due(), None);
        writer.clear();
        for target in writer.waiting.keys().cloned().collect::<Vec<_>>() {
            writer.settle(&target, Ok(()), now);
        }
        writer.flying.abort_all();
        while writer.flying.join_next().await.is_some() {}
        writer.send(now);
        assert_eq!((writer.waiting.len(), writer.flying.len()), (0, 0));
    }

    #[tokio::test]
    async fn what_was_for_another_object_of_the_name_is_not_written() {
        let (mut writer, now) = (writer(), Instant::now());
        writer.set(target("a"), write("1"), now);
        writer.forget_others(&target("a"), "1");
        assert_eq!(writer.waiting.len(), 1);
        writer.forget_others(&target("a"), "2");
        assert!(writer.waiting.is_empty());
    }
}
