//! While half-open flows give way faster than handshakes take, a SYN counts only when it comes again:
//! every client sends it once more after a second (RFC 6298 section 2), made-up senders do not. So a
//! flood reaches neither backends nor the flow table, and whoever is far away gets the time that his
//! handshake takes. What has come once is kept as a few bits, which are never wrong about a SYN that
//! came, and rarely about one that did not.

use crate::mem::Fixed;
use crate::tables::FrontendId;
use crate::time::Tick;

/// A half-open flow that gives way at this age, in milliseconds, or earlier, had too little time: few
/// clients are farther away.
const YOUNG_MS: u32 = 250;
/// SYNs have to come again for so long after the last flow that had too little time, in milliseconds.
const PRESSED_MS: u32 = 10_000;
/// How long a SYN is remembered, at least, in milliseconds: it is sent again after one second and,
/// if that gets lost, two seconds later. At most it is twice as long.
const REMEMBERED_MS: u32 = 4_000;
/// Frontends are told apart by so many of the low bits of their index.
const FRONTENDS: usize = 256;
/// Words of a memory: one in two hundred SYNs that did not come before is taken for one that did when
/// there were 200 000 in a second.
const WORDS_MAX: usize = 1 << 18;
const WORDS_MIN: usize = 1 << 14;

/// SYNs that came once, and the frontends for which that is not enough.
#[derive(Debug)]
pub(super) struct FirstSyns {
    /// Two generations, of which the older is forgotten as a whole.
    seen: [Fixed<u64>; 2],
    newer: usize,
    begun: Tick,
    pressed: Box<[Option<Tick>; FRONTENDS]>,
}

impl FirstSyns {
    /// For a table of so many flows.
    pub(super) fn new(flows: usize) -> Self {
        let memory = || Fixed::zeroed(Self::words(flows));
        Self {
            seen: [memory(), memory()],
            newer: 0,
            begun: Tick::default(),
            pressed: Box::new([None; FRONTENDS]),
        }
    }

    const fn words(flows: usize) -> usize {
        // How fast a flood is has nothing to do with the table; how much memory there is, has.
        let words = flows.saturating_mul(4).next_power_of_two();
        match words {
            ..WORDS_MIN => WORDS_MIN,
            WORDS_MAX.. => WORDS_MAX,
            words => words,
        }
    }

    pub(super) const fn bytes_for(flows: usize) -> usize {
        2 * Self::words(flows) * size_of::<u64>() + FRONTENDS * size_of::<Option<Tick>>()
    }

    /// A half-open flow of `frontend` gives way, of which was last seen something at `seen`.
    pub(super) fn gave_way(&mut self, frontend: FrontendId, seen: Tick, now: Tick) {
        if now.since(seen) <= YOUNG_MS {
            self.pressed[frontend.index() % FRONTENDS] = Some(now);
        }
    }

    /// Whether SYNs to `frontend` have to come again.
    #[inline(always)]
    pub(super) fn are_not_enough(&mut self, frontend: FrontendId, now: Tick) -> bool {
        let pressed = &mut self.pressed[frontend.index() % FRONTENDS];
        match *pressed {
            None => false,
            Some(at) if now.since(at) < PRESSED_MS => true,
            Some(_) => {
                *pressed = None;
                false
            }
        }
    }

    /// Whether a SYN of a flow whose key has this hash came before; if not, it has now.
    #[cold]
    pub(super) fn came_before(&mut self, hash: u64, now: Tick) -> bool {
        self.forget(now);
        let at = hash as usize & (self.seen[0].len() - 1);
        let bits = 1_u64 << (hash >> 58) | 1 << (hash >> 52 & 63) | 1 << (hash >> 46 & 63);
        if self.seen.iter().any(|seen| seen[at] & bits == bits) {
            return true;
        }
        self.seen[self.newer][at] |= bits;
        false
    }

    fn forget(&mut self, now: Tick) {
        let age = now.since(self.begun);
        if age < REMEMBERED_MS {
            return;
        }
        self.newer ^= 1;
        self.begun = now;
        self.seen[self.newer].fill(0);
        if age >= 2 * REMEMBERED_MS {
            self.seen[self.newer ^ 1].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::mix;
    use super::*;

    const FLOWS: usize = 1 << 20;

    #[test]
    fn only_flows_that_gave_way_young_press_and_only_for_a_while_and_their_frontend() {
        let mut first = FirstSyns::new(FLOWS);
        let (one, other) = (FrontendId::new(1, 0), FrontendId::new(2, 0));
        first.gave_way(one, Tick(1_000), Tick(1_000 + YOUNG_MS + 1));
        assert!(!first.are_not_enough(one, Tick(1_300)), "it had its time");
        first.gave_way(one, Tick(1_000), Tick(1_000 + YOUNG_MS));
        assert!(first.are_not_enough(one, Tick(1_300)));
        assert!(!first.are_not_enough(other, Tick(1_300)));
        assert!(first.are_not_enough(one, Tick(1_249 + PRESSED_MS)));
        assert!(!first.are_not_enough(one, Tick(1_250 + PRESSED_MS)));
        assert!(
            !first.are_not_enough(one, Tick(1_300)),
            "it was forgotten, the clock may turn over"
        );
    }

    #[test]
    fn what_is_sent_again_in_time_is_known_under_200_000_others_in_a_second() {
        let mut first = FirstSyns::new(FLOWS);
        let (mut strangers, mut taken) = ((0..).map(mix), 0);
        let begun = Tick(u32::MAX - 2_000);
        for client in 0..30_u32 {
            let hash = mix(u64::from(client) | 1 << 40);
            let now = |ms: u32| Tick(begun.0.wrapping_add(client * 3_000 + ms));
            assert!(!first.came_before(hash, now(0)));
            for ms in 0..3_000 {
                let others = strangers.by_ref().take(200);
                taken += others.filter(|other| first.came_before(*other, now(ms))).count();
            }
            assert!(first.came_before(hash, now(3_000)), "client {client}");
        }
        let all = 30 * 3_000 * 200;
        assert!(taken * 100 < all, "{taken} strangers of {all} were taken for clients");
    }

    #[test]
    fn what_comes_again_too_late_is_new() {
        let mut first = FirstSyns::new(1_024);
        for pause in [2 * REMEMBERED_MS, 10 * REMEMBERED_MS] {
            let hash = mix(u64::from(pause));
            assert!(!first.came_before(hash, Tick(0)));
            assert!(!first.came_before(hash, Tick(pause)));
        }
    }
}
