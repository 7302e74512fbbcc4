//! Neighbour entries that we ask the kernel for, since our traffic bypasses it and resolves
//! nothing by itself. Entries that an operator has fixed are never touched: both requests would
//! turn a permanent entry into an ordinary one.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use anyhow::{Context, Result};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::Netlink;
use super::neighbour::{self, Key};

impl Netlink {
    /// Has the kernel resolve `addr` and keep it resolved: it probes again before the entry
    /// gets old, and every five seconds (`interval_probe_time_ms`) when nobody answers. False
    /// when somebody else has fixed the entry or manages it already: then it stays as it is.
    ///
    /// To be repeated after a change: the kernel forgets all entries of a link that loses its
    /// carrier. Needs `CAP_NET_ADMIN`.
    pub async fn manage(&mut self, ifindex: u32, addr: IpAddr) -> Result<bool> {
        let key = (ifindex, addr);
        match self.neighbours.get(key) {
            Some(entry) if entry.fixed => return Ok(false),
            Some(entry) if entry.managed => return Ok(entry.ours),
            _ => {}
        }
        let requested = self.kernel.route.change(neighbour::managed(key), NLM_F_CREATE).await;
        requested.with_context(|| about("install managed", key))?;
        self.neighbours.note_ours(key, true);
        Ok(true)
    }

    /// Has the kernel resolve `addr` now, once; it collects the entry when it gets old. Needs
    /// `CAP_NET_ADMIN`.
    pub async fn probe(&mut self, ifindex: u32, addr: IpAddr) -> Result<()> {
        let key = (ifindex, addr);
        if self.neighbours.get(key).is_none() {
            let request = neighbour::used(key, true);
            match self.kernel.route.change(request, NLM_F_CREATE | NLM_F_EXCL).await {
                Ok(()) => {
                    self.neighbours.note_ours(key, false);
                    return Ok(());
                }
                // The kernel has learned it meanwhile, and the event is on its way.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| about("probe", key)),
            }
        }
        self.refresh(ifindex, addr).await.map(drop)
    }

    /// Tells the kernel that the entry is in use, so that it is checked when old, tried again
    /// when failed, and not collected. False when there is no such entry. Needs `CAP_NET_ADMIN`.
    pub async fn refresh(&mut self, ifindex: u32, addr: IpAddr) -> Result<bool> {
        let key = (ifindex, addr);
        let request = match self.neighbours.get(key) {
            Some(entry) if entry.fixed => return Ok(true),
            // Does the same, and more: a request without that word would end the management.
            Some(entry) if entry.managed => neighbour::managed(key),
            _ => neighbour::used(key, false),
        };
        match self.kernel.route.change(request, 0).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| about("refresh", key)),
        }
    }

    /// Removes the entry if we (or an earlier run of ours) installed it. False when there was
    /// nothing of ours. Needs `CAP_NET_ADMIN`.
    pub async fn remove(&mut self, ifindex: u32, addr: IpAddr) -> Result<bool> {
        let key = (ifindex, addr);
        if !self.neighbours.get(key).is_some_and(|entry| entry.ours) {
            return Ok(false);
        }
        match self.kernel.route.change(neighbour::removal(key), 0).await {
            Ok(()) => {
                self.neighbours.note_gone(key);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| about("remove", key)),
        }
    }

    /// Makes `wanted` the set of entries that we manage: installs what is missing, removes what
    /// is no longer wanted, an earlier run's leftovers among it. Goes on after a failure and
    /// returns the first one.
    pub async fn manage_only(&mut self, wanted: &BTreeSet<(u32, IpAddr)>) -> Result<()> {
        let managed: BTreeSet<Key> = self.neighbours.managed().collect();
        let mut first_failure = Ok(());
        for &(ifindex, addr) in managed.difference(wanted) {
            let removed = self.remove(ifindex, addr).await.map(drop);
            first_failure = first_failure.and(removed);
        }
        for &(ifindex, addr) in wanted.difference(&managed) {
            let installed = self.manage(ifindex, addr).await.map(drop);
            first_failure = first_failure.and(installed);
        }
        first_failure
    }
}

fn about(verb: &str, (ifindex, addr): Key) -> String {
    format!("{verb} neighbour {addr} on interface {ifindex}")
}
