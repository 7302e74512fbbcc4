use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Interval, sleep_until};

use super::announce::Announcements;
use super::cluster::FromCluster;
use super::conflicts::Claims;
use super::hops::HopRequests;
use super::queries::Query;
use crate::health::book::Book;
use crate::netlink::Netlink;
use crate::watch::ConfigWatch;

/// Everything that can happen to a running gateway.
pub enum Event {
    /// Links, addresses, routes or neighbours of the host changed.
    Topology,
    /// The configuration file is another.
    ConfigChanged,
    /// SIGHUP: read the configuration file again.
    Hangup,
    /// The cluster wants something else.
    ClusterChanged,
    /// Workers wait for next hops.
    HopsAsked,
    /// Somebody else claims an address of ours.
    AddressClaimed,
    /// Time to tell the kernel which neighbours are in use.
    RefreshHops,
    /// Time to look whether the workers make progress.
    LookAtWorkers,
    /// Time to announce an address again.
    AnnounceDue,
    /// Something that was removed or released has had its time.
    RemovalDue,
    /// A backend has failed its check, or is back.
    HealthChanged,
    /// Somebody asks the admin API.
    Query(Query),
    /// A worker thread has ended without being told to.
    WorkerEnded,
    /// SIGTERM or SIGINT, or the time to leave is over.
    Terminate,
}

/// What the operator asks of us: by signals, and by a change of the configuration file.
pub struct Outside {
    watch: ConfigWatch,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Outside {
    /// Begins to listen, inside the context of a runtime.
    pub(super) fn listen(config: &Path) -> Result<Self> {
        Ok(Self {
            watch: ConfigWatch::new(config).context("watch the configuration file")?,
            hangup: signal(SignalKind::hangup()).context("listen for SIGHUP")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
        })
    }

    /// To be called when privileges have been dropped: no thread shall keep any.
    pub(super) fn renew_threads(&mut self) -> Result<()> {
        self.watch.renew().context("watch the configuration file anew")
    }
}

/// Where events come from. All waits are cancellation-safe: nothing is lost when another one
/// comes first.
pub struct Sources<'a> {
    pub(super) netlink: &'a mut Netlink,
    pub(super) outside: &'a mut Outside,
    pub(super) refresh: &'a mut Interval,
    pub(super) look: &'a mut Interval,
    pub(super) queries: &'a mut mpsc::Receiver<Query>,
    pub(super) ended: &'a Notify,
    pub(super) hops: &'a HopRequests,
    pub(super) claims: &'a Claims,
    pub(super) announcements: &'a Announcements,
    pub(super) health: &'a Book,
    pub(super) cluster: &'a mut FromCluster,
    pub(super) recompile: Option<Duration>,
    pub(super) leaving: Option<Instant>,
    pub(super) began: Instant,
}

impl Sources<'_> {
    /// The next event; the end of the process comes before anything else.
    pub(super) async fn next(self) -> Result<Event> {
        let removal = self.recompile.map(|at| self.began + at);
        let event = tokio::select! {
            biased;
            _ = self.outside.terminate.recv() => Event::Terminate,
            _ = self.outside.interrupt.recv() => Event::Terminate,
            () = at(self.leaving) => Event::Terminate,
            () = self.ended.notified() => Event::WorkerEnded,
            () = self.hops.asked() => Event::HopsAsked,
            changed = self.netlink.changed() => {
                if let Err(error) = changed {
                    tracing::error!("{error:#}");
                }
                Event::Topology
            }
            () = at(self.announcements.next_due()) => Event::AnnounceDue,
            () = self.health.changed() => Event::HealthChanged,
            () = self.claims.made() => Event::AddressClaimed,
            _ = self.outside.hangup.recv() => Event::Hangup,
            changed = self.outside.watch.changed() => {
                if let Err(error) = changed {
                    tracing::error!("{error:#}");
                }
                Event::ConfigChanged
            }
            () = self.cluster.changed() => Event::ClusterChanged,
            Some(query) = self.queries.recv() => Event::Query(query),
            _ = self.look.tick() => Event::LookAtWorkers,
            _ = self.refresh.tick() => Event::RefreshHops,
            () = at(removal) => Event::RemovalDue,
        };
        Ok(event)
    }
}

/// Resolves at `deadline`; never when there is none.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
