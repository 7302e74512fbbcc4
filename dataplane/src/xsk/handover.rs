//! Packets from one worker to another: the frame itself moves, as a token, not its bytes.

use arrayvec::ArrayVec;

use super::frame::{Chunk, Frame};
use super::socket::Burst;
use super::umem::Umem;
use crate::limits::{BURST, CHAIN_MAX};
use crate::spsc::{self, Receiver, Sender};

/// Bits of a word: where the chunk is, its bytes, the port that the packet came in through, whether a
/// note about it follows its last chunk, and whether the packet goes on in the next word.
const LEN: u32 = 32;
const PORT: u32 = 48;
const NOTED: u64 = 1 << 55;
const MORE: u64 = 1 << 63;

/// What was handed over with the packets of a burst: a word for each, or nothing.
pub type Notes = ArrayVec<u64, BURST>;

/// A way from one worker to another, for at least `chunks` chunks at once.
#[must_use]
pub fn way(umem: &Umem, chunks: usize) -> (Outlet, Inlet) {
    let (sender, receiver) = spsc::ring(chunks);
    let umem = umem.id();
    (Outlet { sender, umem, notes: 0 }, Inlet { receiver, umem, notes: 0 })
}

/// The end at which packets are handed over.
#[derive(Debug)]
pub struct Outlet {
    sender: Sender,
    umem: u32,
    /// Words that were no chunks.
    notes: u64,
}

impl Outlet {
    /// Hands over a packet that came in through `port`; the other worker sees it after
    /// [`Outlet::publish`]. A chain goes whole or not at all.
    ///
    /// # Errors
    /// The frame itself, when there is no room.
    ///
    /// # Panics
    /// When the frame belongs to another `Umem`.
    #[inline(always)]
    pub fn hand_over(&mut self, frame: Frame, port: u8) -> Result<(), Frame> {
        assert_eq!(frame.umem, self.umem, "frames move between workers of one UMEM");
        let kind = u64::from(port) << PORT;
        let pushed = match frame.tails {
            0 => self.sender.push_one(word(frame.head) | kind),
            _ => self.push_chain(&frame, kind),
        };
        if pushed { Ok(()) } else { Err(frame) }
    }

    #[inline(never)]
    fn push_chain(&mut self, frame: &Frame, kind: u64) -> bool {
        self.sender.push(words(frame, kind))
    }

    /// As [`Outlet::hand_over`], with a note that arrives beside the packet.
    ///
    /// # Errors
    /// As [`Outlet::hand_over`].
    pub fn hand_over_noted(&mut self, frame: Frame, port: u8, note: u64) -> Result<(), Frame> {
        assert_eq!(frame.umem, self.umem, "frames move between workers of one UMEM");
        let mut all: ArrayVec<u64, { CHAIN_MAX + 1 }> =
            words(&frame, u64::from(port) << PORT | NOTED).collect();
        all.push(note);
        if !self.sender.push(all.into_iter()) {
            return Err(frame);
        }
        self.notes += 1;
        Ok(())
    }

    /// Chunks that were ever handed over here.
    #[inline]
    #[must_use]
    pub const fn handed_over(&self) -> u64 {
        self.sender.pushed() - self.notes
    }

    /// Shows the other worker what was handed over. Returns whether there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.sender.publish()
    }
}

/// The end at which packets arrive.
#[derive(Debug)]
pub struct Inlet {
    receiver: Receiver,
    umem: u32,
    /// Words that were no chunks.
    notes: u64,
}

impl Inlet {
    /// Asks for what may be there: the words of a burst.
    #[inline]
    pub fn prefetch(&self) {
        self.receiver.prefetch(BURST as u64);
    }

    /// Takes packets that came in through one port, as many in a row as `burst` has room for, all with
    /// `notes` or all without. Returns the port; `None` when there are none.
    #[inline]
    pub fn take(&mut self, burst: &mut Burst, notes: &mut Notes) -> Option<u8> {
        let kind = kind_of(self.receiver.peek()?);
        for _ in 0..burst.remaining_capacity() {
            let Some(word) = self.receiver.pop_if(|word| kind_of(word) == kind) else { break };
            let frame = Frame::single(self.umem, word as u32, (word >> LEN) as u16);
            if word & (MORE | NOTED) == 0 {
                burst.push(frame);
            } else {
                burst.push(self.take_rest(frame, word, notes));
            }
        }
        self.receiver.release();
        Some(kind & 0x7f)
    }

    /// The other chunks of a packet whose first word this is, and its note.
    #[inline(never)]
    fn take_rest(&mut self, mut frame: Frame, first: u64, notes: &mut Notes) -> Frame {
        let mut more = first & MORE != 0;
        while let Some(word) = self.receiver.peek().filter(|_| more) {
            self.receiver.pop();
            more = word & MORE != 0;
            let chunk = Chunk { index: word as u32, len: (word >> LEN) as u16 };
            if frame.push(chunk).is_err() {
                unreachable!("a chain that was a frame before is one again");
            }
        }
        if first & NOTED != 0 {
            notes.push(self.receiver.pop().unwrap_or_default());
            self.notes += 1;
        }
        frame
    }

    /// Chunks that were ever taken here.
    #[inline]
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.receiver.taken() - self.notes
    }

    /// Whether no packet is there now.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        self.receiver.is_empty()
    }

    /// Chunks that are there now.
    pub fn chunks(&mut self) -> usize {
        let mut note_follows = false;
        let is_chunk = |word: &u64| {
            let is_note = note_follows;
            note_follows = !is_note && word & (NOTED | MORE) == NOTED;
            !is_note
        };
        self.receiver.waiting().filter(is_chunk).count()
    }
}

/// A word for each chunk of a packet.
#[inline]
fn words(frame: &Frame, kind: u64) -> impl ExactSizeIterator<Item = u64> + '_ {
    let last = frame.chunk_count() - 1;
    frame.chunks().enumerate().map(move |(at, chunk)| {
        let more = if at < last { MORE } else { 0 };
        word(chunk) | kind | more
    })
}

#[inline]
const fn word(Chunk { index, len }: Chunk) -> u64 {
    index as u64 | (len as u64) << LEN
}

/// The port, and whether there is a note.
const fn kind_of(word: u64) -> u8 {
    (word >> PORT) as u8
}

const _: () = assert!(crate::limits::PORTS_MAX <= 0x80, "a port has seven bits of a word");
