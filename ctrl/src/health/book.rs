use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::state::{Standing, Track};
use super::{Failed, Target};

/// What is known of a target.
#[derive(Debug, Clone)]
pub struct Record {
    /// Whether it may be used.
    pub standing: Standing,
    /// Since when.
    pub since: SystemTime,
    /// Why the last probe that failed did, or could not be made, in words.
    pub last_error: Option<String>,
    /// Probes made.
    pub probes: u64,
    /// Of those, failed ones.
    pub failures: u64,
    track: Track,
}

/// What is probed and what came of it. The probing thread writes, control reads; neither holds it
/// for long.
#[derive(Debug, Default)]
pub struct Book {
    records: Mutex<HashMap<Arc<Target>, Record>>,
    /// Notified when a standing changes: one time for any number of changes.
    changed: Notify,
}

impl Book {
    /// From now on these are probed: others are forgotten, what is known of these stays.
    pub fn follow(&self, targets: &HashSet<Arc<Target>>, now: SystemTime) {
        let mut records = self.records();
        records.retain(|target, _| targets.contains(target));
        for target in targets {
            records.entry(Arc::clone(target)).or_insert_with(|| Record::new(target, now));
        }
    }

    /// Takes down the outcome of a probe; one that nobody wants any more is forgotten.
    pub(super) fn observe(&self, target: &Target, outcome: Result<(), String>, now: SystemTime) {
        let mut records = self.records();
        let Some(record) = records.get_mut(target) else { return };
        let before = record.standing;
        record.observe(outcome, now);
        let after = record.standing;
        drop(records);
        if before != after && (before, after) != (Standing::Unknown, Standing::Up) {
            self.changed.notify_one();
        }
    }

    /// Takes down why a target could not be probed, which says nothing about it.
    pub(super) fn note(&self, target: &Target, words: String) {
        if let Some(record) = self.records().get_mut(target) {
            record.last_error = Some(words);
        }
    }

    /// Resolves after a backend has failed or come back.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is known of a target; `None` when it is not probed.
    #[must_use]
    pub fn get(&self, target: &Target) -> Option<Record> {
        self.records().get(target).cloned()
    }

    /// Everything that fails now.
    #[must_use]
    pub fn failed(&self) -> Failed {
        let records = self.records();
        let down = records.iter().filter(|(_, record)| record.standing == Standing::Down);
        down.map(|(target, _)| Arc::clone(target)).collect()
    }

    /// How many targets are unknown, up and down.
    #[must_use]
    pub fn census(&self) -> [usize; 3] {
        let mut census = [0; 3];
        for record in self.records().values() {
            census[record.standing as usize] += 1;
        }
        census
    }

    fn records(&self) -> MutexGuard<'_, HashMap<Arc<Target>, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn new(target: &Target, now: SystemTime) -> Self {
        Self {
            standing: Standing::Unknown,
            since: now,
            last_error: None,
            probes: 0,
            failures: 0,
            track: Track::new(target.probe.rise, target.probe.fall),
        }
    }

    fn observe(&mut self, outcome: Result<(), String>, now: SystemTime) {
        let standing = self.track.observe(outcome.is_ok());
        self.probes += 1;
        if let Err(words) = outcome {
            self.failures += 1;
            self.last_error = Some(words);
        }
        if standing != self.standing {
            self.standing = standing;
            self.since = now;
        }
    }
}
