//! One writer, many readers. A reader picks the newest snapshot up once per burst: one load when
//! nothing changed, and it never waits. The writer keeps a share of every snapshot until it is
//! the only owner, so that the last reference to a large table is never dropped inside a burst.

use std::fmt;
use std::iter;
use std::mem;
use std::sync::PoisonError;

use crossbeam::utils::CachePadded;

use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, fence};

/// Publishes `initial` and gives out the two ends. The reader at index i is the one that
/// [`Publisher::behind`] calls i.
///
/// Whoever runs the readers ends them (joins their threads) before the publisher is dropped: the
/// promise that only the publisher frees a snapshot holds for as long as it lives.
#[must_use]
pub fn channel<T>(initial: T, readers: usize) -> (Publisher<T>, Vec<Reader<T>>) {
    let latest = Latest { epoch: Epoch::FIRST, tables: Arc::new(initial) };
    let in_use = || CachePadded::new(AtomicU64::new(Epoch::FIRST.0));
    let shared = Arc::new(Shared {
        epoch: CachePadded::new(AtomicU64::new(Epoch::FIRST.0)),
        latest: Mutex::new(latest.share()),
        in_use: iter::repeat_with(in_use).take(readers).collect(),
    });
    let reader = |index| Reader { shared: Arc::clone(&shared), index, mine: latest.share() };
    let readers = (0..readers).map(reader).collect();
    (Publisher { shared, latest, retired: Vec::new() }, readers)
}

/// Numbers snapshots in the order in which they were published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

impl Epoch {
    const FIRST: Self = Self(1);

    /// The number; the initial snapshot has 1.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The writing end: lives on the control thread, and there is one.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    /// A share of what `shared.latest` holds, so that no reader can be its last owner.
    latest: Latest<T>,
    retired: Vec<Arc<T>>,
}

impl<T> Publisher<T> {
    /// Makes `next` the snapshot that readers adopt with their next burst, and then frees older
    /// ones as [`Self::reap`] does. Sleeping readers are the caller's to wake.
    pub fn publish(&mut self, next: T) -> Epoch {
        let epoch = Epoch(self.latest.epoch.0 + 1);
        let next = Latest { epoch, tables: Arc::new(next) };
        let replaced = mem::replace(&mut *self.shared.lock(), next.share());
        // After the snapshot: whoever sees this number finds a snapshot at least as new.
        self.shared.epoch.store(epoch.0, Ordering::Release);
        drop(replaced);
        self.retired.push(mem::replace(&mut self.latest, next).tables);
        self.reap();
        epoch
    }

    /// The snapshot published last.
    #[must_use]
    pub fn current(&self) -> &T {
        &self.latest.tables
    }

    /// The epoch of the snapshot published last.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.latest.epoch
    }

    /// The readers that may still look into a snapshot older than `epoch`. Those that sleep or
    /// are gone do not count: they will see the newest one before anything else.
    pub fn behind(&self, epoch: Epoch) -> impl Iterator<Item = usize> + '_ {
        // Pairs with the fence of a reader that wakes up: either it finds what was published
        // before this fence, or it is seen awake here.
        fence(Ordering::SeqCst);
        let lags = move |(index, in_use): (usize, &CachePadded<AtomicU64>)| {
            (in_use.load(Ordering::Acquire) < epoch.0).then_some(index)
        };
        self.shared.in_use.iter().enumerate().filter_map(lags)
    }

    /// Whether no reader looks into a snapshot older than `epoch` any more.
    #[must_use]
    pub fn all_adopted(&self, epoch: Epoch) -> bool {
        self.behind(epoch).next().is_none()
    }

    /// Frees the retired snapshots that no reader holds. Returns how many are still held: a
    /// sleeping reader keeps one until it wakes.
    pub fn reap(&mut self) -> usize {
        // Once we are its only owner nobody can become another: readers clone the latest alone.
        self.retired.retain_mut(|tables| Arc::get_mut(tables).is_none());
        self.retired.len()
    }
}

/// A reading end: one worker's.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    index: usize,
    mine: Latest<T>,
}

impl<T> Reader<T> {
    /// The newest snapshot; to be called once per burst. Never waits: when the latest is being
    /// replaced or picked up by another reader this very moment, the one from before stays for
    /// this burst.
    #[inline]
    pub fn refresh(&mut self) -> &T {
        if self.shared.epoch.load(Ordering::Acquire) != self.mine.epoch.0 {
            self.adopt();
        }
        &self.mine.tables
    }

