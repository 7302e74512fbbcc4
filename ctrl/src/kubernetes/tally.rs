//! What is counted of listing and watching, for metrics. The tasks write it, control reads it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use dataplane::time::BootTime;

use super::kinds::Watched;

/// What is counted.
#[derive(Debug)]
pub struct Tally {
    /// When the API server was heard of last, by the clock of boot time; 0 before.
    answered: AtomicU64,
    kinds: Box<[OfKind]>,
}

#[derive(Debug, Default)]
struct OfKind {
    objects: AtomicUsize,
    lists: AtomicU64,
    failures: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        let kinds = Watched::ALL.iter().map(|_| OfKind::default()).collect();
        Self { answered: AtomicU64::new(0), kinds }
    }
}

impl Tally {
    fn of(&self, which: Watched) -> &OfKind {
        &self.kinds[which as usize]
    }

    /// The API server has answered, or told something.
    pub fn answered(&self) {
        self.answered.store(BootTime::now().0, Relaxed);
    }

    /// A whole list was read.
    pub fn listed(&self, which: Watched) {
        self.of(which).lists.fetch_add(1, Relaxed);
    }

    /// A list or a watch came to nothing, or was broken off.
    pub fn failed(&self, which: Watched) {
        self.of(which).failures.fetch_add(1, Relaxed);
    }

    /// So many objects are known.
    pub fn holds(&self, which: Watched, objects: usize) {
        self.of(which).objects.store(objects, Relaxed);
    }

    /// When the API server was heard of last; `None` before.
    #[must_use]
    pub fn last_answer(&self) -> Option<BootTime> {
        Some(BootTime(self.answered.load(Relaxed))).filter(|at| at.0 > 0)
    }

    /// Objects that are known.
    #[must_use]
    pub fn objects(&self, which: Watched) -> usize {
        self.of(which).objects.load(Relaxed)
    }

    /// Whole lists that were read.
    #[must_use]
    pub fn lists(&self, which: Watched) -> u64 {
        self.of(which).lists.load(Relaxed)
    }

    /// Lists and watches that came to nothing, or were broken off.
    #[must_use]
    pub fn failures(&self, which: Watched) -> u64 {
        self.of(which).failures.load(Relaxed)
    }
}
