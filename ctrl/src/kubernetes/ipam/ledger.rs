use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::pool::Pool;
use super::range::{Range, RangeId};
use super::request::Request;
use super::span::Span;
use super::terms::Terms;
use crate::kubernetes::api::metadata::Key;

/// Who has which address, and from which range.
///
/// An address is entered once for all pools, not once for each range: while pools overlap, an
/// address that is given from one of them is not free in the others.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By age, then name.
    pub pools: Vec<Pool>,
    entries: BTreeMap<IpAddr, Entry>,
    /// Addresses that were given to a service with a sharing key, by that key, in the order in
    /// which they were given.
    ///
    /// Invariant: each is in `entries`.
    shared: BTreeMap<String, Vec<IpAddr>>,
    last_range: u64,
    /// Something happened that may serve somebody who waits: an address is free again, or can be
    /// shared.
    pub news: bool,
}

/// An address in use.
#[derive(Debug)]
struct Entry {
    origin: RangeId,
    /// Never empty.
    tenants: Vec<Tenant>,
    /// Under which key it is found by others who want to share.
    key: Option<String>,
}

/// A service that has an address.
#[derive(Debug)]
struct Tenant {
    key: Key,
    terms: Arc<Terms>,
}

/// Where an address can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this range, which is for the service.
    In(RangeId),
    /// Only in pools that are not for the service.
    NotForIt,
    /// Nowhere.
    Nowhere,
}

