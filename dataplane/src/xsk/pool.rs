use super::frame::{Chunk, Frame};
use super::umem::Umem;

/// Free chunks of one worker, last in first out, so that the next frame is warm in the cache.
#[derive(Debug)]
pub struct Pool {
    umem: u32,
    free: Vec<u32>,
}

impl Pool {
    /// Every chunk of `umem`. Called once for each UMEM: the chunks then exist once.
    pub(super) fn of(umem: &Umem) -> Self {
        Self { umem: umem.id(), free: (0..umem.count()).rev().collect() }
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
}
