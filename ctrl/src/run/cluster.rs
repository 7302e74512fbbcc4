//! The cluster beside the file: what both want together, and what is said of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use dataplane::addr::Addr;
use dataplane::tables::{Deadline, Deadlines};
use dataplane::time::BootTime;

use super::apply::pairs;
use super::{Gateway, now};
use crate::api_types::{
    self, Cluster, ClusterComplaint, ClusterKind, ClusterLease, Latency, Pools,
};
use crate::commands::host;
use crate::compile::{OnHost, host_conflicts};
use crate::desired::Desired;
use crate::kubernetes::announcing::{Announced, Here, LeaseState};
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::kinds::Watched;
use crate::kubernetes::merge::{Merged, Merger};
use crate::kubernetes::pools::PoolState;
use crate::kubernetes::routes::with_pods;
use crate::kubernetes::snapshot::{ClusterService, Complaint, Snapshot};
use crate::kubernetes::source::Source;
use crate::kubernetes::tally::Tally;
use crate::kubernetes::watch::Standing;
use crate::problem::Problem;
use crate::topology::{LinkAddress, Topology};

/// Addresses that nobody on a link asks for.
mod off_link;

/// Complaints that are shown: whoever has more of them does not read the rest.
const SHOWN: usize = 100;

/// The cluster that the file names; nothing at all when it names none.
#[derive(Debug, Default)]
pub(super) struct FromCluster {
    source: Option<Source>,
    pub(super) snapshot: Arc<Snapshot>,
    merger: Merger,
    /// Its services that are among those wanted, in their order.
    pub(super) taken: Arc<[Arc<ClusterService>]>,
    left_out: Arc<[Complaint]>,
    /// Addresses that we led when others were told so last.
    announced: BTreeSet<Addr>,
    /// Times that something else was put into force.
    changes: u64,
    /// From hearing of each until every worker had it.
    published: Latency,
    /// Times that we came to lead, and ceased to.
    leases: (u64, u64),
    /// Source addresses that are the host's, too.
    shared: Vec<Addr>,
    /// What the host uses of their ports.
    conflicts: Arc<[Complaint]>,
    /// What was last said on objects is made of these.
    said: Option<Parts>,
    /// Addresses of the host that both were judged with.
    addresses: Vec<LinkAddress>,
}

impl FromCluster {
    /// Begins to listen to the cluster that `file` names, if any.
    pub(super) fn start(file: &Desired) -> Result<Self> {
        let here = here(file);
        let source = file.kubernetes.clone().map(|settings| Source::start(settings, here));
        let source = source.transpose()?;
        Ok(Self { source, ..Self::default() })
    }

    /// Until when addresses of `file` may be announced before the cluster has been heard of.
    pub(super) fn unheard(file: &Desired) -> Arc<Deadlines> {
        file.kubernetes
            .as_ref()
            .map(|_| Announced::unheard(&here(file)).deadlines)
            .unwrap_or_default()
    }

    /// Resolves when the cluster wants something else. Cancellation-safe.
    pub(super) async fn changed(&mut self) {
        match &mut self.source {
            Some(source) => source.changed().await,
            None => std::future::pending().await,
        }
    }

