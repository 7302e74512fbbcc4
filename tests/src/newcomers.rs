//! Clients that come one after the other, each with a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::connections::Connection;
use crate::host::Host;

/// Whoever has no answer after this time has gone: a lost SYN is sent again after 1 s.
const PATIENCE: Duration = Duration::from_secs(3);
/// Whoever waited longer had a packet sent again.
const QUICK: Duration = Duration::from_millis(900);

/// What became of them.
#[derive(Debug, Clone, Default)]
pub struct Newcomers {
    /// How many came.
    pub came: usize,
    /// Of those, who were answered.
    pub answered: usize,
    /// Of those, without a packet sent again.
    pub at_once: usize,
    /// The longest that one waited who was answered.
    pub longest: Duration,
    /// Why the first few were not.
    pub failures: Vec<String>,
}

impl Newcomers {
    /// Which share was answered.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.answered as f64 / self.came.max(1) as f64
    }

    /// Lets them come from `host`, in turn to each of `targets`, so many a second until it is
    /// `over`; waits for those who still wait.
    ///
    /// # Errors
    /// When the threads may not enter the host's namespace.
    pub fn watch(
        host: &Host,
        targets: &[SocketAddr],
        per_second: u32,
        over: &AtomicBool,
    ) -> Result<Self> {
        // Threads are born into the namespace of the thread that makes them.
        host.enter(|| {
            std::thread::scope(|scope| {
                let (begun, mut waiting) = (Instant::now(), Vec::new());
                for number in 0.. {
                    let due = Duration::from_secs(1) * number / per_second;
                    std::thread::sleep(due.saturating_sub(begun.elapsed()));
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    let to = targets[number as usize % targets.len()];
                    waiting.push(scope.spawn(move || come(to)));
                }
                Self::sum(waiting)
            })
        })
    }

    fn sum(waiting: Vec<ScopedJoinHandle<'_, Result<Duration>>>) -> Self {
        let mut all = Self { came: waiting.len(), ..Self::default() };
        for one in waiting {
            match one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(took) => {
                    all.answered += 1;
                    all.at_once += usize::from(took < QUICK);
                    all.longest = all.longest.max(took);
                }
                Err(error) if all.failures.len() < 5 => all.failures.push(format!("{error:#}")),
                Err(_) => {}
            }
        }
        all
    }
}

/// Connects, asks and is answered in time.
fn come(to: SocketAddr) -> Result<Duration> {
    let begun = Instant::now();
    Connection::open_here(to, PATIENCE)?;
    let took = begun.elapsed();
    anyhow::ensure!(took < PATIENCE, "answered after {took:?}");
    Ok(took)
}
