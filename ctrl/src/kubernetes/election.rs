//! The election of one leader by one Lease, as a state machine: it has no clock and no connection of its
//! own. It is told what is seen of the lease and what became of its last request, and says what to do
//! next, and when to look again. Until when we lead stands in a cell that workers read
//! (`docs/decisions/0020`).

/// What an election is told from outside.
mod terms;
/// What it asks for, and what becomes of it.
mod request;
/// How long a lease lasts, and how often it is renewed.
mod timing;
/// The lease as it is written.
mod record;
/// The lease as it is seen.
mod watched;
/// Who takes a free lease first.
mod preferred;
/// Which gateways are alive.
mod gateways;

use std::time::Duration;

use dataplane::tables::Deadline;
use dataplane::time::BootTime;

pub use gateways::{Gateways, heartbeat_lease};
pub use preferred::preferred;
pub use record::SUCCESSOR;
pub use request::{Action, Decision, Outcome};
pub use terms::{Now, OnApiLoss, Seat, Terms};
pub use timing::Timing;
pub use watched::{Seen, Watched};

/// Long ago: nobody leads.
const ENDED: BootTime = BootTime(0);

/// The election of one leader, as seen by one gateway. It asks for one request at a time.
#[derive(Debug)]
pub struct Election {
    seat: Seat,
    timing: Timing,
    on_api_loss: OnApiLoss,
    /// `None` before anything was seen.
    watched: Option<Watched>,
    /// Until when we lead.
    deadline: Deadline,
    /// When the last renewal that was written had been sent.
    renewed: Option<BootTime>,
    willing: bool,
    /// A request is on its way.
    busy: bool,
    /// What was seen is out of date.
    stale: bool,
    unreachable: bool,
    /// The server was out of reach while somebody else held the lease.
    was_cut_off: bool,
    /// The next request is not sent before.
    not_before: BootTime,
}

impl Election {
    /// Nothing is known yet, and nobody leads.
    #[must_use]
    pub fn new(seat: Seat, timing: Timing, on_api_loss: OnApiLoss) -> Self {
        Self {
            seat,
            timing: timing.sane(),
            on_api_loss,
            watched: None,
            deadline: Deadline::new(ENDED),
            renewed: None,
            willing: false,
            busy: false,
            stale: false,
            unreachable: false,
            was_cut_off: false,
            not_before: ENDED,
        }
    }

    /// Until when we lead, for those who must not go on after it. One cell as long as this lives.
    #[must_use]
    pub fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Whether we lead at `now`.
    #[must_use]
    pub fn leads(&self, now: BootTime) -> bool {
        self.deadline.get() > now
    }

