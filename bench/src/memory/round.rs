//! One round of a case: batches of packets put into the rings outside of the timing, and the
//! worker's turns that take them out inside of it.

use dataplane::limits::BURST;
use hdrhistogram::Histogram;

use super::world::World;
use crate::allocations;
use crate::clock::now;
use crate::report::model::{Latency, Round};
use crate::stats::{median, range};

/// Packets that are put into the rings in one go: half a ring. They are in the second-level cache
/// when their turn comes, as packets are that a kernel has copied a moment ago.
pub const BATCH: usize = 1_024;
/// Turns of the worker that take a batch out.
pub const TURNS: usize = BATCH / BURST;
/// Batches of one round.
pub const BATCHES: usize = 24;
/// A batch that took so much longer than the others was interrupted.
const INTERRUPTED_NS: f64 = 50_000.0;
/// A round that lost more than this share of its time should not be believed.
const UNRELIABLE: f64 = 0.1;

/// What puts packets into the rings, and puts the world back as it was.
pub trait Feed {
    /// Puts the next packet of a case into the rings.
    fn inject(&mut self, world: &mut World);

    /// Undoes what the batch has changed, outside of the timing.
    fn restore(&mut self, _world: &mut World) {}
}

/// Nanoseconds per packet over one round.
pub fn round(world: &mut World, feed: &mut dyn Feed) -> Round {
    let mut spent = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        for _ in 0..BATCH {
            feed.inject(world);
        }
        let begun = now();
        for _ in 0..TURNS {
            world.worker.turn();
        }
        spent.push(begun.elapsed().as_nanos() as f64);
        feed.restore(world);
    }
    judge(&spent)
}

fn judge(spent: &[f64]) -> Round {
    let usual = median(spent);
    let taken: f64 = spent.iter().map(|ns| ns - usual).filter(|ns| *ns > INTERRUPTED_NS).sum();
    let total: f64 = spent.iter().sum();
    Round {
        value: total / (spent.len() * BATCH) as f64,
        stolen_us: (range(spent).1 - usual).max(0.0) / 1_000.0,
        unreliable: taken > total * UNRELIABLE,
    }
}

/// Times single bursts, each with two readings of the clock around it.
#[must_use]
pub fn bursts(world: &mut World, feed: &mut dyn Feed, count: usize) -> Latency {
    // Three digits, up to a second: the bounds are valid.
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are valid"));
    for _ in 0..count.div_ceil(TURNS) {
        for _ in 0..BATCH {
            feed.inject(world);
        }
        for _ in 0..TURNS {
            let begun = now();
            world.worker.turn();
            histogram.saturating_record(begun.elapsed().as_nanos() as u64);
        }
        feed.restore(world);
    }
    latency(&histogram, format!("a burst of {BURST}"))
}

/// The curve of a histogram of nanoseconds.
#[must_use]
pub fn latency(histogram: &Histogram<u64>, of: String) -> Latency {
    let percentiles = histogram.iter_quantiles(4);
    let percentiles =
        percentiles.map(|step| (step.quantile() * 100.0, step.value_iterated_to())).collect();
    Latency { of, count: histogram.len(), max_ns: histogram.max(), percentiles }
}

/// Allocations per packet over one round, what is put into the rings left out.
pub fn allocations_of(world: &mut World, feed: &mut dyn Feed) -> f64 {
    let mut allocated = 0;
    for _ in 0..BATCHES {
        for _ in 0..BATCH {
            feed.inject(world);
        }
        let before = allocations::count();
        for _ in 0..TURNS {
            world.worker.turn();
        }
        allocated += allocations::count() - before;
        feed.restore(world);
    }
    allocated as f64 / (BATCHES * BATCH) as f64
}
