//! Publication of tables under every interleaving that loom finds. Built and run by
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p portreeve-dataplane --test loom_publish`.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread::{self, ThreadId};
use portreeve_dataplane::tables::publish::{Publisher, Reader, channel};

/// Tables in small: knows what it is worth, and who may free it.
struct Tables {
    value: u64,
    twice: u64,
    owner: ThreadId,
    freed: Arc<AtomicUsize>,
}

impl Drop for Tables {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.owner, "freed by a reader");
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes tables that the current thread has to free.
struct Maker {
    freed: Arc<AtomicUsize>,
}

impl Maker {
    fn new() -> Self {
        Self { freed: Arc::new(AtomicUsize::new(0)) }
    }

    fn tables(&self, value: u64) -> Tables {
        let freed = Arc::clone(&self.freed);
        Tables { value, twice: 2 * value, owner: thread::current().id(), freed }
    }

    fn freed(&self) -> usize {
        self.freed.load(Ordering::Relaxed)
    }

    /// A publisher whose first snapshot has the value 1, as its epoch.
    fn channel<const N: usize>(&self) -> (Publisher<Tables>, [Reader<Tables>; N]) {
        let (publisher, readers) = channel(self.tables(1), N);
        (publisher, readers.try_into().ok().unwrap())
    }
}

fn refresh(reader: &mut Reader<Tables>) -> u64 {
    let tables = reader.refresh();
    let value = tables.value;
    assert_eq!(tables.twice, 2 * value);
    assert_eq!(reader.epoch().get(), value);
    value
}

#[test]
fn a_reader_never_goes_back_and_never_frees() {
    loom::model(|| {
        let maker = Maker::new();
        let (mut publisher, [mut reader]) = maker.channel();
        let worker = thread::spawn(move || {
            let first = refresh(&mut reader);
            let second = refresh(&mut reader);
            assert!(first <= second);
        });
        publisher.publish(maker.tables(2));
        publisher.publish(maker.tables(3));
        publisher.reap();
        worker.join().unwrap();
        assert_eq!(publisher.reap(), 0);
        assert_eq!(maker.freed(), 2, "the latest is kept");
    });
}

#[test]
fn two_readers_adopt_what_is_published_while_they_look() {
    loom::model(|| {
        let maker = Maker::new();
        let (mut publisher, readers) = maker.channel::<2>();
        let workers = readers.map(|mut reader| {
            thread::spawn(move || {
                refresh(&mut reader);
                reader
            })
        });
        let epoch = publisher.publish(maker.tables(2));
        let readers = workers.map(|worker| worker.join().unwrap());
        for mut reader in readers {
            assert_eq!(refresh(&mut reader), 2);
            assert_eq!(reader.epoch(), epoch);
        }
        assert_eq!(publisher.reap(), 0);
        assert_eq!(maker.freed(), 1);
    });
}

/// Steering for new tables changes once every reader has adopted them; no reader may look into
/// older tables from then on, one that was asleep in between included.
#[test]
fn no_reader_looks_into_tables_older_than_those_that_all_adopted() {
    loom::model(|| {
        let maker = Maker::new();
        let (mut publisher, [mut reader]) = maker.channel();
        let steering_changed = Arc::new(AtomicBool::new(false));
        let seen_by_worker = Arc::clone(&steering_changed);
        let worker = thread::spawn(move || {
            drop(reader.sleep());
            let value = refresh(&mut reader);
            if seen_by_worker.load(Ordering::Acquire) {
                assert_eq!(value, 2, "old tables after steering changed");
            }
        });
        let epoch = publisher.publish(maker.tables(2));
        if publisher.all_adopted(epoch) {
            steering_changed.store(true, Ordering::Release);
        }
        worker.join().unwrap();
        assert!(publisher.all_adopted(epoch), "a reader that is gone holds nobody up");
    });
}
