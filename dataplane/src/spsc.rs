//! A bounded ring from one thread to one other: words in atomics, no locks, no `unsafe`. What is
//! pushed is seen by the other end after `publish`, so that a burst costs one store that is ordered.

use crossbeam::utils::CachePadded;

use crate::mem::prefetch;
use crate::sync::{Arc, AtomicU64, Ordering};

/// Words in a cache line of the usual size.
const WORDS_IN_LINE: usize = 64 / size_of::<u64>();

/// Makes a ring that holds at least `capacity` words.
#[must_use]
pub fn ring(capacity: usize) -> (Sender, Receiver) {
    let capacity = capacity.next_power_of_two();
    let shared = Arc::new(Shared {
        slots: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        taken: CachePadded::new(AtomicU64::new(0)),
        published: CachePadded::new(AtomicU64::new(0)),
    });
    let receiver = Receiver { shared: Arc::clone(&shared), next: 0, published: 0 };
    (Sender { shared, next: 0, taken: 0, published: 0 }, receiver)
}

#[derive(Debug)]
struct Shared {
    slots: Box<[AtomicU64]>,
    /// Words that the receiver is done with; counts for ever.
    taken: CachePadded<AtomicU64>,
    /// Words that the receiver may read; counts for ever.
    published: CachePadded<AtomicU64>,
}

impl Shared {
    #[inline]
    fn slot(&self, at: u64) -> &AtomicU64 {
        &self.slots[at as usize & (self.slots.len() - 1)]
    }
}

/// The end that pushes. Aligned, as its counterpart is: each is written for every word, and ends of
/// several threads are made next to each other.
#[derive(Debug)]
#[repr(align(128))]
pub struct Sender {
    shared: Arc<Shared>,
    next: u64,
    /// `Shared::taken` as last seen: it is looked at only when the ring seems full.
    taken: u64,
    /// `Shared::published` as last written.
    published: u64,
}

impl Sender {
    /// Puts all of `words` into the ring or none. Returns whether there was room.
    #[inline]
    pub fn push(&mut self, words: impl ExactSizeIterator<Item = u64>) -> bool {
        if !self.has_room(words.len() as u64) {
            return false;
        }
        for word in words {
            self.shared.slot(self.next).store(word, Ordering::Relaxed);
            self.next += 1;
        }
        true
    }

    /// Puts a word into the ring. Returns whether there was room.
    #[inline]
    pub fn push_one(&mut self, word: u64) -> bool {
        if !self.has_room(1) {
            return false;
        }
        self.shared.slot(self.next).store(word, Ordering::Relaxed);
        self.next += 1;
        true
    }

    /// Words that were ever pushed.
    #[inline]
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.next
    }

    #[inline]
    fn has_room(&mut self, words: u64) -> bool {
        let after = self.next + words;
        let capacity = self.shared.slots.len() as u64;
        if after - self.taken <= capacity {
            return true;
        }
        // Pairs with the store in `Receiver::release`: the slots have been read.
        self.taken = self.shared.taken.load(Ordering::Acquire);
        after - self.taken <= capacity
    }

    /// Shows the other end what was pushed. Returns whether there was something.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.published == self.next {
            return false;
        }
        self.published = self.next;
        self.shared.published.store(self.next, Ordering::Release);
        true
    }
}

/// The end that takes.
#[derive(Debug)]
#[repr(align(128))]
pub struct Receiver {
    shared: Arc<Shared>,
    next: u64,
    /// `Shared::published` as last seen: it is looked at only when the ring seems empty.
    published: u64,
}

impl Receiver {
    /// Asks for what the other end has written meanwhile: how far it got, and the next `words` words.
    #[inline]
    pub fn prefetch(&self, words: u64) {
        prefetch(&*self.shared.published);
        for at in (0..words).step_by(WORDS_IN_LINE) {
            prefetch(self.shared.slot(self.next + at));
        }
    }

    /// The next word, which stays.
    #[inline]
    pub fn peek(&mut self) -> Option<u64> {
        if self.next == self.published && self.is_empty() {
            return None;
        }
        Some(self.shared.slot(self.next).load(Ordering::Relaxed))
    }

    /// Takes the next word.
    #[inline]
    pub fn pop(&mut self) -> Option<u64> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// Takes the next word if `wanted` says so of it.
    #[inline]
    pub fn pop_if(&mut self, wanted: impl FnOnce(u64) -> bool) -> Option<u64> {
        let word = self.peek().filter(|word| wanted(*word))?;
        self.next += 1;
        Some(word)
    }

    /// Words that were ever taken.
    #[inline]
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.next
    }

    /// Gives the room of what was taken back to the other end.
    #[inline]
    pub fn release(&mut self) {
        if self.shared.taken.load(Ordering::Relaxed) != self.next {
            self.shared.taken.store(self.next, Ordering::Release);
        }
    }

    /// Whether nothing is there now.
    #[inline]
    pub fn is_empty(&mut self) -> bool {
        // Pairs with the store in `Sender::publish`: the words have been written.
        self.published = self.shared.published.load(Ordering::Acquire);
        self.next == self.published
    }

    /// The words that are there now, which stay.
    pub fn waiting(&mut self) -> impl Iterator<Item = u64> + '_ {
        let count = self.len() as u64;
        (self.next..self.next + count).map(|at| self.shared.slot(at).load(Ordering::Relaxed))
    }

    /// Words that are there now.
    #[inline]
    pub fn len(&mut self) -> usize {
        self.published = self.shared.published.load(Ordering::Acquire);
        (self.published - self.next) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_in_order_once_they_are_published() {
        let (mut sender, mut receiver) = ring(4);
        assert!(sender.push([1, 2].into_iter()));
        assert_eq!(receiver.pop(), None, "not published yet");
        assert!(sender.publish());
        assert!(!sender.publish(), "nothing new");
        assert_eq!((receiver.peek(), receiver.pop(), receiver.pop()), (Some(1), Some(1), Some(2)));
        assert_eq!(receiver.pop(), None);
    }

    #[test]
    fn what_does_not_fit_whole_is_refused_whole() {
        let (mut sender, mut receiver) = ring(4);
        assert!(sender.push([1, 2, 3].into_iter()));
        assert!(!sender.push([4, 5].into_iter()));
        sender.publish();
        assert_eq!(receiver.len(), 3);
        receiver.pop();
        assert!(!sender.push([4, 5].into_iter()), "taken, but the room was not given back");
        receiver.release();
        assert!(sender.push([4, 5].into_iter()));
    }
}
