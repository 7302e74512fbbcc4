use std::io;
use std::os::fd::RawFd;

use arrayvec::ArrayVec;

use super::frame::Frame;
use super::pool::Pool;
use crate::limits::BURST;

/// What was taken from a ring in one go.
pub type Burst = ArrayVec<Frame, BURST>;

/// Where a socket's chunks are, and what the kernel says of its rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Chunks given to the fill ring and not yet received: in the fill or rx ring.
    pub rx: usize,
    /// Chunks given to the tx ring and not yet completed: in the tx or completion ring.
    pub tx: usize,
    /// Packets that the kernel dropped because the rx ring was full (`XDP_STATISTICS`).
    pub rx_ring_full: u64,
    /// Packets that the kernel dropped because the fill ring was empty (`XDP_STATISTICS`).
    pub fill_ring_empty: u64,
}

/// One (port, queue), as the worker sees it: the kernel's rings or simulated ones.
pub trait Socket {
    /// Takes received packets, at most as many as `burst` has room for, whole chains only. A
    /// chain that is too long goes back to the pool; the return value counts those.
    fn receive(&mut self, burst: &mut Burst, pool: &mut Pool) -> usize;

    /// Gives free chunks to the kernel to receive into.
    fn refill(&mut self, pool: &mut Pool);

    /// Queues a packet for sending; a full ring gives the frame back. A chain goes whole or not
    /// at all. [`Socket::kick`] sends it.
    ///
    /// # Errors
    /// The frame itself, when there is no room.
    fn transmit(&mut self, frame: Frame) -> Result<(), Frame>;

    /// Makes the kernel send what is queued. Returns whether something is still unsent.
    ///
    /// # Errors
    /// What `sendto` says, other than "later".
    fn kick(&mut self) -> io::Result<bool>;

    /// Takes sent frames home.
    fn complete(&mut self, pool: &mut Pool);

    /// Where the chunks are.
    fn occupancy(&self) -> Occupancy;

    /// What to wait on for received packets; `None` where there is no kernel.
    fn fd(&self) -> Option<RawFd>;
}
