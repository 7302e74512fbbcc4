//! Frames whose next hop has no MAC yet. They wait, bounded in number and time, while the kernel
//! asks; then they go out in the order in which they came.

use std::collections::VecDeque;

use super::plan::Next;
use crate::addr::Addr;
use crate::limits::{WAITING_MAX, WAITING_MS, WAITING_PER_HOP};
use crate::tables::PortId;
use crate::time::Tick;
use crate::xsk::Frame;

#[derive(Debug)]
struct Entry {
    frame: Frame,
    port: PortId,
    addr: Addr,
    since: Tick,
    origin: Origin,
}

/// Whose packet a frame holds; decides how it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Received: its end is counted as that of the packet.
    Received,
    /// Made by us on the way.
    Ours,
}

/// The frames that wait.
#[derive(Debug)]
pub struct Waiting {
    entries: VecDeque<Entry>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { entries: VecDeque::with_capacity(WAITING_MAX) }
    }
}

/// What came of a frame that waited.
#[derive(Debug)]
pub enum Outcome {
    /// Its next hop is known now.
    Ready(Frame, Origin, Next),
    /// Nobody answered in time.
    Expired(Frame, Origin),
}

impl Waiting {
    /// Lets a frame wait for `next`. Returns whether it is the first for that hop, so that the
    /// kernel is asked once.
    ///
    /// # Errors
    /// The frame itself when too many wait, for this hop or in all.
    pub fn push(
        &mut self,
        frame: Frame,
        origin: Origin,
        next: &Next,
        now: Tick,
    ) -> Result<bool, Frame> {
        let same = |e: &&Entry| e.port == next.port && e.addr == next.addr;
        let before = self.entries.iter().filter(same).count();
        if before >= WAITING_PER_HOP || self.entries.len() >= WAITING_MAX {
            return Err(frame);
        }
        let (port, addr) = (next.port, next.addr);
        self.entries.push_back(Entry { frame, port, addr, since: now, origin });
        Ok(before == 0)
    }

    /// Received packets that wait: their fate is open.
    #[must_use]
    pub fn received(&self) -> usize {
        self.entries.iter().filter(|entry| entry.origin == Origin::Received).count()
    }

    /// Chunks held by frames that wait.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.entries.iter().map(|entry| entry.frame.chunk_count()).sum()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes out the first frame whose wait is over; `resolve` says what is known of a hop now.
    pub fn pop(
        &mut self,
        now: Tick,
        resolve: impl Fn(PortId, Addr) -> Option<Next>,
    ) -> Option<Outcome> {
        let over = self.entries.iter().enumerate().find_map(|(at, entry)| {
            let next = resolve(entry.port, entry.addr).filter(|next| next.mac.is_some());
            let expired = now.since(entry.since) > WAITING_MS;
            (next.is_some() || expired).then_some((at, next))
        });
        let (at, next) = over?;
        let entry = self.entries.remove(at)?;
        Some(match next {
            Some(next) => Outcome::Ready(entry.frame, entry.origin, next),
            None => Outcome::Expired(entry.frame, entry.origin),
        })
    }
}
