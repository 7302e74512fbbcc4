use super::frame::Chunk;
use super::umem::Umem;

/// The bytes of one packet: the first chunk to read, write and grow, the others to read.
#[derive(Debug)]
pub struct View<'a> {
    head: &'a mut [u8],
    len: &'a mut u16,
    tails: &'a [Chunk],
    umem: &'a Umem,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(
        head: &'a mut [u8],
        len: &'a mut u16,
        tails: &'a [Chunk],
        umem: &'a Umem,
    ) -> Self {
        // A length beyond the chunk cannot come from a sane kernel; never let it out of bounds.
        *len = (*len).min(head.len().min(usize::from(u16::MAX)) as u16);
        Self { head, len, tails, umem }
    }

    /// The bytes of the first chunk: every header lies here.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.head[..usize::from(*self.len)]
    }

    /// The bytes of the first chunk, to write.
    #[inline]
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.head[..usize::from(*self.len)]
    }

    /// The bytes of the further chunks.
    #[inline]
    pub fn tails(&self) -> impl Iterator<Item = &[u8]> {
        self.tails.iter().map(|chunk| self.umem.tail(self, *chunk))
    }

    /// Whether the packet spans more than one chunk.
    #[inline]
    #[must_use]
    pub fn is_chain(&self) -> bool {
        !self.tails.is_empty()
    }

    /// Packet bytes over all chunks.
    #[inline]
    #[must_use]
    pub fn total_len(&self) -> usize {
        usize::from(*self.len) + self.tails.iter().map(|tail| usize::from(tail.len)).sum::<usize>()
    }

    /// Bytes that the first chunk can hold.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.head.len()
    }

    /// Sets the length of the first chunk, longer or shorter; cut at its capacity. New bytes are
    /// whatever the chunk held before.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        *self.len = len.min(self.capacity()) as u16;
    }

    /// Copies `bytes` in as the whole content of the first chunk, cut at its capacity.
    pub fn fill_from(&mut self, bytes: &[u8]) {
        self.set_len(bytes.len());
        let len = usize::from(*self.len);
        self.head[..len].copy_from_slice(&bytes[..len]);
    }

    /// Copies packet bytes from `offset` on, over chunk borders, into `out`; returns how many
    /// there were.
    pub fn copy_out(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut skip = offset;
        let mut done = 0;
        for part in std::iter::once(self.bytes()).chain(self.tails()) {
            let from = skip.min(part.len());
            skip -= from;
            let take = (part.len() - from).min(out.len() - done);
            out[done..done + take].copy_from_slice(&part[from..from + take]);
            done += take;
        }
        done
    }
}
