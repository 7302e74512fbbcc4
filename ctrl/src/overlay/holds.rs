use std::collections::BTreeMap;
use std::time::Duration;

use dataplane::addr::Addr;

use crate::desired::VipsAtStart;

/// Which addresses this gateway announces. One that is released is forwarded for a linger time,
/// since packets of before the move are on their way; then the kernel gets its packets again.
#[derive(Debug, Clone)]
pub struct Holds {
    /// What holds for addresses of which nothing else was said, those that come later included.
    rule: Hold,
    said: BTreeMap<Addr, Hold>,
    linger: Duration,
}

/// Whether an address is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Until then; `None` for good.
    Held(Option<Duration>),
    /// Not since then; `None` when it has not been since the start.
    Released(Option<Duration>),
}

impl Hold {
    /// What it has come to by `now`: a lease that is over is a release.
    fn at(self, now: Duration) -> Self {
        match self {
            Self::Held(Some(until)) if until <= now => Self::Released(Some(until)),
            same => same,
        }
    }
}

impl Holds {
    /// As it is at the start.
    #[must_use]
    pub fn new(at_start: VipsAtStart, linger: Duration) -> Self {
        let rule = match at_start {
            VipsAtStart::Held => Hold::Held(None),
            VipsAtStart::Released => Hold::Released(None),
        };
        Self { rule, said: BTreeMap::new(), linger }
    }

    /// Whether every address is announced for good.
    #[must_use]
    pub fn all_held(&self) -> bool {
        let held = |hold: &Hold| *hold == Hold::Held(None);
        held(&self.rule) && self.said.values().all(held)
    }

    /// Announces this address, `until` then or for good.
    pub fn hold(&mut self, addr: Addr, until: Option<Duration>) {
        self.said.insert(addr, Hold::Held(until));
    }

    /// Announces all, those that come later included.
    pub fn hold_all(&mut self, until: Option<Duration>) {
        self.said.clear();
        self.rule = Hold::Held(until);
    }

    /// Announces this address no more from `now` on.
    pub fn release(&mut self, addr: Addr, now: Duration) {
        let released = match self.of(addr).at(now) {
            Hold::Held(_) => Hold::Released(Some(now)),
            already => already,
        };
        self.said.insert(addr, released);
    }

    /// Announces none of `addresses` any more from `now` on, and none that comes later.
    pub fn release_all(&mut self, addresses: impl IntoIterator<Item = Addr>, now: Duration) {
        for addr in addresses {
            self.release(addr, now);
        }
        self.said.retain(|_, hold| matches!(hold, Hold::Released(_)));
        self.rule = Hold::Released(None);
    }

    /// Whether `addr` is announced at `now`, and whether its packets are taken from the kernel.
    #[must_use]
    pub fn state(&self, addr: Addr, now: Duration) -> (bool, bool) {
        match self.of(addr).at(now) {
            Hold::Held(_) => (true, true),
            Hold::Released(since) => (false, since.is_some_and(|since| since + self.linger > now)),
        }
    }

    /// When the next lease or linger time ends after `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        let ends = self.said.values().chain([&self.rule]).flat_map(|hold| match hold {
            Hold::Held(Some(until)) => [Some(*until), Some(*until + self.linger)],
            Hold::Released(Some(since)) => [Some(*since + self.linger), None],
            _ => [None, None],
        });
        ends.flatten().filter(|end| *end > now).min()
    }

    fn of(&self, addr: Addr) -> Hold {
        self.said.get(&addr).copied().unwrap_or(self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(10);
    const HELD: (bool, bool) = (true, true);
    const LINGERS: (bool, bool) = (false, true);
    const GONE: (bool, bool) = (false, false);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn addr(last: u8) -> Addr {
        Addr::from(std::net::IpAddr::from([10, 10, 200, last]))
    }

    #[test]
    fn a_released_address_lingers_and_is_then_let_go() {
        let mut holds = Holds::new(VipsAtStart::Held, LINGER);
        holds.release(addr(1), at(5));
        assert_eq!(holds.state(addr(1), at(14)), LINGERS);
        assert_eq!(holds.next_deadline(at(5)), Some(at(15)));
        assert_eq!(holds.state(addr(1), at(15)), GONE);
        assert_eq!(holds.next_deadline(at(15)), None);
        assert_eq!(holds.state(addr(2), at(15)), HELD);
        holds.hold(addr(1), None);
        assert_eq!(holds.state(addr(1), at(16)), HELD);
    }

    #[test]
    fn releasing_again_does_not_lengthen_the_linger_time() {
        let mut holds = Holds::new(VipsAtStart::Held, LINGER);
        holds.release(addr(1), at(5));
        holds.release(addr(1), at(14));
        holds.release_all([addr(1)], at(14));
        assert_eq!(holds.state(addr(1), at(15)), GONE);
    }

    #[test]
    fn an_address_never_held_does_not_linger() {
        let mut holds = Holds::new(VipsAtStart::Released, LINGER);
        assert_eq!(holds.state(addr(1), at(0)), GONE);
        holds.release(addr(1), at(1));
        assert_eq!(holds.state(addr(1), at(1)), GONE);
        assert_eq!(holds.next_deadline(at(1)), None);
    }

    #[test]
    fn what_is_said_of_all_counts_for_those_that_come_later() {
        let mut holds = Holds::new(VipsAtStart::Released, LINGER);
        holds.hold_all(None);
        assert_eq!(holds.state(addr(9), at(3)), HELD);
        holds.hold(addr(2), None);
        holds.release_all([addr(1), addr(2)], at(4));
        assert_eq!(
            [addr(1), addr(2), addr(9)].map(|a| holds.state(a, at(5))),
            [LINGERS, LINGERS, GONE]
        );
    }

    #[test]
    fn a_lease_that_nobody_renews_is_a_release() {
        let mut holds = Holds::new(VipsAtStart::Released, LINGER);
        holds.hold_all(Some(at(5)));
        assert_eq!(holds.next_deadline(at(1)), Some(at(5)));
        holds.hold_all(Some(at(8)));
        assert_eq!(holds.state(addr(1), at(7)), HELD);
        assert_eq!(holds.state(addr(1), at(8)), LINGERS);
        assert_eq!(holds.next_deadline(at(8)), Some(at(18)));
        // Said too late: it has been released since the end of the lease.
        holds.release_all([addr(1)], at(12));
        assert_eq!(holds.state(addr(1), at(17)), LINGERS);
        assert_eq!(holds.state(addr(1), at(18)), GONE);
    }
}
