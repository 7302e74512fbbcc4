//! A hash index of fixed size: buckets of eight slots, one cache line each; a key may stand in
//! either of two buckets. A slot holds a fingerprint and the place of an entry; the entry itself
//! decides whether it is the one.

use zerocopy::FromZeros;

use crate::mem::{Fixed, equal_lanes, prefetch};

/// Slots of one bucket: 8 fingerprints and 8 places of 4 bytes fill a cache line.
const SLOTS: usize = 8;
/// Share of slots that may be filled: two choices of eight with one displacement fill further.
const LOAD_PERCENT: usize = 80;
/// Buckets besides, so that chance weighs less in a small index.
const SPARE: usize = 4;
/// While the first bucket of a key has this many free slots, the second is not looked at: most
/// keys are then found with one read.
const ROOMY: u32 = 3;
/// No key has this fingerprint.
const FREE: u32 = 0;

/// Fingerprints stand together, so that all are compared at once.
#[derive(Debug, Clone, Copy, FromZeros)]
#[repr(C, align(64))]
struct Bucket {
    fingerprints: [u32; SLOTS],
    entries: [u32; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

/// The slots of a bucket for which something holds.
#[derive(Debug, Clone, Copy)]
struct Slots(u32);

impl Iterator for Slots {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    }
}

impl Bucket {
    /// The slots that hold `fingerprint`.
    #[inline]
    fn with(&self, fingerprint: u32) -> Slots {
        Slots(equal_lanes(&self.fingerprints, fingerprint))
    }

    fn put(&mut self, fingerprint: u32, entry: u32) -> bool {
        let Some(slot) = self.with(FREE).next() else { return false };
        (self.fingerprints[slot], self.entries[slot]) = (fingerprint, entry);
        true
    }
}

/// Fingerprints to entries.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Fixed<Bucket>,
}

/// The two buckets and the fingerprint of a key.
#[derive(Debug, Clone, Copy)]
struct Place {
    buckets: [usize; 2],
    fingerprint: u32,
}

impl Index {
    /// Room for `entries` entries at a load of at most 80 %.
    pub(super) fn new(entries: usize) -> Self {
        Self { buckets: Fixed::zeroed(Self::buckets_for(entries)) }
    }

    /// Bytes that an index for `entries` entries takes.
    pub(super) fn bytes_for(entries: usize) -> usize {
        Self::buckets_for(entries) * size_of::<Bucket>()
    }

    fn buckets_for(entries: usize) -> usize {
        (entries * 100).div_ceil(LOAD_PERCENT * SLOTS) + SPARE
    }

    #[inline]
    fn place(&self, hash: u64) -> Place {
        let fingerprint = fingerprint(hash);
        let first = self.first(hash);
        Place { buckets: [first, self.other(first, fingerprint)], fingerprint }
    }

    #[inline]
    fn first(&self, hash: u64) -> usize {
        self.reduce(hash as u32)
    }

    /// Maps 32 bits onto any number of buckets without a division.
    #[inline]
    fn reduce(&self, bits: u32) -> usize {
        ((u64::from(bits) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The second bucket of a fingerprint that stands in `bucket`. Both buckets add up to a number
    /// that depends on the fingerprint alone, so the way back is the same.
    #[inline]
    fn other(&self, bucket: usize, fingerprint: u32) -> usize {
        let sum = self.reduce(fingerprint.wrapping_mul(0x9e37_79b9));
        if sum >= bucket { sum - bucket } else { sum + self.buckets.len() - bucket }
    }

    /// Asks for the bucket in which a key most likely stands.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets[self.first(hash)]);
    }

    /// The entry that most likely has this hash, from the first bucket alone. Without one the
    /// second bucket is asked for.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<u32> {
        let (first, fingerprint) = (self.first(hash), fingerprint(hash));
        let bucket = &self.buckets[first];
        let slot = bucket.with(fingerprint).next();
        if slot.is_none() {
            prefetch(&self.buckets[self.other(first, fingerprint)]);
        }
        slot.map(|slot| bucket.entries[slot])
    }

    /// The entry with this hash for which `is_it` holds.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (first, fingerprint) = (self.first(hash), fingerprint(hash));
        self.find_in(first, fingerprint, &is_it)
            .or_else(|| self.find_in(self.other(first, fingerprint), fingerprint, &is_it))
    }

    #[inline(always)]
    fn find_in(
        &self,
        bucket: usize,
        fingerprint: u32,
        is_it: &impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let bucket = &self.buckets[bucket];
        let mut entries = bucket.with(fingerprint).map(|slot| bucket.entries[slot]);
        entries.find(|entry| is_it(*entry))
    }

    /// Notes that `entry` has this hash: in its first bucket while that is roomy, else in the
    /// emptier of both; when both are full, one of those that stand there moves to its other
    /// bucket. Returns whether there was room.
    pub(super) fn insert(&mut self, hash: u64, entry: u32) -> bool {
        let Place { buckets: [first, second], fingerprint } = self.place(hash);
        let free = self.free_slots(first);
        let emptier = if free >= ROOMY || free >= self.free_slots(second) { first } else { second };
        self.buckets[emptier].put(fingerprint, entry)
            || [first, second]
                .into_iter()
                .any(|bucket| self.displace(bucket) && self.buckets[bucket].put(fingerprint, entry))
    }

    /// Moves one slot of a full bucket to its other bucket. Returns whether one could move.
    fn displace(&mut self, bucket: usize) -> bool {
        (0..SLOTS).any(|slot| {
            let (fingerprint, entry) =
                (self.buckets[bucket].fingerprints[slot], self.buckets[bucket].entries[slot]);
            let other = self.other(bucket, fingerprint);
            let moved = other != bucket && self.buckets[other].put(fingerprint, entry);
            if moved {
                self.buckets[bucket].fingerprints[slot] = FREE;
            }
            moved
        })
    }

    fn free_slots(&self, bucket: usize) -> u32 {
        self.buckets[bucket].with(FREE).0.count_ones()
    }

    /// Forgets `entry`, which was inserted with this hash.
    pub(super) fn remove(&mut self, hash: u64, entry: u32) {
        let place = self.place(hash);
        for bucket in place.buckets {
            let bucket = &mut self.buckets[bucket];
            let mut slots = bucket.with(place.fingerprint);
            if let Some(slot) = slots.find(|slot| bucket.entries[*slot] == entry) {
                bucket.fingerprints[slot] = FREE;
                return;
            }
        }
        debug_assert!(false, "a flow is in both indexes for as long as it lives");
    }
}

/// The upper half of a hash; the lower one chooses the bucket.
#[inline]
const fn fingerprint(hash: u64) -> u32 {
    match (hash >> 32) as u32 {
        FREE => 1,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::mix;
    use super::*;

    #[test]
    fn holds_all_the_entries_that_it_was_made_for() {
        for entries in [16_usize, 1_000, 100_000, 1_000_000] {
            let mut index = Index::new(entries);
            let refused = (0..entries as u32).filter(|n| !index.insert(mix(u64::from(*n)), *n));
            assert_eq!(refused.count(), 0, "{entries} entries");
            for n in 0..entries as u32 {
                assert_eq!(index.find(mix(u64::from(n)), |entry| entry == n), Some(n));
            }
        }
    }

    #[test]
    fn what_was_removed_is_not_found() {
        let mut index = Index::new(100);
        index.insert(7, 1);
        index.insert(7, 2);
        index.remove(7, 1);
        assert_eq!(index.find(7, |_| true), Some(2));
    }
}
