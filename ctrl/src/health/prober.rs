use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use dataplane::addr::Family;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::Target;
use super::book::Book;
use super::cut_off::CutOff;
use super::icmp::Pinger;
use super::probe::{self, Failure};
use crate::privileges::{self, Role};

/// First probes are spread over this time, so that a start is no burst.
const SPREAD: Duration = Duration::from_secs(1);
/// Descriptors that are not for probes: sockets of the packet path, maps, the admin API.
const OTHER_FDS: u64 = 512;
/// Probes under way at once, at most and at least.
const AT_ONCE: std::ops::RangeInclusive<u64> = 64..=8_192;

/// The probing thread. It ends when this goes.
#[derive(Debug)]
pub struct Prober {
    book: Arc<Book>,
    cut_off: Arc<CutOff>,
    wanted: mpsc::UnboundedSender<HashSet<Arc<Target>>>,
}

impl Prober {
    /// Starts the thread: before privileges are dropped, since it opens raw sockets first and
    /// then drops all of its own.
    ///
    /// # Errors
    /// When there can be no further thread or runtime.
    pub fn start() -> Result<Self> {
        let book = Arc::new(Book::default());
        let (wanted, wishes) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("make the runtime of health checks")?;
        let at_once = room_for_probes();
        let ours = Arc::clone(&book);
        let cut_off = Arc::<CutOff>::default();
        let cut = Arc::clone(&cut_off);
        std::thread::Builder::new()
            .name("health".into())
            .spawn(move || {
                runtime.block_on(async {
                    let pinger = Pinger::open();
                    if let Err(error) = privileges::drop_for_this_thread(Role::Prober) {
                        tracing::warn!("{error:#}");
                    }
                    follow(wishes, (&ours, &cut), &pinger, at_once).await;
                });
            })
            .context("start the thread of health checks")?;
        Ok(Self { book, cut_off, wanted })
    }

    /// From now on these are probed; what is known of those that were already stays.
    pub fn follow(&self, targets: HashSet<Arc<Target>>) {
        self.book.follow(&targets, SystemTime::now());
        // The thread ends after us.
        let _ = self.wanted.send(targets);
    }

    /// From now on these cannot be reached by our packets, for the reason given, whatever the host's
    /// own stack reaches: their probes fail unasked.
    pub fn cut_off(&self, backends: HashMap<IpAddr, String>) {
        self.cut_off.set(backends);
    }

    /// What is known.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }
}

/// Raises the limit on open descriptors as far as it goes and says how many probes fit: when a
/// thousand backends are silent, a thousand connections are being tried.
fn room_for_probes() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("cannot raise the limit on open files: {error}");
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    now.saturating_sub(OTHER_FDS).clamp(*AT_ONCE.start(), *AT_ONCE.end()) as usize
}

/// Keeps one task for each target that is wanted.
async fn follow(
    mut wishes: mpsc::UnboundedReceiver<HashSet<Arc<Target>>>,
    (book, cut_off): (&Arc<Book>, &Arc<CutOff>),
    pinger: &Arc<Pinger>,
    at_once: usize,
) {
    for family in [Family::V4, Family::V6] {
        tokio::spawn(Arc::clone(pinger).hear(family));
    }
    let room = Arc::new(Semaphore::new(at_once));
    let spread = RandomState::new();
    let mut tasks: HashMap<Arc<Target>, JoinHandle<()>> = HashMap::new();
    while let Some(wanted) = wishes.recv().await {
        for (_, task) in tasks.extract_if(|target, _| !wanted.contains(target)) {
            task.abort();
        }
        for target in wanted {
            tasks.entry(Arc::clone(&target)).or_insert_with(|| {
                let whole = SPREAD.min(target.probe.interval).as_millis().max(1) as u64;
                let delay = Duration::from_millis(spread.hash_one(&target) % whole);
                let asking = Asking {
                    target,
                    book: Arc::clone(book),
                    cut_off: Arc::clone(cut_off),
                    pinger: Arc::clone(pinger),
                    room: Arc::clone(&room),
                };
                tokio::spawn(asking.for_ever(delay))
            });
        }
    }
}

/// One target being probed again and again.
struct Asking {
    target: Arc<Target>,
    book: Arc<Book>,
    cut_off: Arc<CutOff>,
    pinger: Arc<Pinger>,
    room: Arc<Semaphore>,
}

impl Asking {
    async fn for_ever(self, delay: Duration) {
        tokio::time::sleep(delay).await;
        let mut ticks = tokio::time::interval(self.target.probe.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.ask().await;
        }
    }

    async fn ask(&self) {
        if let Some(why) = self.cut_off.why(self.target.address) {
            return self.book.observe(&self.target, Err(why), SystemTime::now());
        }
        // Never closed.
        let Ok(_permit) = self.room.acquire().await else { return };
        let timeout = self.target.probe.timeout;
        let asked = probe::once(&self.target, &self.pinger);
        let outcome = match tokio::time::timeout(timeout, asked).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failure::Backend(words))) => Err(words),
            Ok(Err(Failure::Ourselves(words))) => {
                return self.book.note(&self.target, format!("cannot be checked: {words}"));
            }
            Err(_) => Err(format!("no answer within {timeout:?}")),
        };
        self.book.observe(&self.target, outcome, SystemTime::now());
    }
}
