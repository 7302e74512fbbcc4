use super::ports::{Block, BlockRef};

const EMPTY: BlockRef = BlockRef::MAX;

/// Finds the block of (owner, number): linear probing over a table of fixed size, half full at
/// most; the blocks themselves hold the keys.
#[derive(Debug)]
pub(super) struct BlockMap {
    slots: Box<[BlockRef]>,
}

impl BlockMap {
    pub(super) fn new(blocks: usize) -> Self {
        Self { slots: vec![EMPTY; Self::slots_for(blocks)].into_boxed_slice() }
    }

    pub(super) fn bytes_for(blocks: usize) -> usize {
        Self::slots_for(blocks) * size_of::<BlockRef>()
    }

    fn slots_for(blocks: usize) -> usize {
        (blocks * 2).next_power_of_two().max(2)
    }

    fn home(&self, owner: u32, number: u16) -> usize {
        let key = u64::from(owner) << 16 | u64::from(number);
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        mixed as usize & (self.slots.len() - 1)
    }

    fn position(&self, blocks: &[Block], owner: u32, number: u16) -> (usize, Option<BlockRef>) {
        let mut at = self.home(owner, number);
        loop {
            let place = self.slots[at];
            if place == EMPTY {
                return (at, None);
            }
            let block = &blocks[place as usize];
            if block.owner == owner && block.number == number {
                return (at, Some(place));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    pub(super) fn find(&self, blocks: &[Block], owner: u32, number: u16) -> Option<BlockRef> {
        self.position(blocks, owner, number).1
    }

    pub(super) fn insert(&mut self, blocks: &[Block], place: BlockRef) {
        let block = &blocks[place as usize];
        let (at, _) = self.position(blocks, block.owner, block.number);
        self.slots[at] = place;
    }

    /// Removes a block and closes the gap, so that no search ends too early.
    pub(super) fn remove(&mut self, blocks: &[Block], place: BlockRef) {
        let block = &blocks[place as usize];
        let (mut gap, found) = self.position(blocks, block.owner, block.number);
        if found.is_none() {
            return;
        }
        let mask = self.slots.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let next = self.slots[at];
            if next == EMPTY {
                break;
            }
            let block = &blocks[next as usize];
            let home = self.home(block.owner, block.number);
            // It may move into the gap unless its home lies behind the gap.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = next;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
    }
}
