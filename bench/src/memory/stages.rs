//! Where the time goes: the pipeline up to each of its steps in turn, packets sent on as they came.
//! A stage is the difference between two such prefixes; a clock between two steps would cost more
//! than a step.

use arrayvec::ArrayVec;
use dataplane::pipeline::deal::Known;
use dataplane::pipeline::plan::Plan;
use dataplane::pipeline::{
    Ctx, Hashes, Memory, Packets, Subjects, classify, fetch, parse, run_burst, stage,
};
use dataplane::xsk::socket::{Burst, Socket};
use dataplane::xsk::{Frame, Pool};
use std::hint::black_box;

use super::round::{BATCH, Feed, TURNS};
use super::world::World;
use crate::clock::now;
use crate::report::model::Stage;
use crate::stats::median;

/// Rounds of each prefix.
const ROUNDS: usize = 9;
/// Batches of one round.
const BATCHES: usize = 8;

/// The last step of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Upto {
    Rings,
    Parse,
    Classify,
    Fetch,
    Stage,
    All,
}

const PREFIXES: [(Upto, &str); 6] = [
    (Upto::Rings, "rings"),
    (Upto::Parse, "parse"),
    (Upto::Classify, "classify"),
    (Upto::Fetch, "fetch"),
    (Upto::Stage, "stage"),
    (Upto::All, "rewrite and tx"),
];

/// The stages of packets that come in through `port`.
pub fn stages(world: &mut World, feed: &mut dyn Feed, port: usize) -> Vec<Stage> {
    let mut spent = PREFIXES.map(|_| Vec::with_capacity(ROUNDS));
    // In turn, so that a slow moment falls on all.
    for _ in 0..ROUNDS {
        for (prefix, (upto, _)) in PREFIXES.iter().enumerate() {
            spent[prefix].push(round(world, feed, port, *upto));
        }
    }
    let mut before = 0.0;
    PREFIXES
        .iter()
        .zip(&spent)
        .map(|((_, name), spent)| {
            let until = median(spent);
            let ns = until - std::mem::replace(&mut before, until);
            Stage { name: (*name).to_owned(), ns }
        })
        .collect()
}

fn round(world: &mut World, feed: &mut dyn Feed, port: usize, upto: Upto) -> f64 {
    let mut spent = 0;
    for _ in 0..BATCHES {
        for _ in 0..BATCH {
            feed.inject(world);
        }
        let begun = now();
        for _ in 0..TURNS {
            turn(world, port, upto);
        }
        spent += begun.elapsed().as_nanos();
        feed.restore(world);
    }
    spent as f64 / (BATCHES * BATCH) as f64
}

/// One turn of the worker, cut short.
fn turn(world: &mut World, port: usize, upto: Upto) {
    let worker = &mut world.worker;
    let tick = worker.now();
    worker.lend(port, tick, |ctx, memory, tx| {
        let mut burst: Burst = ArrayVec::new();
        tx.lanes[port].socket.complete(memory.pool);
        tx.lanes[port].socket.receive(&mut burst, memory.pool);
        if upto == Upto::All {
            run_burst(ctx, memory, &mut burst, &Known::new(), tx);
        } else {
            run_prefix(ctx, memory, &mut burst, upto);
            let out = &mut tx.lanes[1 - port].socket;
            burst.drain(..).for_each(|frame| send(out, frame, memory.pool));
        }
        for lane in tx.lanes.iter_mut() {
            lane.socket.refill(memory.pool);
            // Nothing can go wrong in a simulated device.
            let _ = lane.socket.kick();
            lane.socket.complete(memory.pool);
        }
    });
}

fn run_prefix(ctx: &mut Ctx<'_>, memory: &Memory<'_>, burst: &mut Burst, upto: Upto) {
    if upto == Upto::Rings {
        return;
    }
    let (mut packets, mut subjects, mut hashes) = (Packets::new(), Subjects::new(), Hashes::new());
    parse::burst(ctx, memory, burst, &mut packets);
    if upto == Upto::Parse {
        black_box(&packets);
        return;
    }
    classify::burst(ctx, &packets, &Known::new(), &mut subjects);
    if upto == Upto::Classify {
        black_box(&subjects);
        return;
    }
    fetch::burst(ctx.flows, &subjects, &mut hashes);
    if upto == Upto::Fetch {
        black_box(&hashes);
        return;
    }
    for ((packet, subject), hash) in packets.iter().zip(&subjects).zip(&hashes) {
        if let Ok(subject) = subject {
            let mut plan = Plan::default();
            let _ = stage::stage(ctx, packet, subject, *hash, &mut plan);
            black_box(&plan);
        }
    }
}

fn send(out: &mut impl Socket, frame: Frame, pool: &mut Pool) {
    if let Err(frame) = out.transmit(frame) {
        pool.give(frame);
    }
}
