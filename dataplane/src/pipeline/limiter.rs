use crate::limits::{CLAIMS_PER_SECOND, NEIGHBOUR_ANSWERS_PER_SECOND, REFUSALS_PER_SECOND};
use crate::time::Tick;

/// One bucket for each kind of thing that we say ourselves, so that garbage of one kind does not
/// silence another.
#[derive(Debug, Clone)]
pub struct Limiters {
    /// RST and unreachable to those who ask for nothing of ours, time exceeded.
    pub refusals: Limiter,
    /// What connections of ours depend on: too big, RST for what was removed.
    pub errors: Limiter,
    /// ARP and NDP.
    pub neighbours: Limiter,
    /// What control is told of others that claim our addresses.
    pub claims: Limiter,
}

impl Limiters {
    /// Full buckets.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        Self {
            refusals: Limiter::new(REFUSALS_PER_SECOND, now),
            errors: Limiter::new(REFUSALS_PER_SECOND, now),
            neighbours: Limiter::new(NEIGHBOUR_ANSWERS_PER_SECOND, now),
            claims: Limiter::new(CLAIMS_PER_SECOND, now),
        }
    }
}

/// A token bucket: so many answers a second, and as many at once.
#[derive(Debug, Clone)]
pub struct Limiter {
    per_second: u32,
    /// In thousandths, so that a rate of one a second can fill up by the millisecond.
    milli_tokens: u64,
    filled: Tick,
}

impl Limiter {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u32, now: Tick) -> Self {
        Self { per_second, milli_tokens: u64::from(per_second) * 1000, filled: now }
    }

    /// Takes a token if there is one.
    pub fn allow(&mut self, now: Tick) -> bool {
        let gained = u64::from(now.since(self.filled)) * u64::from(self.per_second);
        self.filled = now;
        self.milli_tokens = (self.milli_tokens + gained).min(u64::from(self.per_second) * 1000);
        if self.milli_tokens < 1000 {
            return false;
        }
        self.milli_tokens -= 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_its_rate_and_no_more() {
        let mut limiter = Limiter::new(10, Tick(0));
        assert_eq!((0..100).filter(|_| limiter.allow(Tick(0))).count(), 10);
        assert!(!limiter.allow(Tick(99)));
        assert!(limiter.allow(Tick(200)));
    }
}
