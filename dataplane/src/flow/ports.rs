//! SNAT ports of one worker, in blocks of 64 from a fixed pool. A pair opens a block when it
//! needs ports, so a search never looks at more than one word, and memory does not grow with
//! the number of backends. Blocks take turns, oldest first; so ports do too, but for the order
//! within one block.

use super::block_map::BlockMap;
use crate::addr::{Class, Classes, L4Port};
use crate::limits::PORT_BLOCK;
use crate::time::Tick;

/// A port closed by FIN rests this long, in milliseconds, while others are free: the backend may
/// still hold it in TIME-WAIT.
const REST_MS: u32 = 60_000;

/// Place of a block in the pool.
pub(super) type BlockRef = u32;
const NO_BLOCK: BlockRef = u32::MAX;

/// Ports of a block with the time at which the last of them was closed by FIN.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    ports: u64,
    closed: Option<Tick>,
}

#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Who opened it.
    pub(super) owner: u32,
    /// First port of the block divided by [`PORT_BLOCK`].
    pub(super) number: u16,
    /// Ports that the block can give at all.
    usable: u64,
    /// Whether the block stands in its owner's queue.
    queued: bool,
    /// Ports to be handed out now.
    current: Turn,
    /// Ports given back meanwhile; they wait for the block's next turn.
    returned: Turn,
    /// The next younger block in the owner's queue.
    next: BlockRef,
}

impl Block {
    /// Whether the port that it would give next was closed a short while ago.
    fn rests(&self, now: Tick) -> bool {
        let turn = if self.current.ports == 0 { self.returned } else { self.current };
        turn.closed.is_some_and(|closed| now.since(closed) < REST_MS)
    }
}

/// The pool of blocks of one worker.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    free: Vec<BlockRef>,
    map: BlockMap,
}

impl Blocks {
    pub(super) fn new(count: usize) -> Self {
        Self {
            blocks: Vec::with_capacity(count),
            free: Vec::with_capacity(count),
            map: BlockMap::new(count),
        }
    }

    pub(super) fn bytes_for(count: usize) -> usize {
        count * (size_of::<Block>() + size_of::<BlockRef>()) + BlockMap::bytes_for(count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.is_empty() && self.blocks.len() == self.blocks.capacity()
    }

    /// Whether so many blocks are free that some may be opened just to let others rest.
    fn has_plenty(&self) -> bool {
        let free = self.free.len() + self.blocks.capacity() - self.blocks.len();
        free * 2 > self.blocks.capacity()
    }

    fn find(&self, owner: u32, number: u16) -> Option<BlockRef> {
        self.map.find(&self.blocks, owner, number)
    }

    fn open(&mut self, owner: u32, number: u16, usable: u64) -> Option<BlockRef> {
        let current = Turn { ports: usable, closed: None };
        let returned = Turn::default();
        let block =
            Block { owner, number, usable, queued: true, current, returned, next: NO_BLOCK };
        let place = match self.free.pop() {
            Some(place) => {
                self.blocks[place as usize] = block;
                place
            }
            None if self.blocks.len() < self.blocks.capacity() => {
                self.blocks.push(block);
                self.blocks.len() as BlockRef - 1
            }
            None => return None,
        };
        self.map.insert(&self.blocks, place);
        Some(place)
    }

    fn close(&mut self, place: BlockRef) {
        self.map.remove(&self.blocks, place);
        self.free.push(place);
    }
}

/// The ports that a pair may use.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// First port, host order.
    pub first: L4Port,
    /// Last port, included.
    pub last: L4Port,
    /// How many classes there are.
    pub classes: Classes,
    /// The class that the client's port has, and so our port must have.
    pub class: Class,
}

impl Range {
    /// Ports of a block that lie in the range and in the class.
    fn usable(self, number: u16) -> u64 {
        let base = u32::from(number) * u32::from(PORT_BLOCK);
        (0..u32::from(PORT_BLOCK))
            .filter(|bit| {
                u16::try_from(base + bit).is_ok_and(|port| {
                    (self.first..=self.last).contains(&port) && self.classes.of(port) == self.class
                })
            })
            .fold(0, |mask, bit| mask | 1 << bit)
    }

    /// How many ports there are, all classes together. Each class has about the same share of them.
    pub(super) fn ports(self) -> usize {
        usize::from(self.last.saturating_sub(self.first)) + 1
    }

    /// Whether so many are half of the ports of its class.
    #[inline]
    pub(super) fn is_half(self, ports: usize) -> bool {
        ports > 0 && ports * 2 * self.classes.count() >= self.ports()
    }
}

