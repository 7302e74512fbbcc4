//! The clock of every measurement.

use std::time::Instant;

/// The time now.
#[inline]
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a harness measures; no packet waits for this")]
pub fn now() -> Instant {
    Instant::now()
}
