use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane::addr::Addr;
use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::{NatEnd, Timeouts};

use super::BackendKey;

/// How long a VIP or SNAT address that nothing uses stays ours, no longer announced, so that the
/// RSTs of known flows can still be sent.
pub const LINGER: Duration = Duration::from_secs(60);
/// Removed things of each kind that are kept; the oldest go first.
pub const TOMBSTONES_MAX: usize = 4_096;
/// Longest time for which removed things are kept, whatever the timeouts say.
pub const TOMBSTONE_AGE_MAX: Duration = Duration::from_secs(2 * 3_600);

/// Everything that was removed while flows may refer to it.
#[derive(Debug, Default)]
pub struct Graves {
    pub frontends: Graveyard<FrontendKey>,
    pub backends: Graveyard<BackendKey>,
    /// Backends that left one frontend and may live on in another.
    pub left: Graveyard<(FrontendKey, BackendKey)>,
    pub snat: Graveyard<Addr>,
    pub vips: Graveyard<Addr>,
    /// Backends that left mode `nat`.
    pub nat: Graveyard<NatEnd>,
}

impl Graves {
    /// When the next of them has had its time.
    pub fn next_deadline(&self, age: Duration) -> Option<Duration> {
        let deadlines = [
            self.frontends.deadline(age),
            self.backends.deadline(age),
            self.left.deadline(age),
            self.snat.deadline(LINGER),
            self.vips.deadline(LINGER),
            self.nat.deadline(LINGER),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// How long removed things are kept: until the last flow that may refer to them has timed out.
pub fn age(timeouts: &Timeouts) -> Duration {
    Duration::from_millis(timeouts.tcp_established.into()).min(TOMBSTONE_AGE_MAX)
}

/// Keys that were removed, with the time of their removal.
#[derive(Debug)]
pub struct Graveyard<K> {
    since: BTreeMap<K, Duration>,
    /// The same, oldest first.
    by_age: BTreeSet<(Duration, K)>,
    /// How many are kept.
    pub most: usize,
}

impl<K> Default for Graveyard<K> {
    fn default() -> Self {
        Self { since: BTreeMap::new(), by_age: BTreeSet::new(), most: TOMBSTONES_MAX }
    }
}

impl<K: Clone + Ord> Graveyard<K> {
    /// Lets those that are alive again go, buries those of `known` that are not alive, and
    /// returns those whose time is over.
    pub fn update<'k>(
        &mut self,
        known: impl IntoIterator<Item = &'k K>,
        alive: impl Fn(&K) -> bool,
        now: Duration,
        age: Duration,
    ) -> Vec<K>
    where
        K: 'k,
    {
        self.exhume_all(&alive);
        for key in known {
            if !alive(key) {
                self.bury(key, now);
            }
        }
        self.over(now, age)
    }

    /// Keeps `key` from now on, unless it is kept already.
    pub fn bury(&mut self, key: &K, now: Duration) {
        if !self.since.contains_key(key) {
            self.since.insert(key.clone(), now);
            self.by_age.insert((now, key.clone()));
        }
    }

    /// Lets `key` go: it is alive again, or nothing can refer to it any more.
    pub fn exhume(&mut self, key: &K) {
        if let Some(since) = self.since.remove(key) {
            self.by_age.remove(&(since, key.clone()));
        }
    }

    /// Lets those go for which `which` holds, and returns them.
    pub fn exhume_all(&mut self, which: impl Fn(&K) -> bool) -> Vec<K> {
        let keys: Vec<K> = self.since.keys().filter(|key| which(key)).cloned().collect();
        keys.iter().for_each(|key| self.exhume(key));
        keys
    }

    /// Takes out those whose time is over, and the oldest when there are too many.
    pub fn over(&mut self, now: Duration, age: Duration) -> Vec<K> {
        let mut over = Vec::new();
        while let Some((since, _)) = self.by_age.first()
            && (self.since.len() > self.most || *since + age <= now)
            && let Some((_, key)) = self.by_age.pop_first()
        {
            self.since.remove(&key);
            over.push(key);
        }
        over
    }

    /// Every key that is kept, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.since.keys()
    }

    /// Every key that is kept from `first` on, sorted.
    pub fn keys_from(&self, first: K) -> impl Iterator<Item = &K> {
        self.since.range(first..).map(|(key, _)| key)
    }

    /// Empties the yard and returns what lay there.
    pub fn take_all(&mut self) -> Vec<K> {
        self.by_age.clear();
        std::mem::take(&mut self.since).into_keys().collect()
    }

    /// When the next one has had its time.
    pub fn deadline(&self, age: Duration) -> Option<Duration> {
        self.by_age.first().map(|(since, _)| *since + age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_kept_for_its_age_and_then_given_back_once() {
        let mut yard = Graveyard::default();
        assert!(yard.update([&1], |_| false, at(5), AGE).is_empty());
        assert_eq!(yard.deadline(AGE), Some(at(15)));
        assert!(yard.update([&1], |_| false, at(14), AGE).is_empty());
        assert_eq!(yard.update([&1], |_| false, at(15), AGE), [1]);
        assert!(yard.update([], |_| false, at(16), AGE).is_empty());
    }

    #[test]
    fn what_comes_back_to_life_leaves_the_yard() {
        let mut yard = Graveyard::default();
        yard.update([&1], |_| false, at(0), AGE);
        assert!(yard.update([&1], |_| true, at(20), AGE).is_empty());
        assert_eq!(yard.keys().count(), 0);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut yard = Graveyard::default();
        yard.update([&u32::MAX], |_| false, at(0), AGE);
        let many: Vec<u32> = (0..TOMBSTONES_MAX as u32).collect();
        assert_eq!(yard.update(&many, |_| false, at(1), AGE), [u32::MAX]);
        assert_eq!(yard.keys().count(), TOMBSTONES_MAX);
        assert_eq!(yard.keys_from(4_000).count(), 96);
        assert_eq!(yard.exhume_all(|key| *key < 9).len(), 9);
        assert_eq!(yard.by_age.len(), TOMBSTONES_MAX - 9);
    }
}
