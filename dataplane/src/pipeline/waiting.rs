//! Frames whose next hop has no MAC yet. They wait, bounded in number and time, while the kernel
//! asks; then they go out in the order in which they came.

use std::collections::VecDeque;

use super::limiter::Limiter;
use crate::addr::Addr;
use crate::limits::{ASK_AGAIN_MS, QUESTIONS_PER_SECOND, WAITING_MAX, WAITING_MS, WAITING_PER_HOP};
use crate::tables::Hop;
use crate::tables::PortId;
use crate::time::Tick;
use crate::xsk::Frame;

#[derive(Debug)]
struct Entry {
    frame: Frame,
    port: PortId,
    addr: Addr,
    since: Tick,
    /// When the kernel was last asked for this hop, as far as this frame knows.
    asked: Tick,
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
    /// Questions about hops for which no frame could wait.
    questions: Limiter,
}

/// What became of a frame that was to wait.
#[derive(Debug)]
#[must_use = "a frame that cannot wait must go home"]
pub struct Pushed {
    /// The frame, when too many wait for its hop, or in all.
    pub refused: Option<Frame>,
    /// The kernel is to be asked for the hop: nobody did of late.
    pub ask: bool,
}

/// What came of a frame that waited.
#[derive(Debug)]
pub enum Outcome {
    /// Its next hop is known now.
    Ready(Frame, Origin, Hop),
    /// Nobody answered in time on the link of this port.
    Expired(Frame, Origin, PortId),
}

impl Waiting {
    /// Room for everything that may wait.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        let entries = VecDeque::with_capacity(WAITING_MAX);
        Self { entries, questions: Limiter::new(QUESTIONS_PER_SECOND, now) }
    }

    /// Lets a frame wait for `next`, if there is room. A question can get lost, and the kernel
    /// gives up after a while, so it is asked again as long as packets come.
    pub fn push(&mut self, frame: Frame, origin: Origin, next: &Hop, now: Tick) -> Pushed {
        let same = |e: &&mut Entry| e.port == next.port && e.addr == next.addr;
        let (mut before, mut asked) = (0, None);
        for entry in self.entries.iter_mut().filter(same) {
            before += 1;
            asked = Some(entry);
        }
        let ask = match asked {
            Some(last) if now.since(last.asked) < ASK_AGAIN_MS => false,
            Some(last) => {
                last.asked = now;
                true
            }
            None => self.entries.len() < WAITING_MAX || self.questions.allow(now),
        };
        if before >= WAITING_PER_HOP || self.entries.len() >= WAITING_MAX {
            return Pushed { refused: Some(frame), ask };
        }
        let (port, addr) = (next.port, next.addr);
        let asked = if ask { now } else { self.last_asked(next) };
        self.entries.push_back(Entry { frame, port, addr, since: now, asked, origin });
        Pushed { refused: None, ask }
    }

    /// When the kernel was asked for a hop that a frame waits for.
    fn last_asked(&self, next: &Hop) -> Tick {
        let same = |e: &&Entry| e.port == next.port && e.addr == next.addr;
        self.entries.iter().rev().find(same).map_or(Tick::default(), |entry| entry.asked)
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
        resolve: impl Fn(PortId, Addr) -> Option<Hop>,
    ) -> Option<Outcome> {
        let over = self.entries.iter().enumerate().find_map(|(at, entry)| {
            let next = resolve(entry.port, entry.addr).filter(|next| next.mac().is_some());
            let expired = now.since(entry.since) > WAITING_MS;
            (next.is_some() || expired).then_some((at, next))
        });
        let (at, next) = over?;
        let entry = self.entries.remove(at)?;
        Some(match next {
            Some(next) => Outcome::Ready(entry.frame, entry.origin, next),
            None => Outcome::Expired(entry.frame, entry.origin, entry.port),
        })
    }
}
