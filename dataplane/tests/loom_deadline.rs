//! Deadlines under every interleaving that loom finds. Built and run like `loom_publish.rs`.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use portreeve_dataplane::tables::Deadline;
use portreeve_dataplane::tables::publish::channel;
use portreeve_dataplane::time::BootTime;

/// Control gives a lease up while new tables are on their way: whoever learns that it has sees the
/// deadline ended, be his tables the old or the new ones.
#[test]
fn a_lease_that_was_given_up_has_ended_in_whatever_tables() {
    loom::model(|| {
        let deadline = Deadline::new(BootTime(100));
        let (mut publisher, mut readers) = channel(deadline.clone(), 1);
        let mut reader = readers.remove(0);
        let given_up = Arc::new(AtomicBool::new(false));
        let seen_by_worker = Arc::clone(&given_up);
        let worker = thread::spawn(move || {
            let known = seen_by_worker.load(Ordering::Acquire);
            let ends = reader.refresh().get();
            assert!(!known || ends == BootTime(0), "it came back");
            assert!([0, 100].map(BootTime).contains(&ends));
        });
        publisher.publish(deadline.clone());
        deadline.set(BootTime(0));
        given_up.store(true, Ordering::Release);
        worker.join().unwrap();
        publisher.reap();
    });
}
