//! The clock of every measurement.

use std::time::Instant;

/// The time now.
#[inline]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}
