use std::net::IpAddr;

use super::count::Count;
use super::free::FreeList;
use super::span::{Span, to_address, to_number};

/// Names a range for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RangeId(pub u64);

/// A range of a pool, and which of its addresses are free.
#[derive(Debug, Clone)]
pub struct Range {
    /// Its name.
    pub id: RangeId,
    /// Its addresses.
    pub span: Span,
    free: FreeList,
    /// Ends that are kept back.
    kept_back: Vec<IpAddr>,
    /// Addresses that services have from here. One that a service has from another range that
    /// overlaps is not free here either, but does not count.
    given: u64,
}

impl Range {
    /// A range of which everything is free.
    #[must_use]
    pub fn new(id: RangeId, span: Span) -> Self {
        let free = FreeList::new(to_number(span.first()), to_number(span.last()));
        Self { id, span, free, kept_back: Vec::new(), given: 0 }
    }

    /// The address that is given next.
    #[must_use]
    pub fn next(&self) -> Option<IpAddr> {
        self.free.next().map(|number| to_address(number, self.span.is_ipv4()))
    }

    /// Whether an address is kept back.
    #[must_use]
    pub fn keeps_back(&self, address: IpAddr) -> bool {
        self.kept_back.contains(&address)
    }

    /// Keeps the ends back, each only if it is free; not of a range that has nothing else.
    pub fn keep_ends_back(&mut self) {
        if !self.span.has_inner() {
            return;
        }
        for end in [self.span.first(), self.span.last()] {
            if self.free.take(to_number(end)) {
                self.kept_back.push(end);
            }
        }
    }

    /// Frees the ends that were kept back, but for those that a service has from another range.
    pub fn release_ends(&mut self, is_held: impl Fn(IpAddr) -> bool) {
        for end in std::mem::take(&mut self.kept_back) {
            if !is_held(end) {
                self.free.put(to_number(end));
            }
        }
    }

    /// Notes that an address is in use; counts it if it was given from here.
    pub fn take(&mut self, address: IpAddr, from_here: bool) {
        if self.span.contains(address) {
            self.free.take(to_number(address));
        }
        if from_here {
            self.kept_back.retain(|&end| end != address);
        }
        self.given += u64::from(from_here);
    }

    /// Notes that an address is no longer in use.
    pub fn put(&mut self, address: IpAddr, from_here: bool) {
        let free = || self.keeps_back(address) || self.free.contains(to_number(address));
        if self.span.contains(address) && !free() {
            self.free.put(to_number(address));
        }
        self.given -= u64::from(from_here);
    }

    /// Addresses that cannot be given.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.given + self.kept_back.len() as u64
    }

    /// All of its addresses.
    #[must_use]
    pub fn total(&self) -> Count {
        self.span.size()
    }
}
