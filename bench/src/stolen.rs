//! Time that the processor was taken away from us. A virtual machine does not always say so; a
//! thread that does nothing but read the clock sees the gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// A gap shorter than this is an interrupt or a clock that ticks coarsely.
const NOTICED_NS: u64 = 100_000;

/// Reads the clock again and again on one processor, and notes the longest gap between two
/// readings. It takes the whole processor, so it belongs on one that the measurement leaves idle,
/// or around short measurements as [`gap_during`].
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    longest: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch, on `core` when one is named.
    #[must_use]
    pub fn start(core: Option<usize>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let longest = Arc::new(AtomicU64::new(0));
        let (until, noted) = (Arc::clone(&stop), Arc::clone(&longest));
        let thread = std::thread::spawn(move || {
            if let Some(id) = core {
                core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            let mut last = now();
            while !until.load(Ordering::Relaxed) {
                let next = now();
                let gap = next.duration_since(last).as_nanos() as u64;
                if gap >= NOTICED_NS {
                    noted.fetch_max(gap, Ordering::Relaxed);
                }
                last = next;
            }
        });
        Self { stop, longest, thread: Some(thread) }
    }

    /// The longest gap since the last call, in microseconds.
    #[must_use]
    pub fn take_us(&self) -> f64 {
        self.longest.swap(0, Ordering::Relaxed) as f64 / 1_000.0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic: it reads a clock.
            let _ = thread.join();
        }
    }
}

/// The clock of every measurement.
#[inline]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
