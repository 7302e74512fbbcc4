use crate::limits::CHAIN_MAX;

/// A chunk of the UMEM with the number of packet bytes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chunk {
    pub(super) index: u32,
    pub(super) len: u16,
}

/// One packet: a chunk, or a chain of up to [`CHAIN_MAX`] with all headers in the first.
///
/// Invariant: a frame is the only holder of its chunks. It is neither `Clone` nor `Copy`, its
/// fields are private to [`super`], and only a pool or a socket makes one. This is what makes
/// [`super::Umem::view`] safe.
#[derive(Debug)]
#[must_use = "a frame that is let go of is lost to the pool"]
pub struct Frame {
    pub(super) umem: u32,
    pub(super) tails: u8,
    pub(super) head: Chunk,
    pub(super) tail: [Chunk; CHAIN_MAX - 1],
}

impl Frame {
    /// A frame of one chunk, holding `len` bytes.
    pub(super) fn single(umem: u32, index: u32, len: u16) -> Self {
        Self { umem, tails: 0, head: Chunk { index, len }, tail: [Chunk::default(); CHAIN_MAX - 1] }
    }

    /// Appends a chunk; gives it back when the chain is as long as it may be.
    pub(super) fn push(&mut self, chunk: Chunk) -> Result<(), Chunk> {
        let slot = self.tail.get_mut(usize::from(self.tails)).ok_or(chunk)?;
        *slot = chunk;
        self.tails += 1;
        Ok(())
    }

    /// Takes the last chunk off a chain.
    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.tails = self.tails.checked_sub(1)?;
        Some(std::mem::take(&mut self.tail[usize::from(self.tails)]))
    }

    /// The chunks in order.
    pub(super) fn chunks(&self) -> impl ExactSizeIterator<Item = Chunk> + '_ {
        (0..self.chunk_count()).map(|i| if i == 0 { self.head } else { self.tail[i - 1] })
    }

    /// How many chunks the packet spans.
    #[inline]
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        1 + usize::from(self.tails)
    }

    /// Packet bytes over all chunks, Ethernet header included.
    #[inline]
    #[must_use]
    pub fn total_len(&self) -> usize {
        if self.tails == 0 {
            return usize::from(self.head.len);
        }
        let tails = &self.tail[..usize::from(self.tails)];
        usize::from(self.head.len) + tails.iter().map(|c| usize::from(c.len)).sum::<usize>()
    }
}