    /// The epoch of the snapshot that the last [`Self::refresh`] gave.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.mine.epoch
    }

    /// Marks the reader as asleep while the returned value lives. It cannot look into its
    /// snapshot meanwhile, so the publisher need not wait for it.
    pub fn sleep(&mut self) -> Asleep<'_, T> {
        self.in_use().store(NOTHING, Ordering::Release);
        Asleep(self)
    }

    #[cold]
    fn adopt(&mut self) {
        let Ok(latest) = self.shared.latest.try_lock().map(|latest| latest.share()) else { return };
        // The publisher still owns what is let go of here: this frees nothing.
        self.mine = latest;
        self.in_use().store(self.mine.epoch.0, Ordering::Release);
    }

    fn in_use(&self) -> &AtomicU64 {
        &self.shared.in_use[self.index]
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.in_use().store(NOTHING, Ordering::Release);
    }
}

/// A sleeping reader. Dropping it wakes the reader.
#[must_use = "the reader sleeps only while this value lives"]
pub struct Asleep<'a, T>(&'a mut Reader<T>);

impl<T> Drop for Asleep<'_, T> {
    fn drop(&mut self) {
        self.0.in_use().store(self.0.mine.epoch.0, Ordering::Release);
        // Pairs with the fence in `Publisher::behind`. The next look at the tables is a
        // `refresh`, which comes after it.
        fence(Ordering::SeqCst);
    }
}

struct Shared<T> {
    /// The epoch of `latest`, for readers to see whether to take the lock.
    epoch: CachePadded<AtomicU64>,
    latest: Mutex<Latest<T>>,
    /// By reader: the epoch that it looks into, or [`NOTHING`].
    in_use: Box<[CachePadded<AtomicU64>]>,
}

/// Stands for a reader that looks into no snapshot; newer than every epoch.
const NOTHING: u64 = u64::MAX;

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Latest<T>> {
        // Nothing that happens under the lock can panic half-way, so poison says nothing.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Latest<T> {
    epoch: Epoch,
    tables: Arc<T>,
}

impl<T> Latest<T> {
    fn share(&self) -> Self {
        Self { epoch: self.epoch, tables: Arc::clone(&self.tables) }
    }
}

// Loom's primitives work inside a model only; tests/loom_publish.rs has those.
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_adopt_each_snapshot_when_they_refresh() {
        let (mut publisher, mut readers) = channel("a", 2);
        assert!(publisher.all_adopted(publisher.epoch()));
        let epoch = publisher.publish("b");
        assert_eq!(*publisher.current(), "b");
        assert_eq!(publisher.behind(epoch).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(*readers[1].refresh(), "b");
        assert_eq!(publisher.behind(epoch).collect::<Vec<_>>(), [0]);
        assert_eq!(*readers[0].refresh(), "b");
        assert!(publisher.all_adopted(epoch));
    }

    #[test]
    fn a_retired_snapshot_lives_for_as_long_as_a_reader_holds_it() {
        let (mut publisher, mut readers) = channel(1, 2);
        publisher.publish(2);
        readers[0].refresh();
        publisher.publish(3);
        assert_eq!(publisher.reap(), 2, "reader 0 holds 2, reader 1 holds 1");
        readers[1].refresh();
        assert_eq!(publisher.reap(), 1);
        readers[0].refresh();
        assert_eq!(publisher.reap(), 0);
    }

    #[test]
    fn snapshots_that_nobody_picked_up_do_not_pile_up() {
        let (mut publisher, readers) = channel(0, 1);
        for value in 1..=100 {
            publisher.publish(value);
        }
        assert_eq!(publisher.reap(), 1, "only the one that the reader holds");
        drop(readers);
        assert_eq!(publisher.reap(), 0);
    }

    #[test]
    fn who_sleeps_or_is_gone_is_not_waited_for() {
        let (mut publisher, mut readers) = channel(1, 2);
        drop(readers.pop());
        let asleep = readers[0].sleep();
        let epoch = publisher.publish(2);
        assert!(publisher.all_adopted(epoch));
        drop(asleep);
        assert!(!publisher.all_adopted(epoch), "awake and not refreshed yet");
        assert_eq!(*readers[0].refresh(), 2);
        assert!(publisher.all_adopted(epoch));
    }

    #[test]
    fn a_reader_keeps_its_snapshot_while_the_latest_is_locked_and_says_so() {
        let (mut publisher, mut readers) = channel(1, 1);
        let epoch = publisher.publish(2);
        let shared = Arc::clone(&readers[0].shared);
        let lock = shared.lock();
        assert_eq!(*readers[0].refresh(), 1);
        assert!(!publisher.all_adopted(epoch));
        drop(lock);
        assert_eq!(*readers[0].refresh(), 2);
        assert!(publisher.all_adopted(epoch));
    }
}
