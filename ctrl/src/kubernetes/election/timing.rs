use std::time::Duration;

use super::preferred::mixed;

/// How long a lease lasts, and how often it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After that long without a renewal somebody else may take it.
    pub duration: Duration,
    /// The holder renews it within this time.
    pub renew: Duration,
    /// Between two attempts, and for how long the others leave a free lease to the preferred leader.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew: seconds(5), retry: seconds(2) }
    }
}

impl Timing {
    /// The nearest that makes sense, by Cilium's rules: each is there, the lease lasts longer than it
    /// takes to renew it, and there is time for more than one attempt.
    #[must_use]
    pub fn sane(self) -> Self {
        let or = |given: Duration, default| if given.is_zero() { default } else { given };
        let duration = self.duration.max(Duration::from_secs(1));
        let renew = or(self.renew, Duration::from_secs(1));
        let renew = if duration <= renew { duration / 2 } else { renew };
        let retry = or(self.retry, Duration::from_millis(200));
        let retry = if renew <= retry * 6 / 5 { renew / 2 } else { retry };
        Self { duration, renew, retry }
    }

    /// The duration as it is written, in whole seconds. Others must not wait less than we lead.
    #[must_use]
    pub fn seconds(&self) -> i32 {
        let whole = self.duration.as_secs() + u64::from(self.duration.subsec_nanos() > 0);
        i32::try_from(whole).unwrap_or(i32::MAX)
    }

    /// How long after a renewal the next one of this lease is sent. Two thirds of the duration are left
    /// for what goes wrong; leases that were taken together are not renewed together.
    #[must_use]
    pub fn interval(&self, lease: &str) -> Duration {
        let most = self.renew.min(self.duration / 3);
        most - most / 4 * (mixed(&[lease]) % 256) as u32 / 256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(duration: u64, renew: u64, retry: u64) -> Timing {
        let ms = Duration::from_millis;
        Timing { duration: ms(duration), renew: ms(renew), retry: ms(retry) }
    }

    #[test]
    fn nonsense_becomes_what_cilium_makes_of_it() {
        for (given, sane) in [
            ((15_000, 5_000, 2_000), (15_000, 5_000, 2_000)),
            ((3_000, 1_000, 200), (3_000, 1_000, 200)),
            ((0, 0, 0), (1_000, 500, 200)),
            ((500, 300, 100), (1_000, 300, 100)),
            ((4_000, 4_000, 100), (4_000, 2_000, 100)),
            ((10_000, 1_200, 1_000), (10_000, 1_200, 600)),
            ((10_000, 1_201, 1_000), (10_000, 1_201, 1_000)),
        ] {
            let [given, sane] = [given, sane].map(|(a, b, c)| timing(a, b, c));
            assert_eq!(given.sane(), sane, "{given:?}");
            assert_eq!(sane.sane(), sane);
        }
    }

    #[test]
    fn what_is_written_is_never_shorter_than_what_is_meant() {
        assert_eq!(timing(3_000, 1_000, 200).seconds(), 3);
        assert_eq!(timing(3_001, 1_000, 200).seconds(), 4);
    }

    #[test]
    fn renewals_are_spread_and_leave_time() {
        let timing = Timing { renew: Duration::from_secs(14), ..Timing::default() };
        let names: Vec<_> = (0..50).map(|n| format!("cilium-l2announce-default-svc{n}")).collect();
        let spread: std::collections::BTreeSet<_> =
            names.iter().map(|name| timing.interval(name)).collect();
        assert!(spread.len() > 30);
        assert!(spread.last().unwrap() <= &Duration::from_secs(5));
        assert!(spread.first().unwrap() >= &Duration::from_millis(3_750));
    }
}
