use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use dataplane::addr::Addr;
use dataplane::tables::PortId;

use super::{Gateway, now};
use crate::compile::{Compiled, WantedNeighbour};
use crate::problem;

/// How long workers may take to adopt new tables before it is worth a warning.
const ADOPT: Duration = Duration::from_millis(500);
/// After an attempt that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at whether they have.
const ADOPT_POLL: Duration = Duration::from_micros(200);

/// What the kernel was last brought in step with; `None` when it has to be done again.
#[derive(Debug, Default)]
pub struct InStep {
    neighbours: Option<Arc<[WantedNeighbour]>>,
    groups: Option<Arc<[(u32, Ipv6Addr)]>>,
}

impl Gateway {
    /// The same wishes on what the host looks like now, or with what was removed gone for good.
    pub(super) async fn recompile(&mut self) {
        // The kernel forgets entries of a link that loses its carrier.
        self.in_step.neighbours = None;
        self.compile_again().await;
    }

    /// What is wanted now, as far as the host lets it be.
    pub(super) async fn compile_again(&mut self) {
        let uptime = self.uptime();
        let effective = self.standing.lay_over(&self.desired, self.stalls.any(), uptime);
        let topology = self.cluster.routed(self.netlink.topology());
        let failure = match self.compiler.recompile(&effective, &topology, uptime) {
            Ok(compiled) => {
                let warnings = problem::render_all(&compiled.warnings, None);
                match self.take_over(compiled).await {
                    Ok(()) => {
                        self.reloads.complete();
                        return self.say_once(warnings, false);
                    }
                    Err(error) => format!("{error:#}; it is tried again"),
                }
            }
            Err(problems) => {
                self.try_again_soon();
                let problems = problem::render_all(&problems, None);
                format!(
                    "the configuration does not fit any more, the last good tables stay\n{problems}"
                )
            }
        };
        self.say_once(failure, true);
    }

    /// What stands in the way while the host changes is said when it begins, not at each event.
    fn say_once(&mut self, words: String, failed: bool) {
        if words != self.host_troubles && !words.is_empty() {
            if failed {
                tracing::error!("{words}");
            } else {
                tracing::warn!("not all of it works now: {words}");
            }
        }
        self.host_troubles = words;
    }

    /// A deadline that has passed without success comes again, but not at once.
    fn try_again_soon(&mut self) {
        self.compiled.next_deadline = Some(self.uptime() + RETRY);
    }

    /// Puts a compilation into force. What is the same `Arc` as before is in force already. Removals leave steering first, additions enter it last: at
    /// no time does a packet reach a worker whose tables do not know it.
    pub(super) async fn take_over(&mut self, compiled: Compiled) -> Result<()> {
        let result = self.put_into_force(compiled).await;
        if result.is_err() {
            // Part of it may be in force; what is missing then is made up for.
            self.steered = None;
            self.try_again_soon();
        }
        result
    }

    async fn put_into_force(&mut self, compiled: Compiled) -> Result<()> {
        self.begin_probing(&compiled);
        let steering_changed = self.steered.as_ref() != Some(&compiled.steering);
        if steering_changed {
            self.steer.retain_only(&compiled.steering).context("steer less")?;
        }
        self.engine.publish(compiled.tables.clone());
        self.await_adoption().await;
        self.hear_owners(&compiled.tables).await;
        if steering_changed {
            self.steer.add(&compiled.steering).context("steer more")?;
            self.steered = Some(Arc::clone(&compiled.steering));
        }
        let before = std::mem::replace(&mut self.compiled, compiled);
        self.manage_neighbours().await;
        self.join_groups();
        self.plan_announcements(&before);
        Ok(())
    }

    async fn await_adoption(&self) {
        let began = now();
        while !self.engine.adopted(|worker| self.stalls.is_stalled(worker)) {
            if began.elapsed() > ADOPT {
                tracing::warn!("a worker has not adopted new tables for {ADOPT:?}");
                return;
            }
            tokio::time::sleep(ADOPT_POLL).await;
        }
    }

    async fn manage_neighbours(&mut self) {
        let all = &self.compiled.wanted_neighbours;
        if self.in_step.neighbours.as_ref().is_some_and(|done| Arc::ptr_eq(done, all)) {
            return;
        }
        let managed = all.iter().filter(|neighbour| neighbour.managed);
        let wanted: BTreeSet<_> =
            managed.map(|neighbour| (neighbour.ifindex, neighbour.addr)).collect();
        self.in_step.neighbours = match self.netlink.manage_only(&wanted).await {
            Ok(()) => Some(Arc::clone(all)),
            Err(error) => {
                tracing::warn!("{error:#}");
                None
            }
        };
    }

    fn join_groups(&mut self) {
        let all = &self.compiled.groups;
        if self.in_step.groups.as_ref().is_some_and(|done| Arc::ptr_eq(done, all)) {
            return;
        }
        self.in_step.groups = match self.groups.set(&all.iter().copied().collect()) {
            Ok(()) => Some(Arc::clone(all)),
            Err(error) => {
                tracing::warn!("{error:#}");
                None
            }
        };
    }

    /// Announces what is announced now and was not before.
    fn plan_announcements(&mut self, before: &Compiled) {
        if !Arc::ptr_eq(&before.announce, &self.compiled.announce) {
            let announced: BTreeSet<_> = pairs(&self.compiled).collect();
            let known: BTreeSet<_> = pairs(before).collect();
            self.announcements.retain(|addr, port| announced.contains(&(addr, port)));
            for (addr, port) in announced.difference(&known) {
                self.announcements.plan(now(), *addr, *port);
            }
        }
        self.announce_due();
    }

    /// Has the workers send the announcements that are due.
    pub(super) fn announce_due(&mut self) {
        while let Some((addr, port)) = self.announcements.pop(now()) {
            // Nobody hears it: the port, or the interface that its sockets belong to, is gone.
            if self.ifindex(port).is_none() {
                continue;
            }
            if !self.engine.announce(addr, port) {
                // The worker has its hands full: the rest follows shortly.
                self.announcements.postpone(now(), addr, port);
                return;
            }
        }
    }
}

pub(super) fn pairs(compiled: &Compiled) -> impl Iterator<Item = (Addr, PortId)> + '_ {
    let ports = compiled.tables.ports.len() as u8;
    compiled.announce.iter().flat_map(move |(addr, mask)| {
        (0..ports).map(PortId).filter(|port| mask.contains(*port)).map(|port| (*addr, port))
    })
}
