//! Whether a worker sleeps: whoever has something for it wakes it then, and only then.

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence};

/// The flag of one worker. Either the one that goes to sleep sees what was published before it did,
/// or the one that published sees it asleep.
#[derive(Debug)]
pub struct Nap(CachePadded<AtomicU64>);

impl Default for Nap {
    fn default() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }
}

impl Nap {
    /// About to sleep. The sleeper looks for work once more after this, and only then sleeps.
    pub fn begin(&self) {
        self.0.store(1, Ordering::Relaxed);
        // Pairs with the fence in `is_on`.
        fence(Ordering::SeqCst);
    }

    /// Awake again.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether the worker has to be woken for what was published just now.
    #[must_use]
    pub fn is_on(&self) -> bool {
        // Pairs with the fence in `begin`.
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == 1
    }
}
