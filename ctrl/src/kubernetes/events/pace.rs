use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::event::can_be_said;
use crate::kubernetes::snapshot::Complaint;

/// A complaint that comes again, or stands, is counted so often: rarely enough for everybody, and often enough
/// that the API server does not forget it while it stands.
const AGAIN: Duration = Duration::from_secs(600);
/// Events at once.
const BURST: u32 = 20;
/// Then one in this time.
const REFILL: Duration = Duration::from_secs(2);
/// A complaint that is gone is remembered for so long, so that one that comes and goes is counted.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// Complaints that are known at a time.
const KNOWN_MAX: usize = 10_000;

/// Which complaint is written when.
#[derive(Debug)]
pub(super) struct Pace {
    known: BTreeMap<Complaint, Known>,
    /// How many may be written at once.
    left: u32,
    refilled: Instant,
    /// Nothing is written before.
    not_before: Instant,
    failing: bool,
}

#[derive(Debug, Default)]
struct Known {
    stands: bool,
    /// How often it was written, and when last.
    written: Option<(u32, Instant)>,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// The complaint.
    pub complaint: Complaint,
    /// How often it is said with this.
    pub count: u32,
}

impl Pace {
    /// Nothing was said yet.
    pub fn new(now: Instant) -> Self {
        let known = BTreeMap::new();
        Self { known, left: BURST, refilled: now, not_before: now, failing: false }
    }

    /// These are the complaints now.
    pub fn follow(&mut self, complaints: &[Complaint]) {
        self.known.values_mut().for_each(|known| known.stands = false);
        for complaint in complaints.iter().filter(|complaint| can_be_said(complaint)) {
            if self.known.len() < KNOWN_MAX || self.known.contains_key(complaint) {
                self.known.entry(complaint.clone()).or_default().stands = true;
            }
        }
        self.known.retain(|_, known| known.stands || known.written.is_some());
    }

    /// What is to be written now.
    pub fn next(&mut self, now: Instant) -> Option<Due> {
        self.known.retain(|_, known| {
            known.stands || known.written.is_some_and(|(_, at)| now < at + REMEMBERED)
        });
        self.refill(now);
        if now < self.not_before || self.left == 0 {
            return None;
        }
        let due = |known: &Known| known.due().is_some_and(|at| at.is_none_or(|at| at <= now));
        let (complaint, known) = self.known.iter().find(|(_, known)| due(known))?;
        let count = known.written.map_or(1, |(count, _)| count.saturating_add(1));
        Some(Due { complaint: complaint.clone(), count })
    }

    /// It is written.
    pub fn written(&mut self, complaint: &Complaint, now: Instant) {
        self.failing = false;
        self.left = self.left.saturating_sub(1);
        if let Some(known) = self.known.get_mut(complaint) {
            let count = known.written.map_or(1, |(count, _)| count.saturating_add(1));
            known.written = Some((count, now));
        }
    }

    /// Nothing is written for a while.
    pub fn rest(&mut self, until: Instant) {
        self.not_before = until;
    }

    /// Whether this failure is the first after a success.
    pub fn begins_to_fail(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    /// When there may be something to write without anything being told.
    pub fn wake(&self) -> Option<Instant> {
        let due = self.known.values().filter_map(Known::due);
        let due = due.map(|at| at.unwrap_or(self.not_before)).min()?;
        let room = if self.left == 0 { self.refilled + REFILL } else { self.not_before };
        Some(due.max(room).max(self.not_before))
    }

    fn refill(&mut self, now: Instant) {
        while self.left < BURST && self.refilled + REFILL <= now {
            self.left += 1;
            self.refilled += REFILL;
        }
        if self.left == BURST {
            self.refilled = now;
        }
    }
}

impl Known {
    /// When it is to be written: `None` for never, `Some(None)` for at once.
    fn due(&self) -> Option<Option<Instant>> {
        self.stands.then(|| self.written.map(|(_, at)| at + AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::metadata::Key;

    fn complaint(name: &str) -> Complaint {
        Complaint {
            kind: "Service",
            object: Key { namespace: "default".into(), name: name.into() },
            uid: "u".into(),
            reason: "AddressInUse",
            message: "why".into(),
        }
    }

    /// Counts of all that is written at `now`.
    fn write(pace: &mut Pace, now: Instant) -> Vec<u32> {
        let mut counts = Vec::new();
        while let Some(due) = pace.next(now) {
            pace.written(&due.complaint, now);
            counts.push(due.count);
        }
        counts
    }

    #[test]
    fn what_stands_is_written_once_and_counted_now_and_then() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.follow(&[complaint("a")]);
        assert_eq!(write(&mut pace, start), [1]);
        pace.follow(&[complaint("a")]);
        assert_eq!(write(&mut pace, start + AGAIN / 2), [0; 0]);
        assert_eq!(pace.wake(), Some(start + AGAIN));
        assert_eq!(write(&mut pace, start + AGAIN), [2]);
    }

    #[test]
    fn what_comes_and_goes_is_counted_and_no_faster() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for second in 0..60 {
            let complaints = if second % 2 == 0 { vec![complaint("a")] } else { vec![] };
            pace.follow(&complaints);
            let counts = write(&mut pace, start + Duration::from_secs(second));
            assert_eq!(counts.len(), usize::from(second == 0), "at second {second}");
        }
        pace.follow(&[]);
        assert_eq!((write(&mut pace, start + AGAIN), pace.wake()), (vec![], None));
        pace.follow(&[complaint("a")]);
        assert_eq!(write(&mut pace, start + AGAIN), [2]);
        // One that was forgotten begins anew.
        pace.follow(&[]);
        assert_eq!(write(&mut pace, start + AGAIN + REMEMBERED), [0; 0]);
        assert!(pace.known.is_empty());
    }

    #[test]
    fn many_are_written_one_after_the_other() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let many: Vec<_> = (0..100).map(|at| complaint(&at.to_string())).collect();
        pace.follow(&many);
        assert_eq!(write(&mut pace, start).len(), BURST as usize);
        assert_eq!(pace.wake(), Some(start + REFILL));
        assert_eq!(write(&mut pace, start + 3 * REFILL).len(), 3);
    }

    #[test]
    fn a_failure_is_told_once_and_rests() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.follow(&[complaint("a")]);
        assert!(pace.begins_to_fail() && !pace.begins_to_fail());
        pace.rest(start + REFILL);
        assert_eq!((pace.next(start), pace.wake()), (None, Some(start + REFILL)));
        assert_eq!(write(&mut pace, start + REFILL), [1]);
        assert!(pace.begins_to_fail());
    }
}
