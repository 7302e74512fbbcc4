use arrayvec::ArrayVec;

use super::Part;
use crate::limits::FRAGMENT_GAPS;

/// Parts of a datagram that have been seen: in order, apart from each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges {
    seen: ArrayVec<(u16, u16), FRAGMENT_GAPS>,
    /// Where the datagram ends, once its last part was seen.
    end: Option<u16>,
}

/// What a part is to those seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Nobody has seen any of it.
    New,
    /// All of it was there before: the network repeats itself.
    Repeated,
    /// It covers what another covers, or what lies behind the end (RFC 5722, RFC 1858).
    Overlaps,
    /// There is no room to remember it.
    TooScattered,
}

impl Ranges {
    /// Adds a part, if it fits.
    pub(super) fn add(&mut self, part: Part) -> Fit {
        let Part { start, end, last } = part;
        let reached = self.seen.last().map_or(0, |(_, end)| *end);
        let beyond = self.end.is_some_and(|known| end > known || last && end != known);
        if beyond || last && end < reached {
            return Fit::Overlaps;
        }
        let at = self.seen.partition_point(|(seen, _)| *seen <= start);
        let before = at.checked_sub(1).map(|before| self.seen[before]);
        let after = self.seen.get(at).copied();
        if before.is_some_and(|(_, seen)| end <= seen) {
            return Fit::Repeated;
        }
        if before.is_some_and(|(_, seen)| start < seen) || after.is_some_and(|(seen, _)| seen < end)
        {
            return Fit::Overlaps;
        }
        let joins_before = before.is_some_and(|(_, seen)| seen == start);
        let joins_after = after.is_some_and(|(seen, _)| seen == end);
        match (joins_before, joins_after) {
            (true, true) => {
                self.seen[at - 1].1 = self.seen[at].1;
                self.seen.remove(at);
            }
            (true, false) => self.seen[at - 1].1 = end,
            (false, true) => self.seen[at].0 = start,
            (false, false) if self.seen.is_full() => return Fit::TooScattered,
            (false, false) => self.seen.insert(at, (start, end)),
        }
        if last {
            self.end = Some(end);
        }
        Fit::New
    }

    /// Whether every part was seen.
    pub(super) fn complete(&self) -> bool {
        matches!((self.seen.as_slice(), self.end), ([(0, reached)], Some(end)) if *reached == end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(start: u16, end: u16, last: bool) -> Part {
        Part { start, end, last }
    }

    #[test]
    fn what_overlaps_is_told_from_what_is_repeated() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.add(part(0, 16, false)), Fit::New);
        assert_eq!(ranges.add(part(32, 40, false)), Fit::New);
        assert_eq!(ranges.add(part(0, 16, false)), Fit::Repeated);
        assert_eq!(ranges.add(part(8, 24, false)), Fit::Overlaps);
        assert_eq!(ranges.add(part(24, 48, false)), Fit::Overlaps);
        assert_eq!(ranges.add(part(16, 24, true)), Fit::Overlaps, "an end before what was seen");
        assert_eq!(ranges.add(part(40, 47, true)), Fit::New);
        assert_eq!(ranges.add(part(47, 55, false)), Fit::Overlaps, "beyond the end");
        assert!(!ranges.complete());
        assert_eq!(ranges.add(part(16, 32, false)), Fit::New);
        assert!(ranges.complete());
    }

    proptest! {
        /// The same as marking bytes one by one.
        #[test]
        fn parts_are_what_their_bytes_are(
            parts in proptest::collection::vec((0_u16..40, 1_u16..6), 1..40),
        ) {
            let mut ranges = Ranges::default();
            let mut bytes = [false; 400];
            for (start, len) in parts {
                let (start, end) = (start * 8, (start + len) * 8);
                let marked = bytes[usize::from(start)..usize::from(end)].iter();
                let marked = marked.filter(|byte| **byte).count();
                let fit = ranges.add(part(start, end, false));
                let expected = match marked {
                    0 => Fit::New,
                    all if all == usize::from(end - start) => Fit::Repeated,
                    _ => Fit::Overlaps,
                };
                if fit != Fit::TooScattered {
                    prop_assert_eq!(fit, expected);
                }
                if fit == Fit::New {
                    bytes[usize::from(start)..usize::from(end)].fill(true);
                }
            }
        }
    }
}