/// The ports of one pair: its blocks with something to give, in the order of age.
#[derive(Debug, Clone)]
pub(super) struct PortSpace {
    owner: u32,
    oldest: BlockRef,
    youngest: BlockRef,
    in_use: u32,
    open: u32,
    /// Where to look for the next block that is not open, counted from the range's first.
    next_unopened: u16,
}

impl PortSpace {
    pub(super) fn new(owner: u32) -> Self {
        Self { owner, oldest: NO_BLOCK, youngest: NO_BLOCK, in_use: 0, open: 0, next_unopened: 0 }
    }

    /// Ports handed out.
    pub(super) fn in_use(&self) -> usize {
        self.in_use as usize
    }

    /// Blocks held.
    pub(super) fn open_blocks(&self) -> usize {
        self.open as usize
    }

    /// Takes a port: from the oldest block that is not resting, else from a fresh block, else
    /// from the oldest one all the same.
    pub(super) fn take(&mut self, blocks: &mut Blocks, range: Range, now: Tick) -> Option<L4Port> {
        let open_another = match blocks.blocks.get(self.oldest as usize) {
            Some(oldest) => oldest.rests(now) && blocks.has_plenty(),
            None => true,
        };
        if open_another {
            self.open_next(blocks, range);
        }
        let block = blocks.blocks.get_mut(self.oldest as usize)?;
        if block.current.ports == 0 {
            block.current = std::mem::take(&mut block.returned);
        }
        let bit = block.current.ports.trailing_zeros();
        block.current.ports &= block.current.ports.wrapping_sub(1);
        let port = block.number * PORT_BLOCK + bit as u16;
        self.in_use += 1;
        if block.current.ports == 0 {
            self.end_turn(blocks);
        }
        Some(port)
    }

    /// The oldest block has given all that it had: the next one's turn.
    fn end_turn(&mut self, blocks: &mut Blocks) {
        let place = self.oldest;
        let block = &mut blocks.blocks[place as usize];
        self.oldest = block.next;
        if self.oldest == NO_BLOCK {
            self.youngest = NO_BLOCK;
        }
        block.queued = false;
        if block.returned.ports != 0 {
            self.queue(blocks, place);
        }
    }

    fn queue(&mut self, blocks: &mut Blocks, place: BlockRef) {
        let block = &mut blocks.blocks[place as usize];
        block.queued = true;
        block.next = NO_BLOCK;
        match blocks.blocks.get_mut(self.youngest as usize) {
            Some(youngest) => youngest.next = place,
            None => self.oldest = place,
        }
        self.youngest = place;
    }

    /// Opens the next block of the range that is not open, and puts it in front.
    fn open_next(&mut self, blocks: &mut Blocks, range: Range) {
        let (first, last) = (range.first / PORT_BLOCK, range.last / PORT_BLOCK);
        while first + self.next_unopened <= last {
            let number = first + self.next_unopened;
            let usable = range.usable(number);
            if usable != 0 && blocks.find(self.owner, number).is_none() {
                let Some(place) = blocks.open(self.owner, number, usable) else { return };
                blocks.blocks[place as usize].next = self.oldest;
                if self.youngest == NO_BLOCK {
                    self.youngest = place;
                }
                self.oldest = place;
                self.open += 1;
                self.next_unopened += 1;
                return;
            }
            self.next_unopened += 1;
        }
    }

    /// Gives a port back; `closed` when the connection ended by FIN or RST.
    pub(super) fn give(&mut self, blocks: &mut Blocks, port: L4Port, closed: Option<Tick>) {
        let Some(place) = blocks.find(self.owner, port / PORT_BLOCK) else {
            debug_assert!(false, "a port in use lies in an open block");
            return;
        };
        let block = &mut blocks.blocks[place as usize];
        block.returned.ports |= 1 << (port % PORT_BLOCK);
        block.returned.closed = closed.or(block.returned.closed);
        self.in_use -= 1;
        if !block.queued {
            self.queue(blocks, place);
        }
    }

