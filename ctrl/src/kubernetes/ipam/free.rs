//! The free addresses of a range, as gaps between those in use, and which of them is given next.
//!
//! Cilium gives the first address of the smallest gap, and among gaps of one size the one that its
//! binary heap happens to have on top, which hangs on the order in which addresses came back. To
//! give the same addresses in the same order, this is the same heap, and two oddities of it are
//! kept: the size of a gap (see `Gap::between`), and that a gap that grows is not always moved to
//! its place (see `FreeList::put`). The number of gaps is what costs here, never the size of the
//! range.

/// The free addresses of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeList {
    /// A binary heap by size, the smallest on top.
    heap: Vec<Gap>,
}

/// Free addresses in a row, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    first: u128,
    last: u128,
    /// What the heap is ordered by.
    size: u128,
}

impl Gap {
    /// A gap counts one less than it has addresses, and the difference of its ends is taken of each
    /// 64 bits apart, without a borrow.
    fn between(first: u128, last: u128) -> Self {
        const LOW: u128 = u64::MAX as u128;
        let high = (last >> 64) - (first >> 64);
        let low = (last & LOW).wrapping_sub(first & LOW) & LOW;
        Self { first, last, size: high << 64 | low }
    }

    /// An address that came back between others in use counts one, as do two in a row.
    fn single(address: u128) -> Self {
        Self { first: address, last: address, size: 1 }
    }
}

/// The gaps on both sides of an address in use, by their places in the heap.
struct Around {
    left: Option<usize>,
    right: Option<usize>,
    /// How many gaps are passed from the top of the heap to the left one, in order of address.
    steps_to_left: usize,
    /// Whether the top of the heap is to the left of the address.
    from_left: bool,
}

impl FreeList {
    /// All addresses from the first to the last.
    #[must_use]
    pub fn new(first: u128, last: u128) -> Self {
        Self { heap: vec![Gap::between(first, last)] }
    }

    /// The address that is given next.
    #[must_use]
    pub fn next(&self) -> Option<u128> {
        self.heap.first().map(|gap| gap.first)
    }

    /// Whether an address is free.
    #[must_use]
    pub fn contains(&self, address: u128) -> bool {
        self.heap.iter().any(|gap| gap.first <= address && address <= gap.last)
    }

    /// Takes an address; false if it was not free.
    pub fn take(&mut self, address: u128) -> bool {
        let inside = |gap: &Gap| gap.first <= address && address <= gap.last;
        let Some(at) = self.heap.iter().position(inside) else { return false };
        let gap = self.heap[at];
        match (gap.first == address, gap.last == address) {
            (true, true) => {
                self.remove(at);
            }
            (true, false) => {
                self.heap[at] = Gap::between(address + 1, gap.last);
                self.fix(at);
            }
            (false, true) => {
                self.heap[at] = Gap::between(gap.first, address - 1);
                self.fix(at);
            }
            (false, false) => {
                self.remove(at);
                self.push(Gap::between(gap.first, address - 1));
                self.push(Gap::between(address + 1, gap.last));
            }
        }
        true
    }

    /// Gives an address back that is not free.
    ///
    /// The search goes from the top of the heap towards the address, from gap to gap, and the gap
    /// that it meets first grows if it touches the address. One that grows downwards is left where
    /// it stands in the heap; for one that grows upwards, the place that is put right is the number
    /// of steps so far.
    pub fn put(&mut self, address: u128) {
        let around = self.around(address);
        let touches_left = around.left.filter(|&at| self.heap[at].last + 1 == address);
        let touches_right = around.right.filter(|&at| self.heap[at].first - 1 == address);
        match (touches_left, touches_right) {
            (Some(left), None) => self.grow_up(left, around.steps_to_left),
            (None, Some(right)) => self.grow_down(right),
            (Some(left), Some(right)) => {
                let ends = (self.heap[left].first, self.heap[right].last);
                if around.from_left {
                    self.grow_up(left, around.steps_to_left);
                } else {
                    self.grow_down(right);
                }
                self.merge(ends.0, ends.1);
            }
            (None, None) => self.push(Gap::single(address)),
        }
    }

    fn around(&self, address: u128) -> Around {
        let places = || self.heap.iter().enumerate();
        let below = places().filter(|(_, gap)| gap.first < address);
        let above = places().filter(|(_, gap)| gap.first > address);
        let left = below.max_by_key(|(_, gap)| gap.first).map(|(at, _)| at);
        let right = above.min_by_key(|(_, gap)| gap.first).map(|(at, _)| at);
        let top = self.heap.first().map_or(0, |gap| gap.first);
        let from_left = top < address;
        let passed = |gap: &&Gap| {
            if from_left {
                top < gap.first && gap.first < address
            } else {
                address < gap.first && gap.first <= top
            }
        };
        Around { left, right, steps_to_left: self.heap.iter().filter(passed).count(), from_left }
    }

