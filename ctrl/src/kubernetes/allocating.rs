//! Gives addresses of pools to services, in the cluster: tells `ipam` what happens to objects, and has written
//! what it says. Whether it is for us to do hangs on the settings, on Cilium's operator and on a lease.

/// What `cilium-config` says of addresses.
mod config;
/// Whether Cilium's operator gives addresses.
mod operator;
/// All objects, as the API server has them now.
mod listing;
/// One request.
mod write;
/// Requests that wait, are on their way, or are tried again.
mod writer;

use std::collections::BTreeSet;
use std::time::Duration;

use dataplane::time::BootTime;
use kube::Client;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::api::metadata::Key;
use super::ipam::{Changes, Ipam, Settings, Writes};
use super::kinds::{Store, Watched};
use super::leading::{Candidacy, Leases};
use super::pages::Unlisted;
use super::snapshot::{Allocator, Complaint};
use super::view::View;
use crate::desired::kubernetes::{IpamMode, KubernetesSettings};
use config::Config;
use listing::Listed;
use operator::Operator;
use write::{Target, Write};
use writer::Writer;

/// Who holds it gives addresses.
const LEASE: &str = "portreeve-ipam";
/// Lists that are read until the watches say the same; in a cluster that never rests they may never.
const LISTS_MAX: u32 = 5;
/// After a list that could not be had.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// Gives addresses, while it is for us to do.
pub struct Allocating {
    client: Client,
    mode: IpamMode,
    namespace: String,
    operator: Operator,
    candidacy: Candidacy,
    stage: Stage,
    /// Objects that `ipam` has not been told of.
    changed: BTreeSet<(Watched, Key)>,
    writer: Writer,
    /// To look again without anything having happened.
    wake: Option<Instant>,
    /// How it stands, as it was said last.
    allocator: Allocator,
}

/// How far we are. Whoever begins reads everything first: what the last one wrote may not have reached our
/// watches.
#[derive(Debug)]
enum Stage {
    /// It is for others to do, or not known for whom.
    Idle,
    /// After so many lists, this one is on its way.
    Reading(u32, JoinHandle<Result<Listed, Unlisted>>),
    /// It is here.
    Read(u32, Box<Listed>),
    /// We give addresses, by these settings.
    Running(Box<Ipam>, Settings),
}

impl Allocating {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(client: Client, settings: &KubernetesSettings, leases: &Leases) -> Self {
        Self {
            writer: Writer::new(client.clone()),
            client,
            mode: settings.ipam,
            namespace: settings.namespace.clone(),
            operator: Operator::default(),
            candidacy: leases.strict_candidacy(LEASE),
            stage: Stage::Idle,
            changed: BTreeSet::new(),
            wake: None,
            allocator: Allocator::default(),
        }
    }

    /// Objects of a kind are others now.
    pub fn touch(&mut self, which: Watched, keys: Vec<Key>) {
        if matches!(which, Watched::Services | Watched::Pools) && self.mode != IpamMode::Off {
            self.changed.extend(keys.into_iter().map(|key| (which, key)));
        }
    }