    /// Gives blocks of which no port is in use back to the pool: all of them when no port is in
    /// use at all.
    pub(super) fn release(&mut self, blocks: &mut Blocks) {
        let mut place = std::mem::replace(&mut self.oldest, NO_BLOCK);
        self.youngest = NO_BLOCK;
        self.next_unopened = 0;
        while let Some(block) = blocks.blocks.get(place as usize) {
            let next = block.next;
            if block.current.ports | block.returned.ports == block.usable {
                blocks.close(place);
                self.open -= 1;
            } else {
                self.queue(blocks, place);
            }
            place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const RANGE: Range =
        Range { first: 1000, last: 1199, classes: Classes::ONE, class: Classes::ONE.of(0) };

    fn take(space: &mut PortSpace, blocks: &mut Blocks, now: u32) -> Option<L4Port> {
        space.take(blocks, RANGE, Tick(now))
    }

    #[test]
    fn gives_every_port_of_the_range_once() {
        let mut blocks = Blocks::new(8);
        let mut space = PortSpace::new(0);
        let ports: HashSet<_> = (0..200).map(|_| take(&mut space, &mut blocks, 0)).collect();
        let expected: HashSet<_> = (1000..1200).map(Some).collect();
        assert_eq!(ports, expected);
        assert_eq!(take(&mut space, &mut blocks, 0), None);
    }

    #[test]
    fn a_closed_port_rests_while_others_are_free() {
        let mut blocks = Blocks::new(16);
        let mut space = PortSpace::new(0);
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let port = take(&mut space, &mut blocks, 0).unwrap();
            assert!(seen.insert(port), "{port} came back while others were free");
            space.give(&mut blocks, port, Some(Tick(0)));
        }
        assert!(take(&mut space, &mut blocks, 1).is_some(), "rest gives way when none is left");
    }

    #[test]
    fn free_ports_come_back_oldest_block_first() {
        let mut blocks = Blocks::new(8);
        let mut space = PortSpace::new(0);
        let ports: Vec<_> = (0..200).map(|_| take(&mut space, &mut blocks, 0).unwrap()).collect();
        for port in [ports[150], ports[10], ports[199]] {
            space.give(&mut blocks, port, None);
        }
        assert_eq!(take(&mut space, &mut blocks, 0), Some(ports[150]));
    }

    #[test]
    fn an_empty_pool_is_refilled_by_release() {
        let mut blocks = Blocks::new(1);
        let (mut a, mut b) = (PortSpace::new(0), PortSpace::new(1));
        let port = take(&mut a, &mut blocks, 0).unwrap();
        assert_eq!(take(&mut b, &mut blocks, 0), None);
        a.give(&mut blocks, port, None);
        a.release(&mut blocks);
        assert!(take(&mut b, &mut blocks, 0).is_some());
    }

    #[test]
    fn a_block_without_ports_in_use_goes_back_although_its_owner_has_others() {
        let mut blocks = Blocks::new(2);
        let (mut a, mut b) = (PortSpace::new(0), PortSpace::new(1));
        let ports: Vec<_> = (0..65).map(|_| take(&mut a, &mut blocks, 0).unwrap()).collect();
        assert_eq!(take(&mut b, &mut blocks, 0), None);
        for port in &ports[1..] {
            a.give(&mut blocks, *port, None);
        }
        a.release(&mut blocks);
        assert_eq!((a.in_use(), a.open_blocks()), (1, 1));
        assert!(take(&mut b, &mut blocks, 0).is_some());
        let again: HashSet<_> = (0..23).map(|_| take(&mut a, &mut blocks, 0).unwrap()).collect();
        assert_eq!(again.len(), 23);
        assert!(!again.contains(&ports[0]), "that one is in use");
    }

    #[test]
    fn rest_takes_no_blocks_that_others_need() {
        let mut blocks = Blocks::new(8);
        let mut space = PortSpace::new(0);
        let wide = Range { first: 1024, last: 65_535, ..RANGE };
        for _ in 0..2000 {
            let port = space.take(&mut blocks, wide, Tick(0)).unwrap();
            space.give(&mut blocks, port, Some(Tick(0)));
        }
        assert_eq!(space.open_blocks(), 4, "half of the pool");
    }

    #[test]
    fn two_pairs_use_the_same_ports() {
        let mut blocks = Blocks::new(8);
        let (mut a, mut b) = (PortSpace::new(0), PortSpace::new(1));
        assert_eq!(take(&mut a, &mut blocks, 0), take(&mut b, &mut blocks, 0));
    }

    #[test]
    fn only_ports_of_the_class_are_given() {
        let classes = Classes::new(3).unwrap();
        let range = Range { classes, class: classes.of(4711), ..RANGE };
        let mut blocks = Blocks::new(8);
        let mut space = PortSpace::new(0);
        let mut given = 0;
        while let Some(port) = space.take(&mut blocks, range, Tick(0)) {
            assert_eq!(classes.of(port), range.class);
            given += 1;
        }
        assert!((50..85).contains(&given), "a third of 200 ports, roughly: {given}");
    }
}