impl Ledger {
    /// The pool of this name.
    pub fn pool(&mut self, name: &str) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.name() == name)
    }

    /// A range for these addresses, in which those that somebody has already are in use.
    pub fn new_range(&mut self, span: Span) -> Range {
        self.last_range += 1;
        let mut range = Range::new(RangeId(self.last_range), span);
        for (&address, _) in self.entries.range(span.first()..=span.last()) {
            range.take(address, false);
        }
        range
    }

    /// Takes the addresses of ranges that are gone from all who have them.
    pub fn evict(&mut self, ranges: &[RangeId]) -> BTreeSet<IpAddr> {
        let addresses = self.addresses(ranges);
        for &address in &addresses {
            self.release(address);
        }
        addresses
    }

    /// The addresses that services have from ranges.
    #[must_use]
    pub fn addresses(&self, ranges: &[RangeId]) -> BTreeSet<IpAddr> {
        let from_there = self.entries.iter().filter(|(_, entry)| ranges.contains(&entry.origin));
        from_there.map(|(&address, _)| address).collect()
    }

    /// Ranges that are gone while services have addresses of them still.
    #[must_use]
    pub fn gone_ranges(&self) -> Vec<RangeId> {
        let origins: BTreeSet<RangeId> = self.entries.values().map(|entry| entry.origin).collect();
        origins.into_iter().filter(|&origin| self.range(origin).is_none()).collect()
    }

    /// Puts pools into their order.
    pub fn sort_pools(&mut self) {
        self.pools.sort_by(|a, b| a.seniority().cmp(&b.seniority()));
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_held(&self, address: IpAddr) -> bool {
        self.entries.contains_key(&address)
    }

    /// Whether it cannot be given from a range: somebody has it, or it is kept back there.
    #[must_use]
    pub fn is_taken(&self, address: IpAddr, range: RangeId) -> bool {
        let keeps_back = |range: &Range| range.keeps_back(address);
        self.is_held(address) || self.range(range).is_some_and(keeps_back)
    }

    /// Why a service cannot share an address that others have. One that only it has, or that is
    /// kept back, is nothing to share.
    #[must_use]
    pub fn objection(&self, address: IpAddr, key: &Key, terms: &Terms) -> Option<&'static str> {
        let tenants = self.entries.get(&address).map(|entry| entry.tenants.iter());
        let others = tenants.into_iter().flatten().filter(|tenant| tenant.key != *key);
        others.filter_map(|tenant| tenant.terms.objection(terms)).next()
    }

    /// The pool that an address came from.
    #[must_use]
    pub fn origin(&self, address: IpAddr) -> Option<&Pool> {
        let origin = self.entries.get(&address)?.origin;
        self.pools.iter().find(|pool| pool.ranges.iter().any(|range| range.id == origin))
    }

    /// Where an address could be had by a service. If it is `listed`, it may have been given
    /// before: then pools that give out nothing have it too if no other does, and a selector that
    /// makes no sense says nothing against it.
    #[must_use]
    pub fn place(&self, address: IpAddr, request: &Request, listed: bool) -> Place {
        let enabled = self.pools.iter().filter(|pool| pool.is_enabled());
        let disabled = self.pools.iter().filter(|pool| listed && !pool.is_enabled());
        let mut place = Place::Nowhere;
        for pool in enabled.chain(disabled) {
            let contains = |range: &&Range| range.span.contains(address);
            let Some(range) = pool.ranges.iter().find(contains) else { continue };
            if pool.selects(&request.labels).unwrap_or(listed) {
                return Place::In(range.id);
            }
            place = Place::NotForIt;
        }
        place
    }

    /// Gives an address of a range to a service that has it alone.
    pub fn give(&mut self, address: IpAddr, range: RangeId, key: &Key, terms: &Arc<Terms>) {
        for each in self.ranges_mut() {
            each.take(address, each.id == range);
        }
        let tenant = Tenant { key: key.clone(), terms: Arc::clone(terms) };
        let entry = Entry { origin: range, tenants: vec![tenant], key: terms.key.clone() };
        if let Some(key) = &entry.key {
            self.shared.entry(key.clone()).or_default().push(address);
            self.news = true;
        }
        self.entries.insert(address, entry);
    }

    /// Lets a service have an address that others have too.
    pub fn join(&mut self, address: IpAddr, key: &Key, terms: &Arc<Terms>) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.tenants.push(Tenant { key: key.clone(), terms: Arc::clone(terms) });
        }
    }

    /// An address of this family that a service can share with those who have its key.
    #[must_use]
    pub fn shareable(&self, ipv4: bool, key: &Key, terms: &Terms) -> Option<IpAddr> {
        let addresses = self.shared.get(terms.key.as_ref()?)?.iter().copied();
        addresses
            .filter(|address| address.is_ipv4() == ipv4)
            .find(|&address| self.objection(address, key, terms).is_none())
    }

    /// Takes an address from a service; it is free when nobody else has it.
    pub fn leave(&mut self, address: IpAddr, key: &Key) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.tenants.retain(|tenant| tenant.key != *key);
        self.news = true;
        if entry.tenants.is_empty() {
            self.release(address);
        }
    }

    /// Notes that a service has other terms now.
    pub fn set_terms(&mut self, address: IpAddr, key: &Key, terms: &Arc<Terms>) {
        let tenants = self.entries.get_mut(&address).map(|entry| entry.tenants.iter_mut());
        for tenant in tenants.into_iter().flatten().filter(|tenant| tenant.key == *key) {
            self.news |= tenant.terms != *terms;
            tenant.terms = Arc::clone(terms);
        }
    }

    fn release(&mut self, address: IpAddr) {
        let Some(entry) = self.entries.remove(&address) else { return };
        for range in self.ranges_mut() {
            range.put(address, range.id == entry.origin);
        }
        let Some(key) = entry.key else { return };
        if let Some(addresses) = self.shared.get_mut(&key) {
            addresses.retain(|&shared| shared != address);
            if addresses.is_empty() {
                self.shared.remove(&key);
            }
        }
    }

    fn range(&self, id: RangeId) -> Option<&Range> {
        self.pools.iter().flat_map(|pool| &pool.ranges).find(|range| range.id == id)
    }

    fn ranges_mut(&mut self) -> impl Iterator<Item = &mut Range> {
        self.pools.iter_mut().flat_map(|pool| &mut pool.ranges)
    }
}
