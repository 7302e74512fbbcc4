use super::frame::{Chunk, Frame};
use super::umem::Umem;
use crate::limits::BURST;
use crate::spsc::{self, Receiver, Sender};

/// What workers may owe each other, all others together, of the chunks that a worker began with.
const OWED: usize = 8;

/// Free chunks of one worker, last in first out, so that the next frame is warm in the cache. Whoever
/// has a chunk may use it: what comes with packets that others hand over stays, since as many go the
/// other way in the long run, and the difference is settled (docs/decisions/0021).
#[derive(Debug)]
pub struct Pool {
    umem: u32,
    /// How many it began with.
    count: usize,
    free: Vec<u32>,
    /// More than this many chunks of another worker are given back.
    keep: i64,
    /// By worker; nothing at the place of the pool itself.
    ways: Box<[Option<Way>]>,
}

/// The way between two pools, for free chunks.
#[derive(Debug)]
struct Way {
    there: Sender,
    back: Receiver,
}

impl Pool {
    /// Every chunk of `umem`. Called once for each UMEM: the chunks then exist once.
    pub(super) fn of(umem: &Umem) -> Self {
        let free: Vec<_> = (0..umem.count()).rev().collect();
        Self { umem: umem.id(), count: free.len(), free, keep: 0, ways: Box::default() }
    }

    /// Divides the chunks evenly among `workers`, those that are left over go to nobody.
    ///
    /// # Panics
    /// When some are in use, or there are no workers.
    #[must_use]
    pub fn divide(self, workers: usize) -> Vec<Self> {
        assert!(self.len() == self.count, "frames are divided before any is used");
        if workers == 1 {
            return vec![self];
        }
        let count = self.count / workers;
        let keep = (count / OWED / (workers - 1)).min(2 * BURST) as i64;
        let share = |worker: usize| {
            // Room for all there are: a worker never allocates.
            let mut free = Vec::with_capacity(self.count);
            let own = worker * count..(worker + 1) * count;
            free.extend(own.rev().map(|index| self.free[self.count - 1 - index]));
            free
        };
        let ways = ways(workers, count).into_iter();
        ways.enumerate()
            .map(|(worker, ways)| Self { umem: self.umem, count, free: share(worker), keep, ways })
            .collect()
    }

    /// An empty frame, unless all are in use.
    #[inline]
    pub fn take(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        Some(Frame::single(self.umem, index, 0))
    }

    /// The end of a packet's life here.
    #[inline]
    pub fn give(&mut self, frame: Frame) {
        assert_eq!(frame.umem, self.umem, "a frame goes home to its own UMEM");
        for chunk in frame.chunks() {
            self.give_chunk(chunk);
        }
    }

    /// Takes home all chunks of a packet but the first.
    pub fn shorten(&mut self, frame: &mut Frame) {
        while let Some(chunk) = frame.pop() {
            self.give_chunk(chunk);
        }
    }

    #[inline]
    pub(super) fn give_chunk(&mut self, chunk: Chunk) {
        debug_assert!(self.free.len() < self.free.capacity(), "a chunk came home twice");
        self.free.push(chunk.index);
    }

    /// Gives back what is held of other workers beyond what may be owed; `handed` says how many chunks
    /// came from a worker with packets, less those that went to it. What is in use stays owed.
    #[inline]
    pub fn settle(&mut self, handed: impl Fn(usize) -> i64) {
        let ways = self.ways.iter_mut().enumerate();
        for (worker, way) in ways.filter_map(|(worker, way)| Some((worker, way.as_mut()?))) {
            let held = handed(worker) + way.balance();
            if held > self.keep {
                way.give_back(&mut self.free, held as usize);
            }
        }
    }

    /// Shows the other workers what was given back to them, and has `told` know who they are.
    #[inline]
    pub fn publish(&mut self, mut told: impl FnMut(usize)) {
        for (worker, way) in self.ways.iter_mut().enumerate() {
            if way.as_mut().is_some_and(|way| way.there.publish()) {
                told(worker);
            }
        }
    }

