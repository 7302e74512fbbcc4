use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use super::ranges::{Fit, Ranges};
use super::{Key, Note, Part};
use crate::drop_reason::DropReason;
use crate::limits::{
    FRAGMENT_HELD_MS, FRAGMENT_KNOWN_MS, FRAGMENT_PASSING_MS, FRAGMENT_WAYS, FRAGMENTED_MAX,
};
use crate::tables::PortId;
use crate::time::Tick;
use crate::xsk::Frame;

/// The datagrams in pieces of one worker. The hash of a key leads to a few places; the oldest of them
/// gives way to a new datagram, so that a flood costs those whose pieces come far apart.
#[derive(Debug)]
pub struct Fragments {
    places: Box<[[Option<Datagram>; FRAGMENT_WAYS]]>,
    keys: RandomState,
    held: VecDeque<Held>,
    held_chunks: usize,
    held_max: usize,
    /// When nothing had waited too long.
    looked: Tick,
}

/// A datagram whose first piece was seen.
#[derive(Debug, Clone)]
struct Datagram {
    key: Key,
    since: Tick,
    note: Note,
    seen: Ranges,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Pieces are missing.
    Open,
    /// All of them were seen.
    Complete,
    /// Pieces overlapped: nothing more of it goes on (RFC 5722 section 4).
    Spoilt,
}

/// A piece that waits for the first one of its datagram.
#[derive(Debug)]
#[must_use = "its frame has to go on or home"]
pub struct Held {
    /// The piece as it came in.
    pub frame: Frame,
    /// Where it came in.
    pub port: PortId,
    /// It is addressed to us. Else it may be none of our business: the first one of its datagram may
    /// have been the kernel's, and it goes on alone.
    pub ours: bool,
    key: Key,
    since: Tick,
}

impl Held {
    const fn patience(&self) -> u32 {
        if self.ours { FRAGMENT_HELD_MS } else { FRAGMENT_PASSING_MS }
    }
}

impl Fragments {
    /// Room for everything that will ever be remembered, and for `held` chunks that wait.
    #[must_use]
    pub fn new(held: usize) -> Self {
        Self {
            places: (0..FRAGMENTED_MAX / FRAGMENT_WAYS).map(|_| Default::default()).collect(),
            keys: RandomState::new(),
            held: VecDeque::with_capacity(held + 1),
            held_chunks: 0,
            held_max: held,
            looked: Tick::default(),
        }
    }

    /// Notes a first piece, which says `note` of the others.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn begin(
        &mut self,
        key: &Key,
        part: Part,
        note: Note,
        now: Tick,
    ) -> Result<(), DropReason> {
        let set = self.set(key);
        if let Some(known) = find(set, key, now).filter(|known| known.state != State::Complete) {
            return known.take(part).map(drop);
        }
        let mut new =
            Datagram { key: *key, since: now, note, seen: Ranges::default(), state: State::Open };
        new.take(part)?;
        // Its own place of before, then one that nobody needs, then the oldest.
        let use_of = |place: &Option<Datagram>| match place {
            Some(other) if other.key == *key => 3,
            None => 2,
            Some(other) if other.state == State::Complete => 1,
            Some(_) => 0,
        };
        let age = |place: &Option<Datagram>| place.as_ref().map_or(0, |d| now.since(d.since));
        if let Some(place) = set.iter_mut().max_by_key(|place| (use_of(place), age(place))) {
            *place = Some(new);
        }
        Ok(())
    }

    /// Notes a later piece and returns what the first one has said; `None` when that was not seen yet.
    ///
    /// # Errors
    /// [`DropReason::BadFragment`] for what was there before, or overlaps it.
    pub fn follow(&mut self, key: &Key, part: Part, now: Tick) -> Result<Option<Note>, DropReason> {
        find(self.set(key), key, now).map(|known| known.take(part)).transpose()
    }

    /// Lets a piece wait for the first one. Older ones may have to give way: see [`Self::overflow`].
    pub fn hold(&mut self, key: &Key, frame: Frame, (port, ours): (PortId, bool), now: Tick) {
        self.held_chunks += frame.chunk_count();
        self.held.push_back(Held { frame, port, ours, key: *key, since: now });
    }

    /// Takes out the oldest piece when too many wait.
    pub fn overflow(&mut self) -> Option<Held> {
        if self.held_chunks <= self.held_max { None } else { self.take_at(0) }
    }

    /// Takes out the oldest piece that waits for this datagram.
    pub fn release(&mut self, key: &Key) -> Option<Held> {
        let at = self.held.iter().position(|held| held.key == *key)?;
        self.take_at(at)
    }

    /// Takes out a piece that has waited too long. Looks at all of them once in a millisecond.
    pub fn expire(&mut self, now: Tick) -> Option<Held> {
        if self.held.is_empty() || self.looked == now {
            return None;
        }
        let over = |held: &Held| now.since(held.since) > held.patience();
        let Some(at) = self.held.iter().position(over) else {
            self.looked = now;
            return None;
        };
        self.take_at(at)
    }

    /// Pieces that wait: their fate is open.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Chunks of those.
    #[must_use]
    pub const fn chunks(&self) -> usize {
        self.held_chunks
    }

    fn take_at(&mut self, at: usize) -> Option<Held> {
        let held = self.held.remove(at)?;
        self.held_chunks -= held.frame.chunk_count();
        Some(held)
    }

    fn set(&mut self, key: &Key) -> &mut [Option<Datagram>; FRAGMENT_WAYS] {
        let at = self.keys.hash_one(key) as usize % self.places.len();
        &mut self.places[at]
    }
}

fn find<'s>(
    set: &'s mut [Option<Datagram>; FRAGMENT_WAYS],
    key: &Key,
    now: Tick,
) -> Option<&'s mut Datagram> {
    let known = set.iter_mut().flatten().find(|known| known.key == *key)?;
    (now.since(known.since) <= FRAGMENT_KNOWN_MS).then_some(known)
}

impl Datagram {
    fn take(&mut self, part: Part) -> Result<Note, DropReason> {
        if self.state == State::Spoilt {
            return Err(DropReason::BadFragment);
        }
        match self.seen.add(part) {
            Fit::New => {
                if self.seen.complete() {
                    self.state = State::Complete;
                }
                Ok(self.note)
            }
            Fit::Repeated | Fit::TooScattered => Err(DropReason::BadFragment),
            Fit::Overlaps => {
                self.state = State::Spoilt;
                Err(DropReason::BadFragment)
            }
        }
    }
}
