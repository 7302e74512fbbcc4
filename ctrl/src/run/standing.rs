//! What was said and found out at run time, laid over the wishes of the source: drains, released
//! addresses, failed backends. It outlives reloads and ends with the process.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use dataplane::addr::{Addr, Family};
use dataplane::tables::PortId;

use super::{Gateway, now};
use crate::api_types::{Address, Apart, DrainedState, HealthSummary, Panic};
use crate::desired::Desired;
use crate::health::book::Book;
use crate::health::{self, Prober};
use crate::overlay::{self, Drained, Drains, Effective, Facts, Holds, Overlay};

/// Facts, and what they came to.
#[derive(Debug)]
pub struct Standing {
    pub(super) drains: Drains,
    pub(super) holds: Holds,
    prober: Prober,
    overlay: Overlay,
    /// What holds since the last attempt.
    pub(super) effective: Effective,
    /// Times that a service lost all of its backends, since the start.
    panics_begun: u64,
}

impl Standing {
    /// Nothing is known or said yet. Starts the thread of health checks.
    pub(super) fn start(desired: &Desired) -> Result<Self> {
        let gateway = &desired.gateway;
        let prober = Prober::start()?;
        prober.follow(health::targets(desired));
        Ok(Self {
            drains: Drains::default(),
            holds: Holds::new(gateway.vips_at_start, gateway.linger),
            prober,
            overlay: Overlay::default(),
            effective: Effective::default(),
            panics_begun: 0,
        })
    }

    /// What holds of `source` now, while a worker makes no progress or none is `stalled`, to be
    /// compiled.
    pub(super) fn lay_over(&mut self, source: &Desired, stalled: bool, now: Duration) -> Desired {
        let failed = self.prober.book().failed();
        let facts = Facts { drains: &self.drains, holds: &self.holds, failed: &failed, stalled };
        let next = self.overlay.apply(source, facts, now);
        self.say_panics(&next);
        self.say_refusing(&next);
        self.say_silent(&next);
        self.effective = next;
        self.effective.desired.clone()
    }

    /// Probes what `source` wants from now on.
    pub(super) fn follow(&self, source: &Desired) {
        self.prober.follow(health::targets(source));
    }

    /// Our packets do not reach these backends, for the reason given, whatever their checks find.
    pub(super) fn cut_off(&self, backends: HashMap<IpAddr, String>) {
        self.prober.cut_off(backends);
    }

    /// What is known of backends.
    pub(super) fn book(&self) -> &Book {
        self.prober.book()
    }

    /// When something changes by itself.
    pub(super) fn next_deadline(&self, now: Duration) -> Option<Duration> {
        self.holds.next_deadline(now)
    }

    /// Whether every backend of this service and family has failed, so that all are used.
    pub(super) fn panics(&self, service: &Arc<str>, family: Family) -> bool {
        self.effective.panics.contains(&(Arc::clone(service), family))
    }

    /// Whether every backend of this service and family has failed, so that it refuses.
    pub(super) fn refuses(&self, service: &Arc<str>, family: Family) -> bool {
        self.effective.refusing.contains(&(Arc::clone(service), family))
    }

    fn say_refusing(&self, next: &Effective) {
        let before = &self.effective.refusing;
        for (service, family) in next.refusing.difference(before) {
            tracing::error!(
                service = &**service,
                "all {family:?} backends fail their check: new connections are refused until one is back"
            );
        }
        for (service, family) in before.difference(&next.refusing) {
            tracing::info!(service = &**service, "there are {family:?} backends again");
        }
    }

    fn say_panics(&mut self, next: &Effective) {
        let before = &self.effective.panics;
        for (service, family) in next.panics.difference(before) {
            self.panics_begun += 1;
            tracing::error!(
                service = &**service,
                "all {family:?} backends fail their check: all are used until one is back"
            );
        }
        for (service, family) in before.difference(&next.panics) {
            tracing::info!(service = &**service, "there are {family:?} backends again");
        }
    }

