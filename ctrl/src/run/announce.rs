use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dataplane::addr::Addr;
use dataplane::tables::PortId;

/// How often an address that we have taken is announced.
const TIMES: usize = 3;
/// Time between two announcements of one address.
const INTERVAL: Duration = Duration::from_millis(400);

/// Between two attempts to hand announcements to a busy worker.
const PAUSE: Duration = Duration::from_millis(5);

/// Announcements that are still to be made, by time.
#[derive(Debug, Default)]
pub struct Announcements {
    due: VecDeque<(Instant, Addr, PortId)>,
}

impl Announcements {
    /// Plans the burst for an address that has just been taken. `now` never goes back, so the
    /// first of each burst is in order; later ones are sorted in.
    pub(super) fn plan(&mut self, now: Instant, addr: Addr, port: PortId) {
        for time in 0..TIMES {
            let at = now + INTERVAL * time as u32;
            let place = self.due.partition_point(|(due, ..)| *due <= at);
            self.due.insert(place, (at, addr, port));
        }
    }

    /// Puts one back that found no room, for a few milliseconds, in front of all others.
    pub(super) fn postpone(&mut self, now: Instant, addr: Addr, port: PortId) {
        self.due.push_front((now + PAUSE, addr, port));
    }

    /// Forgets what was planned for addresses that are no longer ours to announce.
    pub(super) fn retain(&mut self, still: impl Fn(Addr, PortId) -> bool) {
        self.due.retain(|(_, addr, port)| still(*addr, *port));
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, ..)| *due)
    }

    /// Takes the next one that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Addr, PortId)> {
        self.due.pop_front_if(|(due, ..)| *due <= now).map(|(_, addr, port)| (addr, port))
    }
}
