//! The one place of the packet path that reads a clock. Everybody else is handed the time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the worker started, modulo 2^32 (49 days). Compare by
/// [`Tick::since`] only: the difference is right over a wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// Milliseconds from `earlier` until this.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// A monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    /// Starts at tick 0.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Tick {
        Tick(self.0.elapsed().as_millis() as u32)
    }
}

/// Nanoseconds since the machine was started, those included in which it was suspended
/// (`CLOCK_BOOTTIME`). Leases are counted by it: others count on while we do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(pub u64);

impl BootTime {
    /// The time now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        // Neither is negative since the start of the machine.
        Self(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// The time `span` after this.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(span))
    }

    /// The time from `earlier` until this; none when that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds since 1970, for packets that are shown to people.
#[must_use]
pub fn wall_ns() -> u64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |since| since.as_nanos() as u64)
}

/// Wastes time: what `--test-delay-ns` asks for.
#[cold]
#[expect(clippy::disallowed_methods, reason = "only a worker that is slow on purpose comes here")]
pub fn spin(ns: u64) {
    let begun = Instant::now();
    while (begun.elapsed().as_nanos() as u64) < ns {
        std::hint::spin_loop();
    }
}