    /// The host with the ways to pods that the cluster knows of.
    pub(super) fn routed<'t>(&self, topology: &'t Topology) -> Cow<'t, Topology> {
        with_pods(topology, &self.snapshot.routes)
    }

    /// Tells the source what is to be known of this host.
    fn tell(&self, file: &Desired, stalled: bool, leaving: bool) {
        if let Some(source) = &self.source {
            source.tell(Here { stalled, leaving, ..here(file) });
        }
    }

    /// Addresses that we announce by a lease.
    fn led(&self) -> BTreeSet<Addr> {
        let led = self.snapshot.announced.leases.iter().filter(|lease| lease.leads);
        led.flat_map(|lease| lease.addresses.iter().copied().map(Addr::from)).collect()
    }

    /// What `file` and the cluster want together on this host.
    fn with(&mut self, file: &Desired, topology: &Topology) -> Desired {
        let Some(source) = &mut self.source else { return file.clone() };
        let before = std::mem::replace(&mut self.snapshot, source.latest());
        self.count_leases(&before.announced);
        let host = OnHost::new(file, topology);
        let Merged { mut desired, taken, complaints } =
            self.merger.merge(file, &self.snapshot, &host);
        desired.deadlines = self.deadlines(file);
        self.taken = taken;
        self.leave_out(complaints);
        if self.addresses != topology.addresses {
            self.addresses.clone_from(&topology.addresses);
        }
        desired
    }

    /// Until when addresses may be announced. The source has not heard yet of router addresses that have
    /// just come into `file`: whether another gateway leads them is not known.
    fn deadlines(&self, file: &Desired) -> Arc<Deadlines> {
        let Announced { deadlines, routers, .. } = &*self.snapshot.announced;
        let new = here(file).routers.into_iter().filter(|router| !routers.contains(router));
        let mut new = new.map(|router| (Addr::from(router), Deadline::new(BootTime::default())));
        match new.next() {
            Some(first) => Arc::new(deadlines.and(std::iter::once(first).chain(new))),
            None => Arc::clone(deadlines),
        }
    }

    /// Counts what we lead now and did not `before`, and the other way round.
    fn count_leases(&mut self, before: &Arc<Announced>) {
        let now = &self.snapshot.announced;
        if Arc::ptr_eq(before, now) {
            return;
        }
        let led = |announced: &Announced| -> BTreeSet<String> {
            let led = announced.leases.iter().filter(|lease| lease.leads);
            led.map(|lease| lease.lease.clone()).collect()
        };
        let (before, now) = (led(before), led(now));
        self.leases.0 += now.difference(&before).count() as u64;
        self.leases.1 += before.difference(&now).count() as u64;
    }

    fn leave_out(&mut self, complaints: Vec<Complaint>) {
        if *self.left_out == *complaints {
            return;
        }
        let known: BTreeSet<_> = self.left_out.iter().collect();
        for new in complaints.iter().filter(|complaint| !known.contains(complaint)) {
            tracing::warn!(reason = new.reason, "{} {}: {}", new.kind, new.object, new.message);
        }
        self.left_out = complaints.into();
    }
}

/// Where complaints come from. Those of many objects are the same `Arc` as long as they are the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    left_out: Arc<[Complaint]>,
    /// What the host says.
    troubled: Vec<Complaint>,
    conflicts: Arc<[Complaint]>,
    /// As the source found.
    found: Arc<[Complaint]>,
}

