//! Datagrams that come in pieces, on flows that are there already.

use anyhow::Result;
use dataplane::addr::Family;
use dataplane::wire::ipv4::{MF, finish_header};

use super::established::{establish, templates};
use super::packets::{SMALL, Template, client};
use super::random::Random;
use super::round::Feed;
use super::world::{Shape, World};

/// Pieces of each datagram.
const PIECES: usize = 3;
/// Bytes of the datagram in each: a multiple of eight, and as many as the smallest frame has room for.
const PART: usize = 24;
/// Where the headers of Ethernet and IPv4 end.
const L3: usize = 14;
const L4: usize = 34;

/// In which order the pieces of a datagram come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they were sent: the first one says where the others go.
    Sent,
    /// The others wait for the first one.
    FirstLast,
}

impl Order {
    const fn nth(self, turn: usize) -> usize {
        match self {
            Self::Sent => turn,
            Self::FirstLast => (turn + 1) % PIECES,
        }
    }
}

/// Clients' datagrams, each in pieces that follow each other.
pub struct Fragmented {
    templates: Vec<Template>,
    flows: u32,
    random: Random,
    order: Order,
    ident: u16,
    /// Of the datagram at hand.
    pieces: [[u8; SMALL]; PIECES],
    /// How many of these have come.
    come: usize,
}

impl Fragmented {
    /// A world with so many established UDP flows over IPv4.
    ///
    /// # Errors
    /// When the world cannot be made, or not all flows come to be.
    pub fn new(order: Order, flows: u32, shape: &Shape) -> Result<(World, Self)> {
        let mut world = World::new(shape)?;
        establish(&mut world, Family::V4, shape, flows, |_| {})?;
        let fragmented = Self {
            templates: templates(Family::V4, shape, L4 + PIECES * PART)?,
            flows,
            random: Random::new(7),
            order,
            ident: 0,
            pieces: [[0; SMALL]; PIECES],
            come: PIECES,
        };
        Ok((world, fragmented))
    }

    /// Cuts the next datagram. The oldest identification has long been forgotten when it comes again:
    /// a worker remembers far fewer datagrams than there are.
    fn cut(&mut self) {
        let flow = self.random.below(self.flows);
        let service = flow as usize % self.templates.len();
        let datagram = self.templates[service].of(client(flow));
        self.ident = self.ident.wrapping_add(1);
        for (n, piece) in self.pieces.iter_mut().enumerate() {
            let more = if n + 1 < PIECES { MF } else { 0 };
            let start = n * PART;
            piece[..L4].copy_from_slice(&datagram[..L4]);
            piece[L4..L4 + PART].copy_from_slice(&datagram[L4 + start..][..PART]);
            let header = &mut piece[L3..L4];
            header[2..4].copy_from_slice(&((L4 - L3 + PART) as u16).to_be_bytes());
            header[4..6].copy_from_slice(&self.ident.to_be_bytes());
            header[6..8].copy_from_slice(&((start / 8) as u16 | more).to_be_bytes());
            finish_header(header);
        }
        self.come = 0;
    }
}

impl Feed for Fragmented {
    #[inline]
    fn inject(&mut self, world: &mut World) {
        if self.come == PIECES {
            self.cut();
        }
        world.inject(0, &self.pieces[self.order.nth(self.come)]);
        self.come += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::round::round;
    use super::*;

    #[test]
    fn every_piece_goes_on() {
        for order in [Order::Sent, Order::FirstLast] {
            let shape = Shape { flows: 1 << 12, ..Shape::default() };
            let (mut world, mut feed) = Fragmented::new(order, 100, &shape).unwrap();
            let before = world.counters.forwarded.get();
            round(&mut world, &mut feed);
            let waiting = world.worker.census().waiting as u64;
            let packets = super::super::measure::PACKETS as u64;
            assert_eq!(world.counters.forwarded.get() - before + waiting, packets, "{order:?}");
            assert!(waiting < PIECES as u64, "{waiting} wait");
            assert_eq!(world.drops(), []);
        }
    }
}