    /// Also when a lease has run out, which nobody ordered.
    fn say_silent(&self, next: &Effective) {
        let silent = |effective: &Effective| {
            effective.desired.apart.values().filter(|state| !state.announced).count()
        };
        let (before, after) = (silent(&self.effective), silent(next));
        if before != after {
            tracing::info!("{after} addresses are not announced, {before} were not before");
        }
    }

    /// How health checks stand, for people.
    pub(super) fn health(&self) -> HealthSummary {
        let [unknown, up, down] = self.book().census();
        let panics = self.effective.panics.iter();
        let panics = panics.map(|(service, family)| Panic {
            service: service.to_string(),
            family: if *family == Family::V4 { "ipv4" } else { "ipv6" }.to_owned(),
        });
        HealthSummary {
            unknown,
            up,
            down,
            panics: panics.collect(),
            panics_total: self.panics_begun,
        }
    }

    /// Everything that is drained, for people.
    pub(super) fn drained(&self) -> Vec<DrainedState> {
        self.drains.iter().map(|(what, since)| described(what, since)).collect()
    }

    /// Addresses that are not announced, for people.
    pub(super) fn released(&self, now: Duration) -> Vec<Apart> {
        let apart = self.effective.desired.apart.iter().filter(|(_, state)| !state.announced);
        apart
            .map(|(addr, _)| Apart { address: addr.to_ip(), hold: self.hold_word(*addr, now) })
            .collect()
    }

    /// Whether an address is announced, in a word.
    pub(super) fn hold_word(&self, addr: Addr, now: Duration) -> String {
        match self.holds.state(addr, now) {
            (true, _) => "held",
            (false, true) => "lingers",
            (false, false) => "released",
        }
        .to_owned()
    }
}

fn described(what: Drained, since: SystemTime) -> DrainedState {
    let kind = match what {
        Drained::Vip(_) => "vip",
        Drained::Backend(..) => "backend",
    };
    let Address { address, port } = named(what);
    let since = seconds(since);
    DrainedState { kind: kind.to_owned(), address, port, since, others: Vec::new() }
}

/// As an operator names it.
fn named(what: Drained) -> Address {
    let (addr, port) = match what {
        Drained::Vip(addr) => (addr, None),
        Drained::Backend(addr, port) => (addr, port),
    };
    Address { address: addr.to_ip(), port }
}

/// Why a drain cannot be ended, and which ones could be meant.
fn not_drained(what: &Address, others: &[Address]) -> String {
    let commands: Vec<_> = others.iter().map(|other| format!("`undrain {other}`")).collect();
    match commands.as_slice() {
        [] => format!("{what} is not drained"),
        commands => format!(
            "{what} is not drained by itself, but another drain of it stands: {} ends it",
            commands.join(", ")
        ),
    }
}

