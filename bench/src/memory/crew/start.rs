use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The cores that the process may use, before any thread of it was pinned.
static CORES: OnceLock<Vec<usize>> = OnceLock::new();

/// Looks which cores there are. To be called before this thread is pinned.
pub fn look_at_cores() {
    CORES.get_or_init(|| dataplane::worker::last_cores(usize::MAX));
}

/// Has threads begin together: they spin, since waking up takes longer than what is measured.
pub struct Start {
    count: usize,
    arrived: AtomicUsize,
}

impl Start {
    /// For so many threads.
    pub const fn new(count: usize) -> Self {
        Self { count, arrived: AtomicUsize::new(0) }
    }

    /// Waits for all others, as often as all do.
    pub fn wait(&self) {
        let turn = self.arrived.fetch_add(1, Ordering::AcqRel) / self.count;
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < (turn + 1) * self.count {
            // Where there are fewer cores than threads the others need this one.
            spins += 1;
            if spins > 10_000 {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }

    /// Runs `work` on a thread of its own for each of `parts`, pinned to a core each while there are
    /// enough.
    pub fn together<P: Send, R: Send>(
        &self,
        parts: Vec<P>,
        work: impl Fn(P, &Self) -> R + Sync,
    ) -> Vec<R> {
        let cores = CORES.get().map_or(&[][..], Vec::as_slice);
        std::thread::scope(|scope| {
            let threads: Vec<_> = parts
                .into_iter()
                .enumerate()
                .map(|(n, part)| {
                    let (core, work) = (cores.get(n).copied(), &work);
                    scope.spawn(move || {
                        if let Some(id) = core {
                            core_affinity::set_for_current(core_affinity::CoreId { id });
                        }
                        work(part, self)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    }
}