    /// Takes what other workers gave back.
    #[inline]
    pub fn welcome(&mut self) {
        for way in self.ways.iter_mut().flatten() {
            while let Some(index) = way.back.pop() {
                debug_assert!(self.free.len() < self.free.capacity(), "a chunk came home twice");
                self.free.push(index as u32);
            }
            way.back.release();
        }
    }

    /// Whether something was given back that was not taken yet.
    pub fn expects(&mut self) -> bool {
        self.ways.iter_mut().flatten().any(|way| !way.back.is_empty())
    }

    /// Chunks that were given back and not taken yet.
    pub fn returning(&mut self) -> usize {
        self.ways.iter_mut().flatten().map(|way| way.back.len()).sum()
    }

    #[inline]
    pub(super) fn take_index(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Free chunks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.free.len()
    }

    /// Whether no chunk is free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// Chunks that it began with.
    #[must_use]
    pub const fn home(&self) -> usize {
        self.count
    }
}

impl Way {
    /// Chunks that came this way, less those that went.
    #[inline]
    fn balance(&self) -> i64 {
        self.back.taken().wrapping_sub(self.there.pushed()) as i64
    }

    /// What does not fit now goes another time.
    #[inline(never)]
    fn give_back(&mut self, free: &mut Vec<u32>, held: usize) {
        for _ in 0..held {
            let Some(index) = free.pop() else { break };
            if !self.there.push_one(u64::from(index)) {
                free.push(index);
                break;
            }
        }
    }
}

/// Ways between each two of so many workers, for `chunks` chunks at once.
fn ways(workers: usize, chunks: usize) -> Vec<Box<[Option<Way>]>> {
    let mut all: Vec<Box<[Option<Way>]>> =
        (0..workers).map(|_| (0..workers).map(|_| None).collect()).collect();
    for (from, to) in (0..workers).flat_map(|from| (0..from).map(move |to| (from, to))) {
        let (there, theirs) = spsc::ring(chunks);
        let (back, ours) = spsc::ring(chunks);
        all[from][to] = Some(Way { there, back: ours });
        all[to][from] = Some(Way { there: back, back: theirs });
    }
    all
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::umem::Layout;
    use super::*;

    fn two() -> [Pool; 2] {
        let (_, pool) = Umem::simulated(Layout { stride: 2_048, count: 64 });
        pool.divide(2).try_into().unwrap_or_else(|_| panic!("two pools"))
    }

    #[test]
    fn each_chunk_is_in_one_pool() {
        let (_, pool) = Umem::simulated(Layout { stride: 2_048, count: 100 });
        let pools = pool.divide(3);
        let mut all: Vec<u32> = pools.iter().flat_map(|pool| pool.free.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..99).collect::<Vec<_>>(), "one is left over");
    }

    #[test]
    fn what_is_owed_is_settled_once_it_is_much() {
        let [mut debtor, mut creditor] = two();
        debtor.settle(|_| 4);
        assert_eq!((debtor.len(), debtor.keep), (32, 4), "32 / 8 may be owed");
        debtor.settle(|_| 5);
        assert_eq!(debtor.len(), 27);
        debtor.settle(|_| 5);
        assert_eq!(debtor.len(), 27, "it is settled");
        let mut told = Vec::new();
        debtor.publish(|worker| told.push(worker));
        assert!(told == [1] && creditor.expects() && creditor.returning() == 5);
        creditor.welcome();
        assert_eq!(creditor.len(), 37);
        creditor.settle(|_| -5);
        assert_eq!(creditor.len(), 37, "both count alike");
    }

    #[test]
    fn what_is_in_use_stays_owed() {
        let [mut debtor, _creditor] = two();
        let in_use: Vec<Frame> = std::iter::from_fn(|| debtor.take()).collect();
        debtor.settle(|_| 10);
        assert_eq!(debtor.ways[1].as_ref().map(Way::balance), Some(0));
        in_use.into_iter().for_each(|frame| debtor.give(frame));
        debtor.settle(|_| 10);
        assert_eq!((debtor.len(), debtor.ways[1].as_ref().map(Way::balance)), (22, Some(-10)));
    }
}
