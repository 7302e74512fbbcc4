//! Flows that are there already, met in random order.

use anyhow::{Result, ensure};
use dataplane::addr::Family;
use dataplane::tables::frontend::Mode;

use super::packets::{Kind, SMALL, Template, answer, client};
use super::random::Random;
use super::round::{BATCH, Feed, TURNS};
use super::world::{Shape, World};

/// IMIX as CSIT sends it: of 48 packets 28 have 64 B, 16 have 570 B and 4 have 1 518 B, each with
/// four bytes of checksum that never reach us.
pub const IMIX: [usize; 12] = [60, 60, 566, 60, 60, 566, 60, 566, 60, 60, 566, 1_514];

/// Packets of clients on established flows.
pub struct Established {
    /// For each length in turn, one for each service.
    templates: Vec<Vec<Template>>,
    flows: u32,
    random: Random,
    turn: usize,
}

impl Established {
    /// A world with so many established UDP flows, whose packets have `lens` bytes in turn.
    ///
    /// # Errors
    /// When the world cannot be made, or not all flows come to be.
    pub fn new(family: Family, flows: u32, lens: &[usize], shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        establish(&mut world, family, shape, flows, |_| {})?;
        let templates =
            lens.iter().map(|len| templates(family, shape, *len)).collect::<Result<_>>()?;
        Ok((world, Self { templates, flows, random: Random::new(7), turn: 0 }))
    }
}

impl Feed for Established {
    #[inline]
    fn inject(&mut self, world: &mut World) {
        let flow = self.random.below(self.flows);
        self.turn = (self.turn + 1) % self.templates.len();
        let templates = &mut self.templates[self.turn];
        let service = flow as usize % templates.len();
        world.inject(0, templates[service].of(client(flow)));
    }
}

/// Packets of backends on established flows.
pub struct Replies {
    replies: Vec<Vec<u8>>,
    random: Random,
}

impl Replies {
    /// A world with so many established UDP flows, whose backends speak.
    ///
    /// # Errors
    /// As [`Established::new`].
    pub fn new(family: Family, flows: u32, shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        let mut replies = Vec::with_capacity(flows as usize);
        establish(&mut world, family, shape, flows, |reply| replies.push(reply.to_vec()))?;
        Ok((world, Self { replies, random: Random::new(7) }))
    }
}

impl Feed for Replies {
    #[inline]
    fn inject(&mut self, world: &mut World) {
        let reply = self.random.below(self.replies.len() as u32);
        world.inject(1, &self.replies[reply as usize]);
    }
}

/// One template for each service.
pub fn templates(family: Family, shape: &Shape, len: usize) -> Result<Vec<Template>> {
    (0..shape.services).map(|service| Template::new(Kind::Udp, family, service, len)).collect()
}

/// Makes flows: each client speaks, and its backend answers. `look` is shown every answer that comes
/// through us.
///
/// # Errors
/// When some of them do not come to be.
pub fn establish(
    world: &mut World,
    family: Family,
    shape: &Shape,
    flows: u32,
    mut look: impl FnMut(&[u8]),
) -> Result<()> {
    let mut to = templates(family, shape, SMALL)?;
    let mut replies: Vec<Vec<u8>> = vec![Vec::new(); BATCH];
    for start in (0..flows).step_by(BATCH) {
        for flow in start..flows.min(start + BATCH as u32) {
            let service = flow as usize % to.len();
            world.inject(0, to[service].of(client(flow)));
        }
        let seen = forwarded(world, |n, packet| {
            answer(packet, &mut replies[n]);
        });
        // In `dsr-l2` backends answer past us.
        let answers = if shape.mode == Mode::DsrL2 { 0 } else { seen };
        for reply in &replies[..answers] {
            look(reply);
            world.inject(1, reply);
        }
        turns(world);
    }
    let count = world.worker.flows().len();
    ensure!(count == flows as usize, "{count} of {flows} flows came to be: {:?}", world.drops());
    Ok(())
}

/// Runs what was injected and shows each packet that leaves towards the backends, numbered.
/// Returns how many did.
fn forwarded(world: &mut World, mut show: impl FnMut(usize, &[u8])) -> usize {
    world.worker.lanes_mut()[1].socket.hold(true);
    turns(world);
    let mut seen = 0;
    let socket = &mut world.worker.lanes_mut()[1].socket;
    socket.drain_held(|packet| {
        show(seen, packet);
        seen += 1;
    });
    socket.hold(false);
    seen
}

fn turns(world: &mut World) {
    for _ in 0..=TURNS {
        world.worker.turn();
    }
}

#[cfg(test)]
mod tests {
    use super::super::round::round;
    use super::*;

    const MODES: [Mode; 3] = [Mode::Snat, Mode::Nat, Mode::DsrL2];

    #[test]
    fn clients_are_served_in_every_mode() {
        for mode in MODES {
            let shape = Shape { flows: 1 << 12, mode, ..Shape::default() };
            let (mut world, mut feed) =
                Established::new(Family::V4, 100, &[SMALL], &shape).unwrap();
            round(&mut world, &mut feed);
            assert_eq!((world.worker.flows().len(), world.drops()), (100, vec![]), "{mode:?}");
        }
    }

    #[test]
    fn replies_come_through_us_but_in_dsr() {
        for mode in MODES {
            let shape = Shape { flows: 1 << 12, mode, ..Shape::default() };
            let (mut world, mut feed) = Replies::new(Family::V4, 100, &shape).unwrap();
            if mode == Mode::DsrL2 {
                assert!(feed.replies.is_empty());
                continue;
            }
            round(&mut world, &mut feed);
            assert_eq!((feed.replies.len(), world.drops()), (100, vec![]), "{mode:?}");
        }
    }
}