/// Seconds since 1970.
pub(super) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Gateway {
    /// What a VIP or backend is drained as.
    ///
    /// # Errors
    /// In words, when it is neither.
    pub(super) fn drain_of(&self, what: &Address) -> Result<Drained, String> {
        let addr = Addr::from(what.address);
        let vips = overlay::addresses(&self.desired);
        if vips.contains(&addr) {
            return match what.port {
                None => Ok(Drained::Vip(addr)),
                Some(_) => {
                    Err(format!("{addr} is a VIP, which is drained as a whole: leave the port out"))
                }
            };
        }
        let drained = Drained::Backend(addr, what.port);
        let mut only = Drains::default();
        only.add(drained, SystemTime::UNIX_EPOCH);
        let mut services = self.desired.services.iter();
        let known =
            services.any(|service| service.backends.iter().any(|b| only.backend(service, b)));
        // What a reload removed can still be taken back.
        if known || self.standing.drains.contains(drained) {
            return Ok(drained);
        }
        Err(format!("{what} is neither a VIP nor a backend of this gateway"))
    }

    /// Gives it no new flows from now on.
    pub(super) async fn drain(&mut self, what: &Address) -> Result<DrainedState, String> {
        let drained = self.drain_of(what)?;
        let since = SystemTime::now();
        self.standing.drains.add(drained, since);
        tracing::info!("drained: {what}");
        self.recompile().await;
        Ok(described(drained, since))
    }

    /// Gives it new flows again.
    pub(super) async fn undrain(&mut self, what: &Address) -> Result<DrainedState, String> {
        let drained = self.drain_of(what)?;
        let removed = self.standing.drains.remove(drained);
        let others: Vec<_> = self.standing.drains.others(drained).map(named).collect();
        if !removed {
            return Err(not_drained(what, &others));
        }
        tracing::info!("no longer drained: {what}");
        self.recompile().await;
        Ok(DrainedState { others, ..described(drained, SystemTime::now()) })
    }

    /// Announces an address, or all, for `lease` or for good. Whoever asks without a lease has a
    /// reason to think that the link believes otherwise: it is told again in any case.
    pub(super) async fn hold(
        &mut self,
        addr: Option<Addr>,
        lease: Option<Duration>,
    ) -> Result<Vec<Apart>, String> {
        let addresses = self.asked(addr)?;
        let before = self.holds(&addresses);
        let until = lease.map(|lease| self.uptime() + lease);
        match addr {
            Some(addr) => self.standing.holds.hold(addr, until),
            None => self.standing.holds.hold_all(until),
        }
        let after = self.holds(&addresses);
        if before == after && lease.is_some() {
            // Renewed in time.
            return Ok(after);
        }
        tracing::info!("held: {}", words(addr));
        let before: BTreeSet<(Addr, PortId)> = super::apply::pairs(&self.compiled).collect();
        self.recompile().await;
        let again = before.into_iter().filter(|(addr, _)| addresses.contains(addr));
        for (addr, port) in again {
            self.announcements.plan(now(), addr, port);
        }
        self.announce_due();
        Ok(self.holds(&addresses))
    }

    /// Announces an address, or all, no more.
    pub(super) async fn release(&mut self, addr: Option<Addr>) -> Result<Vec<Apart>, String> {
        let addresses = self.asked(addr)?;
        let uptime = self.uptime();
        match addr {
            Some(addr) => self.standing.holds.release(addr, uptime),
            None => self.standing.holds.release_all(addresses.iter().copied(), uptime),
        }
        tracing::info!("released: {}", words(addr));
        self.recompile().await;
        Ok(self.holds(&addresses))
    }

    /// The addresses that an order is about.
    fn asked(&self, addr: Option<Addr>) -> Result<BTreeSet<Addr>, String> {
        let all = overlay::addresses(&self.desired);
        match addr {
            None => Ok(all),
            Some(addr) if all.contains(&addr) => Ok(BTreeSet::from([addr])),
            Some(addr) => Err(format!("{addr} is no address that this gateway announces")),
        }
    }

    fn holds(&self, addresses: &BTreeSet<Addr>) -> Vec<Apart> {
        let uptime = self.uptime();
        let hold = |addr: &Addr| Apart {
            address: addr.to_ip(),
            hold: self.standing.hold_word(*addr, uptime),
        };
        addresses.iter().map(hold).collect()
    }
}

fn words(addr: Option<Addr>) -> String {
    addr.map_or_else(|| "all addresses".to_owned(), |addr| addr.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_undrains_a_port_of_a_drained_backend_is_told_what_to_undrain() {
        let at = |port| Address { address: [172, 16, 1, 93].into(), port };
        let said = not_drained(&at(Some(80)), &[at(None)]);
        assert!(said.ends_with("`undrain 172.16.1.93` ends it"), "{said}");
        assert_eq!(not_drained(&at(None), &[]), "172.16.1.93 is not drained");
    }
}
