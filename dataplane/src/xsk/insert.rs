use arrayvec::ArrayVec;

use super::frame::{Chunk, Frame};
use super::umem::Umem;
use crate::limits::CHAIN_MAX;

/// Bytes that are inserted at once.
const GAP: usize = 4;

/// Bytes that did not fit into a chunk any more.
type Carry = ArrayVec<u8, GAP>;

impl Umem {
    /// Inserts `bytes` at offset `at` of a packet, which lies in the first chunk, and moves what
    /// follows: the start of a packet cannot be moved. Returns whether there was room; if not,
    /// nothing has changed.
    pub fn insert(&self, frame: &mut Frame, at: usize, bytes: [u8; GAP]) -> bool {
        let capacity = self.layout().capacity();
        let spill =
            |more: usize, chunk: Chunk| (usize::from(chunk.len) + more).saturating_sub(capacity);
        if at > usize::from(frame.head.len) || frame.chunks().fold(GAP, spill) > 0 {
            return false;
        }
        let mut carry = self.push_in(&mut frame.head, at, &bytes);
        let tails = &mut frame.tail[..usize::from(frame.tails)];
        debug_assert!(tails.len() < CHAIN_MAX);
        for chunk in tails {
            carry = self.push_in(chunk, 0, &carry);
        }
        true
    }

    /// Inserts into one chunk; returns what falls out at its end.
    fn push_in(&self, chunk: &mut Chunk, at: usize, bytes: &[u8]) -> Carry {
        // A frame for as long as this chunk is worked on; the packet's own is borrowed meanwhile.
        let mut alone = Frame::single(self.id(), chunk.index, chunk.len);
        let mut view = self.view(&mut alone);
        let len = view.bytes().len();
        let stays = len - (len + bytes.len()).saturating_sub(view.capacity());
        let carry = view.bytes()[stays..].iter().copied().collect();
        view.set_len(stays + bytes.len());
        view.bytes_mut().copy_within(at..stays, at + bytes.len());
        view.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        chunk.len = (stays + bytes.len()) as u16;
        carry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xsk::Pool;
    use crate::xsk::umem::Layout;

    /// A packet of these chunk lengths, its bytes counting up, beside the memory that it is in.
    fn packet(lens: &[u16]) -> (Umem, Pool, Frame, Vec<u8>) {
        let (umem, mut pool) = Umem::simulated(Layout { stride: 256 + 64, count: 8 });
        let mut next = 0_u8;
        let mut bytes = Vec::new();
        let mut chunks = lens.iter().map(|len| {
            let mut frame = pool.take().unwrap();
            let content: Vec<u8> = (0..*len)
                .map(|_| {
                    next += 1;
                    next
                })
                .collect();
            umem.view(&mut frame).fill_from(&content);
            bytes.extend(content);
            frame
        });
        let mut frame = chunks.next().unwrap();
        for tail in chunks {
            frame.push(tail.head).unwrap();
        }
        (umem, pool, frame, bytes)
    }

    #[test]
    fn what_follows_moves_over_chunk_borders() {
        for lens in [&[20][..], &[60], &[61, 10], &[64, 64, 1], &[64, 62, 3], &[30, 64, 64, 60]] {
            let (umem, _pool, mut frame, mut want) = packet(lens);
            assert!(umem.insert(&mut frame, 12, [201, 202, 203, 204]), "{lens:?}");
            want.splice(12..12, [201, 202, 203, 204]);
            let mut got = vec![0; want.len() + 1];
            let view = umem.view(&mut frame);
            assert_eq!(view.copy_out(0, &mut got), want.len(), "{lens:?}");
            assert_eq!(got[..want.len()], want, "{lens:?}");
        }
    }

    #[test]
    fn without_room_nothing_changes() {
        for lens in [&[61][..], &[64, 64, 61], &[11]] {
            let (umem, _pool, mut frame, want) = packet(lens);
            assert!(!umem.insert(&mut frame, 12, [0; 4]), "{lens:?}");
            let mut got = vec![0; want.len() + 1];
            assert_eq!(umem.view(&mut frame).copy_out(0, &mut got), want.len());
            assert_eq!(got[..want.len()], want);
        }
    }
}
