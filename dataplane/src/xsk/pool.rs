use super::frame::{Chunk, Frame};
use super::umem::Umem;
use crate::spsc::{self, Receiver, Sender};

/// Free chunks of one worker, last in first out, so that the next frame is warm in the cache. A
/// chunk of another worker, which came here with a packet that was handed over, goes home to it.
#[derive(Debug)]
pub struct Pool {
    umem: u32,
    /// Its own chunks are `count` ones from `first` on.
    first: u32,
    count: u32,
    free: Vec<u32>,
    homes: Homes,
}

/// The ways between the pools of the workers of one UMEM; each holds all chunks of the pool that
/// it leads to, so it is never full.
#[derive(Debug, Default)]
struct Homes {
    /// 2^64 by the number of chunks that each pool has at home: what multiplies need not divide.
    inverse: u64,
    /// By worker; nothing at the place of the pool itself.
    out: Box<[Option<Sender>]>,
    back: Vec<Receiver>,
}

impl Homes {
    /// The worker whose chunk this is. Exact, since indexes and counts have 32 bits.
    #[inline]
    const fn of(&self, index: u32) -> usize {
        ((index as u128 * self.inverse as u128) >> 64) as usize
    }
}

impl Pool {
    /// Every chunk of `umem`. Called once for each UMEM: the chunks then exist once.
    pub(super) fn of(umem: &Umem) -> Self {
        let count = umem.count();
        let free = (0..count).rev().collect();
        Self { umem: umem.id(), first: 0, count, free, homes: Homes::default() }
    }

    /// Divides the chunks evenly among `workers`, those that are left over go to nobody.
    ///
    /// # Panics
    /// When some are in use, or there are no workers.
    #[must_use]
    pub fn divide(self, workers: usize) -> Vec<Self> {
        assert!(self.len() == self.count as usize, "frames are divided before any is used");
        if workers == 1 {
            return vec![self];
        }
        let count = self.count / u32::try_from(workers).expect("workers are few");
        let mut pools: Vec<Self> = (0..workers as u32)
            .map(|worker| {
                let first = self.first + worker * count;
                let free = (first..first + count).rev().collect();
                let out = (0..workers).map(|_| None).collect();
                let inverse = u64::MAX / u64::from(count) + 1;
                let homes = Homes { inverse, out, back: Vec::new() };
                Self { umem: self.umem, first, count, free, homes }
            })
            .collect();
        for from in 0..workers {
            for to in (0..workers).filter(|to| *to != from) {
                let (sender, receiver) = spsc::ring(count as usize);
                pools[from].homes.out[to] = Some(sender);
                pools[to].homes.back.push(receiver);
            }
        }
        pools
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
        if chunk.index.wrapping_sub(self.first) < self.count {
            debug_assert!(self.free.len() < self.count as usize, "a chunk came home twice");
            self.free.push(chunk.index);
        } else {
            self.send_home(chunk.index);
        }
    }

    #[inline(never)]
    fn send_home(&mut self, index: u32) {
        let home = self.homes.of(index);
        let Some(Some(sender)) = self.homes.out.get_mut(home) else {
            unreachable!("every chunk has a home");
        };
        let room = sender.push_one(u64::from(index));
        debug_assert!(room, "the way home holds every chunk of that home");
    }

    /// Shows the other workers what came home to them, and has `told` know who they are.
    #[inline]
    pub fn publish(&mut self, mut told: impl FnMut(usize)) {
        for (worker, sender) in self.homes.out.iter_mut().enumerate() {
            if sender.as_mut().is_some_and(Sender::publish) {
                told(worker);
            }
        }
    }

    /// Takes what has come home from other workers.
    #[inline]
    pub fn welcome(&mut self) {
        for back in &mut self.homes.back {
            while let Some(index) = back.pop() {
                debug_assert!(self.free.len() < self.count as usize, "a chunk came home twice");
                self.free.push(index as u32);
            }
            back.release();
        }
    }

    /// Whether something has come home that was not taken yet.
    pub fn expects(&mut self) -> bool {
        self.homes.back.iter_mut().any(|back| !back.is_empty())
    }

    /// Chunks that have come home and were not taken yet.
    pub fn returning(&mut self) -> usize {
        self.homes.back.iter_mut().map(Receiver::len).sum()
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

    /// Chunks that are at home here.
    #[must_use]
    pub const fn home(&self) -> usize {
        self.count as usize
    }
}