    fn grow_up(&mut self, at: usize, fixed: usize) {
        let gap = self.heap[at];
        self.heap[at] = Gap::between(gap.first, gap.last + 1);
        self.fix(fixed);
    }

    fn grow_down(&mut self, at: usize) {
        let gap = self.heap[at];
        self.heap[at] = Gap::between(gap.first - 1, gap.last);
    }

    /// Makes one of the gaps that begin and end there.
    fn merge(&mut self, first: u128, last: u128) {
        if let Some(left) = self.heap.iter().position(|gap| gap.first == first) {
            self.remove(left);
        }
        if let Some(right) = self.heap.iter().position(|gap| gap.last == last) {
            self.remove(right);
        }
        self.push(Gap::between(first, last));
    }

    fn push(&mut self, gap: Gap) {
        self.heap.push(gap);
        self.rise(self.heap.len() - 1);
    }

    fn remove(&mut self, at: usize) {
        let last = self.heap.len() - 1;
        self.heap.swap(at, last);
        self.heap.truncate(last);
        if at < last {
            self.fix(at);
        }
    }

    /// Moves the gap at a place to where it belongs.
    fn fix(&mut self, at: usize) {
        if !self.sink(at) {
            self.rise(at);
        }
    }

    fn less(&self, a: usize, b: usize) -> bool {
        self.heap[a].size < self.heap[b].size
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.less(at, parent) {
                break;
            }
            self.heap.swap(parent, at);
            at = parent;
        }
    }

    /// Whether it sank at all.
    fn sink(&mut self, from: usize) -> bool {
        let mut at = from;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                break;
            }
            let child =
                if right < self.heap.len() && self.less(right, left) { right } else { left };
            if !self.less(child, at) {
                break;
            }
            self.heap.swap(at, child);
            at = child;
        }
        at > from
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn take_next(free: &mut FreeList) -> u128 {
        let next = free.next().unwrap();
        assert!(free.take(next));
        next
    }

    #[test]
    fn a_fresh_range_is_given_from_below() {
        let mut free = FreeList::new(8, 15);
        let given: Vec<u128> = (8..=15).map(|_| take_next(&mut free)).collect();
        assert_eq!(given, (8..=15).collect::<Vec<_>>());
        assert_eq!(free.next(), None);
        assert!(!free.take(8));
    }

    #[test]
    fn holes_of_one_size_are_filled_in_the_order_of_the_heap() {
        let mut free = FreeList::new(0, 255);
        for _ in 0..8 {
            take_next(&mut free);
        }
        [5, 3, 1].into_iter().for_each(|hole| free.put(hole));
        let filled = [(); 4].map(|()| take_next(&mut free));
        assert_eq!(filled, [5, 1, 3, 8]);
    }

    #[test]
    fn what_is_given_back_joins_its_neighbours() {
        let mut free = FreeList::new(0, 9);
        for address in [2, 4, 3] {
            assert!(free.take(address));
        }
        for address in [4, 2, 3] {
            free.put(address);
        }
        assert_eq!(free, FreeList::new(0, 9));
    }

    #[test]
    fn the_whole_of_ipv6_fits() {
        let mut free = FreeList::new(0, u128::MAX);
        assert!(free.take(u128::MAX) && free.take(0) && free.take(1 << 64));
        for address in [u128::MAX, 1 << 64, 0] {
            free.put(address);
        }
        assert_eq!(free, FreeList::new(0, u128::MAX));
    }

    proptest! {
        /// Against a set of numbers: whatever is taken and given back, free is what is free.
        #[test]
        fn holds_what_a_set_would_hold(
            steps in prop::collection::vec((0_u128..40, any::<bool>()), 0..200),
        ) {
            let all = 3..=36_u128;
            let (mut free, mut set) = (FreeList::new(3, 36), all.clone().collect::<BTreeSet<_>>());
            for (address, take) in steps {
                if take {
                    prop_assert_eq!(free.take(address), set.remove(&address));
                } else if all.contains(&address) && set.insert(address) {
                    free.put(address);
                }
                prop_assert_eq!(free.next().is_some(), !set.is_empty());
                for address in 0..40 {
                    prop_assert_eq!(free.contains(address), set.contains(&address));
                }
                let mut gaps: Vec<_> = free.heap.iter().map(|gap| (gap.first, gap.last)).collect();
                gaps.sort_unstable();
                let apart = gaps.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0);
                prop_assert!(apart, "gaps touch: {:?}", gaps);
            }
        }
    }
}
