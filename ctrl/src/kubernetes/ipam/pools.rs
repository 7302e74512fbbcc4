use super::keep::Occasion;
use super::pool::{Pool, parse};
use super::range::RangeId;
use super::span::{BlockError, Ends};
use super::{Ipam, conflict};
use crate::kubernetes::api::condition;
use crate::kubernetes::api::pool::{CONFLICT, IpPool};

impl Ipam {
    /// Whether anything was done.
    pub(super) fn set_pools(&mut self, pools: Vec<IpPool>) -> bool {
        let mut done = false;
        for pool in pools {
            done |= self.set_pool(pool);
        }
        done
    }

    fn set_pool(&mut self, object: IpPool) -> bool {
        let Some(held) = self.ledger.pool(&object.metadata.name) else {
            return self.new_pool(object);
        };
        let same_object = held.object.metadata.uid == object.metadata.uid;
        if same_object && held.object.spec == object.spec {
            // Its status is ours; what others do to it is not undone before there is news.
            return false;
        }
        let edited = self.edit_pool(object, same_object);
        self.half_done |= edited.is_err();
        if edited.is_ok() && self.awake {
            self.revalidate(Occasion::Change);
        }
        if edited.is_ok() {
            conflict::settle(&mut self.ledger);
        }
        edited.is_ok()
    }

    /// A pool of which a part cannot be used is not used at all.
    fn new_pool(&mut self, object: IpPool) -> bool {
        let name = object.metadata.name.clone();
        match self.build(object.clone()) {
            Ok(pool) => {
                self.refused.remove(&name);
                self.ledger.pools.push(pool);
                self.ledger.sort_pools();
                conflict::settle(&mut self.ledger);
                true
            }
            Err(error) => {
                self.refused.insert(name, (object, error));
                false
            }
        }
    }

    fn build(&mut self, object: IpPool) -> Result<Pool, BlockError> {
        let mut pool = Pool::new(object);
        for ends in parse(&pool.object.spec)? {
            let mut range = self.ledger.new_range(ends.span()?);
            if ends.prefix && pool.object.spec.keeps_ends() {
                range.keep_ends_back();
            }
            pool.ranges.push(range);
        }
        pool.mark(None);
        Ok(pool)
    }

    /// Takes over a changed object. Ranges that are still there keep their addresses.
    ///
    /// What cannot be used is found in two steps: if a block cannot be read, the ranges stay as
    /// they are; if its ends make no range, all before it is done, and ranges that are gone give
    /// out nothing more. In both cases services keep what is on their objects until there is news
    /// of them.
    fn edit_pool(&mut self, object: IpPool, same_object: bool) -> Result<(), BlockError> {
        let Some(pool) = self.ledger.pool(&object.metadata.name) else { return Ok(()) };
        let ends_changed = pool.object.spec.keeps_ends() != object.spec.keeps_ends();
        let name = object.metadata.name.clone();
        pool.object = object;
        if !same_object {
            pool.read_conditions();
            if condition::find(&pool.conditions, CONFLICT).is_none() {
                pool.mark(None);
            }
        }
        let edited = parse(&pool.object.spec).and_then(|blocks| {
            self.drop_ranges(&name, &blocks, ends_changed);
            if blocks.iter().all(|ends| ends.span().is_ok()) {
                // All services are looked at next: whoever lists one of these gets it back if it
                // can.
                self.evict(&self.ledger.gone_ranges());
            }
            self.add_ranges(&name, &blocks)
        });
        self.ledger.sort_pools();
        if let Some(pool) = self.ledger.pool(&name) {
            pool.refused = edited.clone().err();
            if edited.is_ok() {
                pool.disabled = pool.object.spec.disabled;
            }
        }
        edited
    }

    /// Drops the ranges of a pool that are not among its blocks any more; of the others, keeps the
    /// ends back or frees them if that changed and they are written as prefixes now.
    fn drop_ranges(&mut self, name: &str, blocks: &[Ends], ends_changed: bool) {
        let Some(pool) = self.ledger.pool(name) else { return };
        let keeps_ends = pool.object.spec.keeps_ends();
        let mut ranges = std::mem::take(&mut pool.ranges);
        ranges.retain_mut(|range| {
            let Some(ends) = blocks.iter().find(|ends| ends.are_of(range.span)) else {
                return false;
            };
            if ends.prefix && ends_changed && keeps_ends {
                range.keep_ends_back();
            } else if ends.prefix && ends_changed {
                range.release_ends(|address| self.ledger.is_held(address));
            }
            true
        });
        if let Some(pool) = self.ledger.pool(name) {
            pool.ranges = ranges;
        }
    }

    fn add_ranges(&mut self, name: &str, blocks: &[Ends]) -> Result<(), BlockError> {
        for ends in blocks {
            let Some(pool) = self.ledger.pool(name) else { break };
            if pool.ranges.iter().any(|range| ends.are_of(range.span)) {
                continue;
            }
            let keeps_ends = ends.prefix && pool.object.spec.keeps_ends();
            let mut range = self.ledger.new_range(ends.span()?);
            if keeps_ends {
                range.keep_ends_back();
            }
            if let Some(pool) = self.ledger.pool(name) {
                pool.ranges.push(range);
            }
        }
        Ok(())
    }

    /// Services of a pool that is gone are given others at once, those that wait for something
    /// first.
    pub(super) fn remove_pools(&mut self, names: &[String]) -> bool {
        self.refused.retain(|name, _| !names.contains(name));
        let pools = self.ledger.pools.iter().map(|pool| pool.name().to_owned());
        let by_age: Vec<String> = pools.filter(|name| names.contains(name)).collect();
        let mut done = false;
        for name in by_age {
            let Some(pool) = self.ledger.pool(&name) else { continue };
            let ranges: Vec<RangeId> = pool.ranges.iter().map(|range| range.id).collect();
            let mut bereft = Vec::new();
            for &range in &ranges {
                bereft.extend(self.views.holders(&self.ledger.addresses(&[range])));
            }
            self.ledger.pools.retain(|pool| pool.name() != name);
            self.evict(&ranges);
            for key in bereft {
                self.views.revise(&mut self.ledger, &key);
            }
            conflict::settle(&mut self.ledger);
            done = true;
        }
        done
    }

    /// Takes addresses of ranges that are gone from the services that have them.
    fn evict(&mut self, ranges: &[RangeId]) {
        let addresses = self.ledger.evict(ranges);
        self.views.forget(&addresses);
    }

    /// When there is a pool at last, everything is read anew.
    pub(super) fn wake(&mut self) -> bool {
        let wakes = !self.awake && !self.ledger.pools.is_empty();
        if wakes {
            self.awake = true;
            self.revalidate(Occasion::Start);
        }
        wakes
    }

    /// Without pools nothing is done, and nothing is known but what services list.
    pub(super) fn sleep_without_pools(&mut self) {
        if self.awake && self.ledger.pools.is_empty() {
            self.awake = false;
            self.evict(&self.ledger.gone_ranges());
        }
    }
}
