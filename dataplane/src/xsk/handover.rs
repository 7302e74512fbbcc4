//! Packets from one worker to another: the frame itself moves, as a token, not its bytes.

use super::frame::{Chunk, Frame};
use super::socket::Burst;
use super::umem::Umem;
use crate::spsc::{self, Receiver, Sender};

/// Bits of a word: where the chunk is, its bytes, the port that the packet came in through, and
/// whether the packet goes on in the next word.
const LEN: u32 = 32;
const PORT: u32 = 48;
const MORE: u64 = 1 << 63;

/// A way from one worker to another, for at least `chunks` chunks at once.
#[must_use]
pub fn way(umem: &Umem, chunks: usize) -> (Outlet, Inlet) {
    let (sender, receiver) = spsc::ring(chunks);
    (Outlet { sender, umem: umem.id() }, Inlet { receiver, umem: umem.id() })
}

/// The end at which packets are handed over.
#[derive(Debug)]
pub struct Outlet {
    sender: Sender,
    umem: u32,
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
        let last = frame.chunk_count() - 1;
        let words = frame.chunks().enumerate().map(|(at, chunk)| {
            let more = if at < last { MORE } else { 0 };
            u64::from(chunk.index) | u64::from(chunk.len) << LEN | u64::from(port) << PORT | more
        });
        if self.sender.push(words) { Ok(()) } else { Err(frame) }
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
}

impl Inlet {
    /// Takes packets that came in through one port, as many in a row as `burst` has room for.
    /// Returns the port; `None` when there are none.
    #[inline]
    pub fn take(&mut self, burst: &mut Burst) -> Option<u8> {
        let port = port_of(self.receiver.peek()?);
        while !burst.is_full() {
            let Some(word) = self.receiver.peek().filter(|word| port_of(*word) == port) else {
                break;
            };
            self.receiver.pop();
            let mut frame = Frame::single(self.umem, word as u32, (word >> LEN) as u16);
            let mut more = word & MORE != 0;
            while let Some(word) = self.receiver.peek().filter(|_| more) {
                self.receiver.pop();
                more = word & MORE != 0;
                let chunk = Chunk { index: word as u32, len: (word >> LEN) as u16 };
                if frame.push(chunk).is_err() {
                    unreachable!("a chain that was a frame before is one again");
                }
            }
            burst.push(frame);
        }
        self.receiver.release();
        Some(port)
    }

    /// Whether no packet is there now.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        self.receiver.is_empty()
    }

    /// Chunks that are there now.
    pub fn chunks(&mut self) -> usize {
        self.receiver.len()
    }
}

const fn port_of(word: u64) -> u8 {
    (word >> PORT) as u8 & 0x7f
}

const _: () = assert!(crate::limits::PORTS_MAX <= 0x80, "a port and MORE share 16 bits");