    /// Who holds the lease, as far as we have seen; it may have run out.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.watched.as_ref().and_then(Watched::holder)
    }

    /// Whether we hold the lease, be it only until it is given up.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holder() == Some(&self.seat.me)
    }

    /// Until when somebody else has the lease; `None` when it is ours, or nobody's.
    #[must_use]
    pub fn held_until(&self, now: BootTime) -> Option<BootTime> {
        let watched = self.watched.as_ref().filter(|watched| watched.free_at > now)?;
        (watched.holder().is_some() && !self.holds()).then_some(watched.free_at)
    }

    /// Leases written from now on last so long.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing.sane();
    }

    /// Takes over what a watch says of the lease. What is older than what we know is left out.
    pub fn observe(&mut self, now: BootTime, seen: Seen<'_>) {
        let (me, duration) = (&self.seat.me, self.timing.duration);
        match &mut self.watched {
            Some(watched) => watched.see(now, seen, me, duration),
            None => self.watched = Some(Watched::first(now, seen, duration)),
        }
        if self.holder() != Some(&self.seat.me) {
            self.deadline.set(ENDED);
            self.renewed = None;
        }
    }

    /// Takes over what became of the request that was sent at `sent`.
    pub fn finish(&mut self, now: BootTime, sent: BootTime, outcome: Outcome) {
        self.busy = false;
        self.unreachable = outcome == Outcome::Unreachable;
        match outcome {
            Outcome::Written(lease) => {
                self.stale = false;
                self.observe(now, Seen::Lease(&lease));
                // Whoever watches the lease counts from when it was written, which was later.
                if self.holder() == Some(&self.seat.me) {
                    self.renewed = Some(sent);
                    self.back_by_lease();
                }
            }
            Outcome::Read(lease) => {
                self.stale = false;
                self.observe(now, lease.as_ref().map_or(Seen::Gone { version: None }, Seen::Lease));
                if std::mem::take(&mut self.was_cut_off) {
                    self.spare_holder(now);
                }
            }
            Outcome::Conflict => {
                self.stale = true;
                self.back_by_lease();
            }
            Outcome::Unreachable => {
                self.not_before = now.after(self.timing.retry);
                if self.holder() != Some(&self.seat.me) {
                    (self.stale, self.was_cut_off) = (true, true);
                }
            }
            Outcome::Refused => {
                self.not_before = now.after(self.timing.retry);
                self.back_by_lease();
            }
        }
    }

    /// What to do at `now`.
    pub fn decide(&mut self, now: &Now, terms: Terms<'_>) -> Decision {
        self.willing = terms.willing;
        if !self.willing {
            // Before anybody learns that the lease is free.
            self.deadline.set(ENDED);
            self.renewed = None;
        }
        self.hold_on(now.boot);
        let decision = self.next(now, terms);
        self.busy |= decision.action != Action::Nothing;
        let hold = self.holds_on().then(|| now.boot.after(self.timing.retry));
        Decision { look: decision.look.into_iter().chain(hold).min(), ..decision }
    }

    fn next(&self, now: &Now, terms: Terms<'_>) -> Decision {
        let Some(watched) = self.watched.as_ref().filter(|_| !self.busy) else {
            return Decision::wait(None);
        };
        if now.boot < self.not_before {
            return Decision::wait(Some(self.not_before));
        }
        if self.stale {
            return Decision::now(Action::Read);
        }
        if watched.holder() != Some(&self.seat.me) {
            return self.stand(now, terms, watched);
        }
        match &watched.lease {
            Some(lease) if !self.willing => {
                let successor = preferred::successor(&self.seat, terms.candidates);
                Decision::now(Action::Replace(record::released(lease, &now.wall, successor)))
            }
            _ => self.renew(now, watched),
        }
    }

    /// We hold the lease, and want to.
    fn renew(&self, now: &Now, watched: &Watched) -> Decision {
        // Whether it is renewed late does not matter: who was faster is found out by the version.
        let due = self.renewed.map(|at| at.after(self.timing.interval(&self.seat.lease)));
        match due {
            Some(due) if now.boot < due => Decision::wait(Some(due)),
            _ => Decision::now(self.take(now, watched)),
        }
    }

    /// Somebody else holds the lease, or nobody.
    fn stand(&self, now: &Now, terms: Terms<'_>, watched: &Watched) -> Decision {
        if !self.willing {
            return Decision::wait(None);
        }
        let first = preferred::is_first(&self.seat, watched, terms.candidates);
        let grace = if first { Duration::ZERO } else { self.timing.retry };
        let free = watched.free_at.after(grace);
        if now.boot < free {
            return Decision::wait(Some(free));
        }
        Decision::now(self.take(now, watched))
    }

    fn take(&self, now: &Now, watched: &Watched) -> Action {
        let lease = record::taken(watched.lease.as_ref(), &self.seat, &self.timing, &now.wall);
        if watched.lease.is_some() { Action::Replace(lease) } else { Action::Create(lease) }
    }

    /// The server is back. That a lease ran out meanwhile does not say that its holder is gone: he could
    /// not renew it, either. He gets the time in which one renews.
    fn spare_holder(&mut self, now: BootTime) {
        let spared = now.after(self.timing.renew);
        if let Some(watched) = self.watched.as_mut().filter(|watched| watched.holder().is_some()) {
            watched.free_at = watched.free_at.max(spared);
        }
    }

    /// We lead for as long as the lease says, and no longer.
    fn back_by_lease(&mut self) {
        let backed = self.renewed.map(|sent| sent.after(self.timing.duration));
        self.deadline.set(backed.filter(|_| self.willing).unwrap_or(ENDED));
    }

    fn holds_on(&self) -> bool {
        let held = self.willing && self.holder() == Some(&self.seat.me);
        held && self.unreachable && self.on_api_loss == OnApiLoss::Hold
    }

    /// The last holder goes on while nobody can renew. One whose time has run out, because he did not
    /// run himself, does not begin again: he cannot know who has led meanwhile.
    fn hold_on(&mut self, now: BootTime) {
        if self.holds_on() && self.leads(now) {
            let longer = now.after(self.timing.duration);
            self.deadline.set(self.deadline.get().max(longer));
        }
    }
}

#[cfg(test)]
mod tests;