impl Parts {
    /// All of them, in order, each once.
    pub(super) fn all(&self) -> Vec<Complaint> {
        let parts = [&*self.left_out, &self.troubled, &self.conflicts, &self.found];
        let mut all: Vec<_> = parts.into_iter().flatten().cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Gateway {
    /// What is wanted now, of the file and of the cluster.
    pub(super) fn wanted(&mut self) -> Desired {
        let mut wanted = self.cluster.with(&self.file, self.netlink.topology());
        wanted.keep_services(&self.desired);
        wanted
    }

    /// Takes over what the cluster wants. A service that the host cannot serve is left out; what does not
    /// reach a backend is said, and the rest goes on.
    pub(super) async fn take_cluster(&mut self) {
        let routes = Arc::clone(&self.cluster.snapshot.routes);
        let deadlines = Arc::clone(&self.desired.deadlines);
        let wanted = self.wanted();
        let same = wanted == self.desired && routes == self.cluster.snapshot.routes;
        if !same || self.steered.is_none() {
            self.desired = wanted;
            self.standing.follow(&self.desired);
            self.compile_again().await;
            self.cluster.changes += 1;
            if let Some(heard) = self.cluster.snapshot.heard {
                self.cluster.published.add(BootTime::now().since(heard));
            }
            self.look_for_conflicts();
        }
        self.announce_unled(&deadlines);
        self.announce_led();
        self.complain();
    }

    /// What was silent until the cluster was heard of, and belongs to no lease, is announced as at a start.
    fn announce_unled(&mut self, before: &Deadlines) {
        let now = now();
        for (addr, port) in pairs(&self.compiled) {
            if before.over(&addr) && self.desired.deadlines.get(&addr).is_none() {
                self.announcements.plan(now, addr, port);
            }
        }
    }

    /// Whoever has the address of the leader before us in mind has to hear of us.
    fn announce_led(&mut self) {
        let led = self.cluster.led();
        let before = std::mem::replace(&mut self.cluster.announced, led.clone());
        if led == before {
            return self.announce_due();
        }
        for addr in led.difference(&before) {
            tracing::info!("we announce {addr}");
        }
        for addr in before.difference(&led) {
            tracing::info!("we do not announce {addr} any more");
        }
        let now = now();
        for (addr, port) in pairs(&self.compiled) {
            if led.contains(&addr) && !before.contains(&addr) {
                self.announcements.retain(|known, on| (known, on) != (addr, port));
                self.announcements.plan(now, addr, port);
            }
        }
        self.announce_due();
    }

    /// The source has to know of this host what may have changed.
    pub(super) fn tell_cluster(&self) {
        self.cluster.tell(&self.file, self.stalls.any(), self.leaving.is_some());
    }

    /// Begins to leave: leases are given up, and packets go on for the linger time, until everybody has
    /// learnt of our successor. Says whether there is nothing to wait for, or no time any more.
    pub(super) fn leave(&mut self) -> bool {
        if self.leaving.is_some() || self.cluster.led().is_empty() {
            return true;
        }
        let linger = self.desired.gateway.linger;
        tracing::info!("leases are given up; packets are forwarded for another {linger:?}");
        self.leaving = Some(now() + linger);
        self.tell_cluster();
        false
    }

    /// Has it said on the objects what is wrong with them.
    fn complain(&mut self) {
        let Some(source) = &self.cluster.source else { return };
        let parts = self.complaints();
        if self.cluster.said.as_ref() != Some(&parts) {
            source.complain(parts.all());
            self.cluster.said = Some(parts);
        }
    }

    /// Pools of the cluster, for people; `None` without a cluster.
    pub(super) fn pools(&self) -> Option<Pools> {
        self.cluster.source.as_ref()?;
        let snapshot = &self.cluster.snapshot;
        let pools = snapshot.pools.iter().map(pool).collect();
        Some(Pools { allocator: snapshot.allocator.to_string(), pools })
    }

    /// The file alone may use no address of the host; with the cluster there may be one, whose ports others
    /// use too. A file with services is refused for that; a cluster is told.
    fn look_for_conflicts(&mut self) {
        let sources = self.compiled.tables.snat.iter();
        let shared: Vec<Addr> =
            sources.filter(|(_, source)| source.shared).map(|(_, source)| source.addr).collect();
        if shared == self.cluster.shared {
            return;
        }
        self.cluster.shared = shared;
        let found = host_conflicts(&self.desired, &self.compiled, &host::facts(&self.desired));
        for problem in &found {
            tracing::error!("{problem}");
        }
        let object = Key { namespace: String::new(), name: self.desired.gateway.name.clone() };
        let complaint = |problem: Problem| Complaint {
            kind: "Gateway",
            object: object.clone(),
            uid: String::new(),
            reason: "PortsInUse",
            message: problem.what,
        };
        self.cluster.conflicts = found.into_iter().map(complaint).collect();
    }

    /// The host may be another: an address that it had is free now, or the other way round.
    pub(super) fn judge_cluster_again(&mut self) {
        let same = self.cluster.addresses == self.netlink.topology().addresses;
        if self.cluster.source.is_some() && !same {
            self.desired = self.wanted();
        }
    }

    /// How it stands with the cluster, for people.
    pub(super) fn cluster_state(&self) -> Option<Cluster> {
        let tally = self.cluster.source.as_ref()?.tally();
        let snapshot = &self.cluster.snapshot;
        let complaints = self.complaints().all();
        let kinds = snapshot.standings.iter();
        let kinds = kinds.map(|(which, standing)| kind(*which, standing, tally));
        let silent = tally.last_answer().map(|at| BootTime::now().since(at).as_millis());
        Some(Cluster {
            answers: snapshot.answers(),
            unusable: snapshot.unusable.clone(),
            kinds: kinds.collect(),
            services: self.cluster.taken.len(),
            changes: self.cluster.changes,
            leases: snapshot.announced.leases.iter().map(lease).collect(),
            complaints_total: complaints.len(),
            complaints_by: by_kind(&complaints),
            milliseconds_since_answer: silent.and_then(|ms| ms.try_into().ok()),
            leases_taken: self.cluster.leases.0,
            leases_lost: self.cluster.leases.1,
            published: self.cluster.published.clone(),
            complaints: complaints.into_iter().take(SHOWN).map(shown).collect(),
        })
    }

    /// What is wrong with objects: as the source found, as they were put together, as the host says.
    pub(super) fn complaints(&self) -> Parts {
        let first =
            self.desired.services.len() - self.cluster.taken.len().min(self.desired.services.len());
        let troubled = self.compiled.troubled.iter().filter_map(|(index, problem)| {
            let wish = self.cluster.taken.get(index.checked_sub(first)?)?;
            let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            Some(Complaint {
                kind: "Service",
                object: wish.object.clone(),
                uid: wish.uid.clone(),
                reason: "BackendUnreachable",
                message: format!("{}{help}", problem.what),
            })
        });
        let off_link =
            self.cluster.taken.iter().filter_map(|wish| {
                off_link::complaint(wish, &self.desired, self.netlink.topology())
            });
        Parts {
            left_out: Arc::clone(&self.cluster.left_out),
            troubled: troubled.chain(off_link).collect(),
            conflicts: Arc::clone(&self.cluster.conflicts),
            found: Arc::clone(&self.cluster.snapshot.complaints),
        }
    }
}

fn here(file: &Desired) -> Here {
    Here {
        ports: file.ports.iter().map(|port| port.name.value.clone()).collect(),
        routers: file.routers.iter().map(|router| router.address.value).collect(),
        stalled: false,
        leaving: false,
    }
}

fn by_kind(complaints: &[Complaint]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut by = BTreeMap::<String, BTreeMap<String, u64>>::new();
    for Complaint { kind, reason, .. } in complaints {
        *by.entry((*kind).to_owned()).or_default().entry((*reason).to_owned()).or_default() += 1;
    }
    by
}

fn kind(which: Watched, standing: &Standing, tally: &Tally) -> ClusterKind {
    let (state, message) = match standing {
        Standing::Asked => ("asked", None),
        Standing::Watched => ("watched", None),
        Standing::Absent => ("absent", None),
        Standing::Forbidden(rule) => ("forbidden", Some(format!("our role needs: {rule}"))),
        Standing::Failed(why) => ("failed", Some(why.clone())),
    };
    let name = which.kind().plural.to_owned();
    ClusterKind {
        name,
        state: state.to_owned(),
        message,
        objects: tally.objects(which) as u64,
        lists: tally.lists(which),
        failures: tally.failures(which),
    }
}

fn pool(state: &PoolState) -> api_types::Pool {
    let PoolState { name, disabled, conflicting, conflict, total, available, used, .. } =
        state.clone();
    let holder = |(address, key): &(_, Key)| api_types::PoolHolder {
        address: *address,
        namespace: key.namespace.clone(),
        service: key.name.clone(),
    };
    let holders = state.holders.iter().map(holder).collect();
    let conflicting = conflicting == "True";
    let conflict = Some(conflict).filter(|words| conflicting && !words.is_empty());
    api_types::Pool { name, disabled, conflicting, conflict, total, available, used, holders }
}

fn lease(state: &LeaseState) -> ClusterLease {
    let left = state.deadline.get().since(BootTime::now());
    let left = u64::try_from(left.as_millis()).ok().filter(|left| *left > 0);
    ClusterLease {
        lease: state.lease.clone(),
        holder: state.holder.clone(),
        leads: left.is_some(),
        milliseconds_left: left,
        addresses: state.addresses.iter().copied().collect(),
        refused: state.refused.clone(),
        unwilling: state.unwilling.clone(),
    }
}

fn shown(complaint: Complaint) -> ClusterComplaint {
    ClusterComplaint {
        kind: complaint.kind.to_owned(),
        namespace: complaint.object.namespace,
        name: complaint.object.name,
        reason: complaint.reason.to_owned(),
        message: complaint.message,
    }
}
