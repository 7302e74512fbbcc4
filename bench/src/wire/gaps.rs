use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::now;

/// How long a look-out sleeps.
const NAP: Duration = Duration::from_millis(2);
/// A round with a longer gap is marked, in microseconds.
pub const BAD_US: f64 = 10_000.0;
/// So is one in which who works waited for another program for more than this share of the time.
pub const BAD_WAIT: f64 = 0.03;
/// Highest priority that needs no real-time class: whoever sleeps this much runs when it wakes.
const NICE: i32 = -20;

/// Sees when a processor was taken away, without taking one itself: on each core a thread of high
/// priority sleeps two milliseconds again and again and notes by how much it overslept. On the
/// wire every core has work to do, so a thread that spins would take one of them.
#[derive(Debug)]
pub struct LookOut {
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl LookOut {
    /// Watches every core.
    #[must_use]
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let longest = Arc::new(AtomicU64::new(0));
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let watch = |core| {
            let (until, noted) = (Arc::clone(&stop), Arc::clone(&longest));
            std::thread::spawn(move || {
                core_affinity::set_for_current(core);
                // Without the right to do so it sees more gaps than there are: the safe side.
                let _ = rustix::process::setpriority_process(None, NICE);
                while !until.load(Ordering::Relaxed) {
                    let begun = now();
                    std::thread::sleep(NAP);
                    let late = begun.elapsed().saturating_sub(NAP);
                    noted.fetch_max(late.as_micros() as u64, Ordering::Relaxed);
                }
            })
        };
        let threads = cores.into_iter().map(watch).collect();
        Self { stop, longest, threads }
    }

    /// The longest gap since the last call, in microseconds.
    #[must_use]
    pub fn take_us(&self) -> f64 {
        self.longest.swap(0, Ordering::Relaxed) as f64
    }
}

impl Drop for LookOut {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot panic: it sleeps.
            let _ = thread.join();
        }
    }
}
