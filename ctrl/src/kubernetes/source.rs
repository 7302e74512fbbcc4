//! The thread that speaks with the API server. It hands what the cluster wants to control, which takes it
//! over when it comes to it: whatever came in since then goes as one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};

use super::allocating::Allocating;
use super::announcing::{Announced, Here};
use super::client::client;
use super::events;
use super::health_ports::HealthPorts;
use super::kinds::Watched;
use super::leading::Leases;
use super::snapshot::{Complaint, Snapshot};
use super::tally::Tally;
use super::verdicts::{Verdicts, write};
use super::view::View;
use super::watch::{Message, Told, follow};
use crate::desired::kubernetes::KubernetesSettings;
use crate::privileges::{self, Role};

/// Objects that are taken over before anything is handed on.
const BATCH: usize = 4_096;
/// Between two attempts to find out how to reach the API server.
const RETRY: Duration = Duration::from_secs(5);

/// The cluster, as control sees it.
#[derive(Debug)]
pub struct Source {
    latest: watch::Receiver<Arc<Snapshot>>,
    complain: watch::Sender<Vec<Complaint>>,
    here: watch::Sender<Arc<Here>>,
    tally: Arc<Tally>,
}

impl Source {
    /// Starts the thread. It waits for nobody: the cluster may come later than we do.
    ///
    /// # Errors
    /// When there can be no further thread or runtime.
    pub fn start(settings: KubernetesSettings, here: Here) -> Result<Self> {
        let announced = Arc::new(Announced::unheard(&here));
        let unheard = Snapshot { announced, ..Snapshot::default() };
        let (here, host) = watch::channel(Arc::new(here));
        let (publish, latest) = watch::channel(Arc::new(unheard));
        let (complain, complaints) = watch::channel(Vec::new());
        let tally = Arc::<Tally>::default();
        let counts = Arc::clone(&tally);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("make the runtime of the cluster's source")?;
        std::thread::Builder::new()
            .name("kubernetes".into())
            .spawn(move || {
                if let Err(error) = privileges::drop_for_this_thread(Role::Cluster) {
                    tracing::warn!("{error:#}");
                }
                runtime.block_on(run(settings, host, publish, complaints, counts));
            })
            .context("start the thread of the cluster's source")?;
        Ok(Self { latest, here, complain, tally })
    }

    /// Resolves when the cluster wants something else, or is heard of in another way. Cancellation-safe.
    pub async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The thread has ended, which it never does by itself. What is in force stays.
            std::future::pending::<()>().await;
        }
    }

    /// Has it said on the objects what is wrong with them, as far as it was not said before.
    pub fn complain(&self, complaints: Vec<Complaint>) {
        self.complain.send_if_modified(|told| {
            let news = *told != complaints;
            *told = complaints;
            news
        });
    }

    /// What is counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Tells what is to be known of this host. Who leaves gives up the leases.
    pub fn tell(&self, here: Here) {
        self.here.send_if_modified(|before| {
            let news = **before != here;
            *before = Arc::new(here);
            news
        });
    }

    /// What the cluster wants now. [`Self::changed`] tells of it all the same.
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.borrow())
    }
}

async fn run(
    settings: KubernetesSettings,
    here: watch::Receiver<Arc<Here>>,
    publish: watch::Sender<Arc<Snapshot>>,
    complaints: watch::Receiver<Vec<Complaint>>,
    tally: Arc<Tally>,
) {
    let client = loop {
        match client(&settings).await {
            Ok(client) => break client,
            Err(error) => {
                let why = format!("{error:#}");
                let known = publish.borrow().unusable.as_ref() == Some(&why);
                if !known {
                    tracing::error!("the cluster cannot be asked: {why}");
                    let before = publish.borrow().as_ref().clone();
                    let unusable = Snapshot { unusable: Some(why), ..before };
                    if publish.send(Arc::new(unusable)).is_err() {
                        return;
                    }
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    };
    let (tell, told) = mpsc::unbounded_channel();
    for which in Watched::ALL {
        let namespace = settings.namespace.clone();
        let (tell, tally) = (tell.clone(), Arc::clone(&tally));
        tokio::spawn(follow(client.clone(), namespace, *which, tell, tally));
    }
    let node = node_name(&settings);
    tokio::spawn(events::write(client.clone(), node.clone(), complaints));
    let loss = settings.on_api_loss.into();
    let (say, said) = watch::channel(Verdicts::new());
    tokio::spawn(write(client.clone(), said));
    let leases = Leases::start(client.clone(), &settings.namespace, &node, loss);
    let allocating = Allocating::new(client, &settings, &leases);
    let mut view = View::new(settings, node);
    view.lead_by(leases.clone());
    hand_on(view, leases, allocating, told, here, &Ends { publish, say, tally }).await;
}

/// Where goes what is found out.
struct Ends {
    /// To control.
    publish: watch::Sender<Arc<Snapshot>>,
    /// To policies.
    say: watch::Sender<Verdicts>,
    tally: Arc<Tally>,
}

/// Takes over what is told, and what becomes of elections, until control has ended.
async fn hand_on(
    mut view: View,
    mut leases: Leases,
    mut allocating: Allocating,
    mut told: mpsc::UnboundedReceiver<Message>,
    mut here: watch::Receiver<Arc<Here>>,
    ends: &Ends,
) {
    here.mark_changed();
    let mut batch = Vec::new();
    let mut health = HealthPorts::default();
    let mut timed = None;
    loop {
        tokio::select! {
            count = told.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
            }
            () = leases.changed() => {}
            changed = here.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = Arc::clone(&here.borrow_and_update());
                if now.leaving {
                    leases.give_up();
                }
                view.move_to(now);
            }
            () = allocating.wait() => {}
            () = health.retry() => {}
        }
        let heard = batch.first().map(|(_, _, heard)| *heard);
        for (which, told, _) in batch.drain(..) {
            if let (Watched::Leases, Told::News(news)) = (which, &told) {
                leases.see(news);
            }
            allocating.touch(which, view.take(which, told));
            ends.tally.holds(which, view.store().count(which));
        }
        // Whoever is told looks at every lease anew.
        if let Some(timing) = view.timing().filter(|timing| timed.replace(*timing) != Some(*timing))
        {
            leases.retime(timing);
        }
        let (allocator, complaints) = allocating.step(&view);
        view.about_addresses(allocator, complaints);
        let mut snapshot = view.snapshot();
        let well = !here.borrow().stalled && !here.borrow().leaving;
        if view.about_health_ports(health.follow(view.health_ports(), well)) {
            snapshot = view.snapshot();
        }
        let Some(snapshot) = snapshot else { continue };
        ends.say.send_if_modified(|before| {
            let news = before != view.verdicts();
            before.clone_from(view.verdicts());
            news
        });
        if ends.publish.send(Arc::new(Snapshot { heard, ..snapshot })).is_err() {
            return;
        }
    }
}

/// The name of our node.
fn node_name(settings: &KubernetesSettings) -> String {
    let named = settings.node.clone().or_else(|| std::env::var("NODE_NAME").ok());
    named.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}
