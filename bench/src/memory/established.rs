//! Flows that are there already, met in random order.

use anyhow::{Result, ensure};
use dataplane::addr::Family;
use dataplane::wire::eth;

use super::packets::{Kind, Template, answer, client};
use super::round::{BATCH, Feed, TURNS};
use super::world::{Shape, World, backend_mac};

/// Packets of clients on established flows.
pub struct Established {
    templates: Vec<Template>,
    flows: u32,
    random: Random,
}

/// A small generator, the same in every run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    #[inline]
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(end)) >> 32) as u32
    }
}

impl Established {
    /// A world with so many established UDP flows, whose packets have `lens` bytes in turn.
    ///
    /// # Errors
    /// When the world cannot be made, or not all flows come to be.
    pub fn new(family: Family, flows: u32, len: usize, shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        let small = templates(family, shape, eth::LEN + 46)?;
        establish(&mut world, small, family, shape, flows);
        let count = world.worker.flows().len();
        ensure!(
            count == flows as usize,
            "{count} of {flows} flows came to be: {:?}",
            world.drops()
        );
        let templates = templates(family, shape, len)?;
        Ok((world, Self { templates, flows, random: Random::new(7) }))
    }
}

/// One template for each service.
fn templates(family: Family, shape: &Shape, len: usize) -> Result<Vec<Template>> {
    (0..shape.services).map(|service| Template::new(Kind::Udp, family, service, len)).collect()
}

/// Each client speaks, and its backend answers.
fn establish(world: &mut World, mut to: Vec<Template>, family: Family, shape: &Shape, flows: u32) {
    let services = to.len() as u32;
    let first_backend = |bytes: &[u8]| match family {
        Family::V4 => u32::from(u16::from_be_bytes([bytes[32], bytes[33]])) - 1,
        Family::V6 => shape.backends + u32::from(u16::from_be_bytes([bytes[52], bytes[53]])) - 1,
    };
    let mut replies: Vec<Vec<u8>> = vec![Vec::new(); BATCH];
    for start in (0..flows).step_by(BATCH) {
        let batch = start..flows.min(start + BATCH as u32);
        for flow in batch.clone() {
            world.inject(0, to[(flow % services) as usize].of(client(flow)));
        }
        world.worker.lanes_mut()[1].socket.hold(true);
        turns(world);
        let mut seen = 0;
        let socket = &mut world.worker.lanes_mut()[1].socket;
        socket.drain_held(|forwarded| {
            answer(forwarded, &mut replies[seen], backend_mac(first_backend(forwarded)));
            seen += 1;
        });
        socket.hold(false);
        for reply in &replies[..seen] {
            world.inject(1, reply);
        }
        turns(world);
    }
}

fn turns(world: &mut World) {
    for _ in 0..=TURNS {
        world.worker.turn();
    }
}

impl Feed for Established {
    #[inline]
    fn inject(&mut self, world: &mut World) {
        let flow = self.random.below(self.flows);
        let services = self.templates.len() as u32;
        let packet = self.templates[(flow % services) as usize].of(client(flow));
        world.inject(0, packet);
    }
}
