//! Everything that a lab leaves in the system (namespaces, processes, mounts, directories) is
//! registered here with the way to undo it. A guard undoes its own entry when it is dropped, so
//! return and panic are covered by unwinding; SIGINT and SIGTERM undo all entries, newest first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

type Action = Box<dyn FnOnce() + Send>;

static PENDING: Mutex<BTreeMap<u64, Action>> = Mutex::new(BTreeMap::new());
/// Held while an action runs, so that an interrupt cannot end the process in the middle of one;
/// from an interrupt on it is never free again.
static RUNNING: Mutex<()> = Mutex::new(());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Undoes something when dropped. An action must not drop another `Undo`.
#[derive(Debug)]
#[must_use = "dropping the guard undoes at once"]
pub struct Undo(u64);

impl Undo {
    /// Registers `action`. Call this before doing what it undoes, so that there is no gap.
    pub fn on_drop(action: impl FnOnce() + Send + 'static) -> Self {
        watch_signals();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut pending = lock(&PENDING);
        if INTERRUPTED.load(Ordering::Acquire) {
            drop(pending);
            wait_for_exit();
        }
        pending.insert(id, Box::new(action));
        Self(id)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _running = lock(&RUNNING);
        let action = lock(&PENDING).remove(&self.0);
        if let Some(action) = action {
            action();
        }
    }
}

/// Forgets everything that is registered: what stands now outlives this process. After an
/// interrupt this does not return.
pub fn keep_everything() {
    let _running = lock(&RUNNING);
    lock(&PENDING).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside an action leaves the map itself sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
            return;
        };
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                undo_all_and_exit(signal);
            }
        });
    });
}

fn undo_all_and_exit(signal: i32) -> ! {
    let _running = lock(&RUNNING);
    INTERRUPTED.store(true, Ordering::Release);
    while let Some((_, action)) = { lock(&PENDING).pop_last() } {
        action();
    }
    std::process::exit(128 + signal)
}

fn wait_for_exit() -> ! {
    loop {
        std::thread::park();
    }
}
