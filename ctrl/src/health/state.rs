/// Whether a backend may be used, as its check sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not enough is known yet: counts as up.
    Unknown,
    /// It answers.
    Up,
    /// It has failed.
    Down,
}

impl Standing {
    /// The word for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// From outcomes to a standing: it changes only after so many outcomes of the other kind in a row,
/// so that a single loss moves nothing.
#[derive(Debug, Clone, Copy)]
pub struct Track {
    standing: Standing,
    /// Outcomes in a row that speak against the standing.
    against: u32,
    rise: u32,
    fall: u32,
}

impl Track {
    /// Knows nothing yet.
    #[must_use]
    pub const fn new(rise: u32, fall: u32) -> Self {
        Self { standing: Standing::Unknown, against: 0, rise, fall }
    }

    /// The standing after an outcome. The first success makes an unknown backend up at once; to be
    /// down it must fail as often as any other.
    pub fn observe(&mut self, good: bool) -> Standing {
        let (agrees, needed, next) = match self.standing {
            Standing::Unknown if good => (false, 1, Standing::Up),
            Standing::Unknown => (false, self.fall, Standing::Down),
            Standing::Up => (good, self.fall, Standing::Down),
            Standing::Down => (!good, self.rise, Standing::Up),
        };
        self.against = if agrees { 0 } else { self.against + 1 };
        if self.against >= needed {
            self.standing = next;
            self.against = 0;
        }
        self.standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(track: &mut Track, outcomes: &str) -> Standing {
        let each = outcomes.bytes().map(|outcome| track.observe(outcome == b'+'));
        each.last().unwrap_or(track.standing)
    }

    #[test]
    fn the_first_success_counts_and_a_first_failure_does_not() {
        assert_eq!(after(&mut Track::new(3, 2), "+"), Standing::Up);
        assert_eq!(after(&mut Track::new(3, 2), "-"), Standing::Unknown);
        assert_eq!(after(&mut Track::new(3, 2), "--"), Standing::Down);
    }

    #[test]
    fn what_interrupts_a_row_begins_it_anew() {
        let mut track = Track::new(3, 2);
        assert_eq!(after(&mut track, "+-+-+-"), Standing::Up);
        assert_eq!(after(&mut track, "-"), Standing::Down);
        assert_eq!(after(&mut track, "++-++"), Standing::Down);
        assert_eq!(after(&mut track, "+"), Standing::Up);
    }

    /// The same, told by looking back at the whole history.
    fn model(history: &[bool], rise: u32, fall: u32) -> Standing {
        let mut standing = Standing::Unknown;
        let mut since = 0;
        for end in 1..=history.len() {
            let row = |good: bool| {
                history[since..end].iter().rev().take_while(|outcome| **outcome == good).count()
                    as u32
            };
            let next = match standing {
                Standing::Unknown if row(true) >= 1 => Standing::Up,
                Standing::Unknown | Standing::Up if row(false) >= fall => Standing::Down,
                Standing::Down if row(true) >= rise => Standing::Up,
                same => same,
            };
            if next != standing {
                (standing, since) = (next, end);
            }
        }
        standing
    }

    proptest! {
        #[test]
        fn agrees_with_the_whole_history(
            history in proptest::collection::vec(any::<bool>(), 0..60), rise in 1_u32..5, fall in 1_u32..5
        ) {
            let mut track = Track::new(rise, fall);
            for end in 1..=history.len() {
                let standing = track.observe(history[end - 1]);
                prop_assert_eq!(standing, model(&history[..end], rise, fall));
            }
        }
    }
}
