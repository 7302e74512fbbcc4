//! A hash index of fixed size: buckets of eight slots, one cache line each; a key may stand in
//! either of two buckets. A slot holds a fingerprint and the place of an entry; the entry itself
//! decides whether it is the one.

/// Slots of one bucket: 8 slots of 8 bytes fill a cache line.
const SLOTS: usize = 8;
/// Share of slots that may be filled: two choices of eight with one displacement fill further.
const LOAD_PERCENT: usize = 80;
/// Buckets besides, so that chance weighs less in a small index.
const SPARE: usize = 4;
const EMPTY: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Slot {
    fingerprint: u32,
    entry: u32,
}

#[derive(Debug, Clone)]
#[repr(align(64))]
struct Bucket([Slot; SLOTS]);

/// Fingerprints to entries.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Box<[Bucket]>,
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
        let count = Self::buckets_for(entries);
        let empty = Slot { fingerprint: 0, entry: EMPTY };
        Self { buckets: vec![Bucket([empty; SLOTS]); count].into_boxed_slice() }
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
        let fingerprint = (hash >> 32) as u32;
        let first = self.reduce(hash as u32);
        Place { buckets: [first, self.other(first, fingerprint)], fingerprint }
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

    /// The entry with this hash for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let place = self.place(hash);
        place.buckets.iter().find_map(|bucket| {
            self.buckets[*bucket]
                .0
                .iter()
                .filter(|slot| slot.fingerprint == place.fingerprint && slot.entry != EMPTY)
                .find(|slot| is_it(slot.entry))
                .map(|slot| slot.entry)
        })
    }

    /// Notes that `entry` has this hash, in the emptier of its two buckets; when both are full,
    /// one of those that stand there moves to its other bucket. Returns whether there was room.
    pub(super) fn insert(&mut self, hash: u64, entry: u32) -> bool {
        let place = self.place(hash);
        let room = place.buckets.map(|bucket| self.free_slots(bucket));
        let emptier = place.buckets[usize::from(room[1] > room[0])];
        let slot = Slot { fingerprint: place.fingerprint, entry };
        self.put(emptier, slot)
            || place
                .buckets
                .into_iter()
                .any(|bucket| self.displace(bucket) && self.put(bucket, slot))
    }

    fn put(&mut self, bucket: usize, new: Slot) -> bool {
        let free = self.buckets[bucket].0.iter_mut().find(|slot| slot.entry == EMPTY);
        free.map(|slot| *slot = new).is_some()
    }

    /// Moves one slot of a full bucket to its other bucket. Returns whether one could move.
    fn displace(&mut self, bucket: usize) -> bool {
        (0..SLOTS).any(|at| {
            let slot = self.buckets[bucket].0[at];
            let other = self.other(bucket, slot.fingerprint);
            let moved = other != bucket && self.put(other, slot);
            if moved {
                self.buckets[bucket].0[at].entry = EMPTY;
            }
            moved
        })
    }

    fn free_slots(&self, bucket: usize) -> usize {
        self.buckets[bucket].0.iter().filter(|slot| slot.entry == EMPTY).count()
    }

    /// Forgets `entry`, which was inserted with this hash.
    pub(super) fn remove(&mut self, hash: u64, entry: u32) {
        let place = self.place(hash);
        for bucket in place.buckets {
            if let Some(slot) = self.buckets[bucket].0.iter_mut().find(|s| s.entry == entry) {
                slot.entry = EMPTY;
                return;
            }
        }
        debug_assert!(false, "a flow is in both indexes for as long as it lives");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed mix, so that the test is the same every time.
    fn mix(n: u64) -> u64 {
        let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

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
