use std::collections::HashMap;
use std::hash::Hash;
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
    since: HashMap<K, Duration>,
}

impl<K> Default for Graveyard<K> {
    fn default() -> Self {
        Self { since: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone + Ord> Graveyard<K> {
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
        self.since.retain(|key, _| !alive(key));
        for key in known {
            if !alive(key) && !self.since.contains_key(key) {
                self.since.insert(key.clone(), now);
            }
        }
        let mut over = self.beyond_bound();
        over.extend(self.since.extract_if(|_, since| *since + age <= now).map(|(key, _)| key));
        over
    }

    fn beyond_bound(&mut self) -> Vec<K> {
        let surplus = self.since.len().saturating_sub(TOMBSTONES_MAX);
        if surplus == 0 {
            return Vec::new();
        }
        let mut by_age: Vec<_> = self.since.iter().map(|(k, t)| (*t, k.clone())).collect();
        by_age.sort_unstable();
        let oldest: Vec<K> = by_age.into_iter().take(surplus).map(|(_, key)| key).collect();
        for key in &oldest {
            self.since.remove(key);
        }
        oldest
    }

    /// Every key that is kept, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.since.keys()
    }

    /// Empties the yard and returns what lay there.
    pub fn take_all(&mut self) -> Vec<K> {
        self.since.drain().map(|(key, _)| key).collect()
    }

    fn deadline(&self, age: Duration) -> Option<Duration> {
        self.since.values().min().map(|since| *since + age)
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
    }
}
