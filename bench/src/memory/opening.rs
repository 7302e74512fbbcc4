//! Flows that begin.

use anyhow::Result;
use dataplane::addr::{Addr, Family};
use dataplane::flow::ForwardKey;
use dataplane::tables::FrontendId;

use super::established::establish;
use super::packets::{Kind, SMALL, Template, client, client_addr};
use super::random::Random;
use super::round::Feed;
use super::world::{Shape, World, frontend};

/// SYNs of clients that nobody has seen; what they made is forgotten after each batch.
pub struct Opening {
    templates: Vec<Template>,
    family: Family,
    shape: Shape,
    next: u32,
    made: Vec<u32>,
}

/// Clients of new flows are counted from here on: none of them has an established one.
const FIRST: u32 = 100_000_000;

impl Opening {
    /// A world with `established` flows in place, in which others begin.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub fn new(family: Family, established: u32, shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        establish(&mut world, family, shape, established, |_| {})?;
        let templates = syns(family, shape)?;
        let made = Vec::with_capacity(super::round::BATCH);
        Ok((world, Self { templates, family, shape: shape.clone(), next: FIRST, made }))
    }

    fn key(&self, flow: u32) -> ForwardKey {
        let (number, client_port) = client(flow);
        ForwardKey { frontend: self.frontend(flow), client: self.client(number), client_port }
    }

    fn frontend(&self, flow: u32) -> FrontendId {
        frontend(&self.shape, self.family, Kind::Syn, flow % self.templates.len() as u32)
    }

    fn client(&self, number: u32) -> Addr {
        client_addr(self.family, number)
    }
}

impl Feed for Opening {
    fn inject(&mut self, world: &mut World) {
        let service = self.next as usize % self.templates.len();
        world.inject(0, self.templates[service].of(client(self.next)));
        self.made.push(self.next);
        self.next = FIRST + (self.next - FIRST + 1) % 50_000_000;
    }

    fn restore(&mut self, world: &mut World) {
        for flow in std::mem::take(&mut self.made) {
            let key = self.key(flow);
            world.worker.lend(0, world.worker.now(), |ctx, _, _| {
                let hash = ctx.flows.prefetch_forward(&key);
                if let Some(place) = ctx.flows.find_forward(&key, hash) {
                    ctx.flows.remove(place);
                }
            });
        }
    }
}

/// A SYN flood from a million sources, while established flows go on: three of four packets are
/// the flood's.
pub struct Flood {
    syns: Vec<Template>,
    datagrams: Vec<Template>,
    established: u32,
    random: Random,
}

impl Flood {
    /// A world with `established` flows.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub fn new(family: Family, established: u32, shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        establish(&mut world, family, shape, established, |_| {})?;
        let datagrams = (0..shape.services)
            .map(|service| Template::new(Kind::Udp, family, service, SMALL))
            .collect::<Result<_>>()?;
        let flood =
            Self { syns: syns(family, shape)?, datagrams, established, random: Random::new(3) };
        Ok((world, flood))
    }
}

impl Feed for Flood {
    fn inject(&mut self, world: &mut World) {
        if self.random.below(4) == 0 {
            let flow = self.random.below(self.established);
            let service = flow as usize % self.datagrams.len();
            return world.inject(0, self.datagrams[service].of(client(flow)));
        }
        // A source of its own for each: the flood's ports say nothing.
        let source =
            (4_096 + self.random.below(1_000_000), 1_024 + self.random.below(60_000) as u16);
        let service = self.random.below(self.syns.len() as u32) as usize;
        world.inject(0, self.syns[service].of(source));
    }
}

fn syns(family: Family, shape: &Shape) -> Result<Vec<Template>> {
    (0..shape.services).map(|service| Template::new(Kind::Syn, family, service, SMALL)).collect()
}