    /// Resolves when [`Self::step`] has something to do without anything being told. Cancellation-safe.
    pub async fn wait(&mut self) {
        let wake = self.wake;
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.writer.progress() => {}
            () = read(&mut self.stage) => {}
            () = self.candidacy.changed() => {}
            () = timer => {}
        }
    }

    /// Does what is to be done with what `view` knows; says how it stands, and what is wrong.
    pub fn step(&mut self, view: &View) -> (Allocator, Vec<Complaint>) {
        let now = Instant::now();
        let config = Config::read(view.store(), &self.namespace);
        let booted = BootTime::now();
        self.operator.observe(booted, operator::lease(view.store(), &self.namespace));
        let left = self.operator.lives_for(booted);
        let operated = config.operator_allocates && left.is_some();
        self.wake = left.map(|left| now + left);
        let allocator = self.allocator(view, operated);
        self.say(allocator);
        if allocator == Allocator::Us {
            self.proceed(view.store(), config.settings, now);
        } else {
            self.end();
        }
        self.wake = self.wake.into_iter().chain(self.writer.next_due()).min();
        (allocator, self.complaints(view.store(), config, operated))
    }

    /// Who gives addresses.
    fn allocator(&mut self, view: &View, operated: bool) -> Allocator {
        let listed = [Watched::Services, Watched::Leases].map(|which| view.has_listed(which));
        let known = [Watched::Pools, Watched::CiliumConfig].map(|which| view.is_known(which));
        let known = [listed, known].concat().into_iter().all(|known| known);
        let others = match self.mode {
            IpamMode::Off => Some(Allocator::Off),
            IpamMode::Auto | IpamMode::On if !known => Some(Allocator::Unknown),
            IpamMode::Auto if operated => Some(Allocator::Operator),
            IpamMode::Auto | IpamMode::On => None,
        };
        self.candidacy.willing(others.is_none());
        let (led, taken) = (self.candidacy.leads(), self.candidacy.standing().taken);
        others.unwrap_or(match (led, taken) {
            (true, _) => Allocator::Us,
            (false, true) => Allocator::AnotherGateway,
            // It takes a moment until one of the gateways has the lease.
            (false, false) => Allocator::Unknown,
        })
    }

    fn say(&mut self, allocator: Allocator) {
        if self.allocator != allocator {
            self.allocator = allocator;
            tracing::info!("addresses of pools: {allocator}");
        }
    }

    /// One step further.
    fn proceed(&mut self, store: &Store, settings: Settings, now: Instant) {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.read_all(0),
            Stage::Read(lists, listed) if lists < LISTS_MAX && !listed.is_known_to(store) => {
                self.read_all(lists);
            }
            Stage::Read(_, listed) => {
                let (ipam, writes) = Ipam::start(settings, listed.pools(), listed.services());
                self.stage = Stage::Running(Box::new(ipam), settings);
                self.queue(store, writes, now);
                self.tell(store, now);
            }
            Stage::Running(_, before) if before != settings => {
                self.writer.clear();
                self.read_all(0);
            }
            stage @ Stage::Reading(..) => self.stage = stage,
            stage @ Stage::Running(..) => {
                self.stage = stage;
                self.tell(store, now);
            }
        }
        self.writer.send(now);
    }

    /// Reads everything; what happens meanwhile is told afterwards.
    fn read_all(&mut self, lists: u32) {
        if lists == 0 {
            self.changed.clear();
        }
        let list = listing::list(self.client.clone(), lists > 0);
        self.stage = Stage::Reading(lists + 1, tokio::spawn(list));
    }

    /// Tells of what has changed.
    fn tell(&mut self, store: &Store, now: Instant) {
        if self.changed.is_empty() {
            return;
        }
        let Stage::Running(ipam, _) = &mut self.stage else { return };
        let mut changes = Changes::default();
        for (which, key) in std::mem::take(&mut self.changed) {
            if which == Watched::Pools {
                match store.pools.get(&key) {
                    Some(pool) => changes.pools.push((**pool).clone()),
                    None => changes.gone_pools.push(key.name),
                }
            } else {
                match store.services.get(&key) {
                    Some(service) => {
                        let target = Target::Service(key);
                        self.writer.forget_others(&target, &service.metadata.uid);
                        changes.services.push((**service).clone());
                    }
                    None => {
                        self.writer.forget_others(&Target::Service(key.clone()), "");
                        changes.gone_services.push(key);
                    }
                }
            }
        }
        let writes = ipam.change(changes);
        self.queue(store, writes, now);
    }

    fn queue(&mut self, store: &Store, writes: Writes, now: Instant) {
        for (name, conditions) in writes.pools {
            let key = Key { namespace: String::new(), name };
            let uid = store.pools.get(&key).map(|pool| pool.metadata.uid.clone());
            let write = Write { uid: uid.unwrap_or_default(), ingress: None, conditions };
            self.writer.set(Target::Pool(key), write, now);
        }
        for (key, write) in writes.services {
            let conditions = write.condition.into_iter().collect();
            let write = Write { uid: write.uid, ingress: Some(write.ingress), conditions };
            self.writer.set(Target::Service(key), write, now);
        }
    }

    /// It is for others to do: nothing more is written.
    fn end(&mut self) {
        if let Stage::Reading(_, task) = std::mem::replace(&mut self.stage, Stage::Idle) {
            task.abort();
        }
        self.writer.clear();
        self.changed.clear();
    }

    fn complaints(&self, store: &Store, config: Config, operated: bool) -> Vec<Complaint> {
        let mut all: Vec<_> = config.complaints;
        if operated && self.mode == IpamMode::On {
            all.push(operator::contest(&self.namespace));
        }
        if let Stage::Running(ipam, _) = &self.stage {
            all.extend(ipam.complaints().into_iter().map(|found| found.into_snapshot()));
            all.extend(self.writer.failing(store));
        }
        all
    }
}

/// Resolves when the list is here. One that could not be had is asked for again.
async fn read(stage: &mut Stage) {
    let Stage::Reading(lists, task) = stage else { return std::future::pending().await };
    let lists = *lists;
    match task.await {
        Ok(Ok(listed)) => *stage = Stage::Read(lists, Box::new(listed)),
        Ok(Err(error)) => {
            tracing::warn!("what there is cannot be listed, so no addresses are given: {error}");
            *stage = Stage::Idle;
            tokio::time::sleep(LIST_AGAIN).await;
        }
        Err(_) => *stage = Stage::Idle,
    }
}
