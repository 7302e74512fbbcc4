//! The cases of the guard: small tables, the same packets every time.

use anyhow::{Context as _, Result};

use crate::memory::round::{BATCH, TURNS};
use crate::memory::serve;
use crate::memory::world::World;

/// Name in the counts, and the case of the in-memory half.
pub const CASES: [(&str, &str); 11] = [
    ("established-ipv4", "established/ipv4/64/1k"),
    ("established-ipv6", "established/ipv6/64/1k"),
    ("reply", "replies/ipv4/64/100k"),
    ("nat", "modes/nat/ipv4/64/100k"),
    ("nat-reply", "modes/nat-replies/ipv4/64/100k"),
    ("dsr", "modes/dsr-l2/ipv4/64/100k"),
    ("fragment", "fragments/ipv4/64/in-order"),
    ("fragment-first-last", "fragments/ipv4/64/first-last"),
    ("new-flow", "new/ipv4/64/free"),
    ("arp", "arp"),
    ("garbage", "garbage"),
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
    let (_, id) = CASES.iter().find(|(own, _)| *own == name).context("a case of the guard")?;
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
