//! The cases of the guard: small tables, the same packets every time.

use anyhow::{Context as _, Result};

use crate::memory::crew::{Arrival, Crew, FLOWS};
use crate::memory::round::{BATCH, TURNS};
use crate::memory::serve;
use crate::memory::world::{Shape, World};

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Case {
    /// One worker, with this case of the in-memory half.
    One(&'static str),
    /// Two workers in turn.
    Two(Arrival),
}

/// Name in the counts, and what it counts.
pub const CASES: [(&str, Case); 13] = [
    ("established-ipv4", Case::One("established/ipv4/64/1k")),
    ("established-ipv6", Case::One("established/ipv6/64/1k")),
    ("reply", Case::One("replies/ipv4/64/100k")),
    ("nat", Case::One("modes/nat/ipv4/64/100k")),
    ("nat-reply", Case::One("modes/nat-replies/ipv4/64/100k")),
    ("dsr", Case::One("modes/dsr-l2/ipv4/64/100k")),
    ("fragment", Case::One("fragments/ipv4/64/in-order")),
    ("fragment-first-last", Case::One("fragments/ipv4/64/first-last")),
    ("new-flow", Case::One("new/ipv4/64/free")),
    ("arp", Case::One("arp")),
    ("garbage", Case::One("garbage")),
    ("two-workers", Case::Two(Arrival::Owner)),
    ("handed-over", Case::Two(Arrival::Other)),
];
/// Batches that are counted, after one that is not.
const BATCHES: usize = 4;
/// Packets that are counted.
pub const PACKETS: usize = BATCHES * BATCH;

/// Sends the packets of a case through the worker.
///
/// # Errors
/// When there is no such case or it cannot be set up.
pub fn run(name: &str) -> Result<()> {
    let (_, case) = CASES.iter().find(|(own, _)| *own == name).context("a case of the guard")?;
    match case {
        Case::One(id) => run_one(id),
        Case::Two(arrival) => run_two(*arrival),
    }
}

fn run_one(id: &str) -> Result<()> {
    let (mut world, mut feed) = serve::case(id)?.build(0)?;
    for batch in 0..=BATCHES {
        for _ in 0..BATCH {
            feed.inject(&mut world);
        }
        if batch == 0 {
            warm_up(&mut world)
        } else {
            turns(&mut world)
        }
        feed.restore(&mut world);
    }
    Ok(())
}

fn run_two(arrival: Arrival) -> Result<()> {
    let mut crew = Crew::new(2, &Shape::default(), FLOWS)?;
    for batch in 0..=BATCHES {
        crew.inject(arrival, BATCH / 2);
        if batch == 0 { (0..TURNS).for_each(|_| crew.turn()) } else { turns_of_all(&mut crew) }
    }
    Ok(())
}

/// As [`turns`], for several workers.
#[inline(never)]
pub fn turns_of_all(crew: &mut Crew) {
    (0..TURNS).for_each(|_| crew.turn());
}

fn warm_up(world: &mut World) {
    for _ in 0..TURNS {
        world.worker.turn();
    }
}

/// What callgrind counts: see [`super`].
#[inline(never)]
pub fn turns(world: &mut World) {
    for _ in 0..TURNS {
        world.worker.turn();
    }
}
