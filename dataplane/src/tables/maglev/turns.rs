/// Whether weights change the table. Equal ones give the same table as none, and Cilium ignores
/// them when their mean is below 2 (its integer division).
pub(super) fn weights_matter(weights: &[u16]) -> bool {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    sum / weights.len() as u64 > 1 && weights.windows(2).any(|pair| pair[0] != pair[1])
}

/// Whose turn it is, when weights matter.
///
/// Cilium's rule: backend i has a counter, weight / L at first, L the number of backends. In turn
/// n the candidates are n mod L and those after it, cyclically; a candidate is passed over while
/// (n + 1) * weight < trunc(counter), and the first other one takes the turn: its counter grows by
/// the sum of all weights. Cilium asks candidate after candidate, up to L of them in each turn.
/// As n only grows, here each backend waits for the turn in which it can be a candidate again, and
/// those that can be are bits of a set: a turn costs one look at the set.
pub(super) struct Turns {
    size: u32,
    sum: u64,
    backends: Vec<Backend>,
    /// Who can take this turn, 64 backends to a word.
    ready: Vec<u64>,
    /// The first backend that waits for each turn; the others follow by [`Backend::after`].
    waiting: Vec<u16>,
    turn: u32,
    /// `turn` mod L.
    first: usize,
}

struct Backend {
    weight: u64,
    /// A float like Cilium's: where the sum of fractions is rounded, it is rounded alike.
    counter: f64,
    /// The next backend that waits for the same turn.
    after: u16,
}

/// Ends a list of waiting backends; no backend has this index ([`super::MEMBERS_MAX`]).
const NOBODY: u16 = u16::MAX;

impl Turns {
    /// `size` turns; no weight is 0.
    pub(super) fn new(size: u32, weights: &[u16]) -> Self {
        let backends: Vec<_> = weights
            .iter()
            .map(|weight| Backend {
                weight: u64::from(*weight),
                counter: f64::from(*weight) / weights.len() as f64,
                after: NOBODY,
            })
            .collect();
        // At first every counter is at most the weight, so every backend is ready in turn 0.
        let ready = weights.chunks(64).map(|chunk| u64::MAX >> (64 - chunk.len())).collect();
        Self {
            size,
            sum: backends.iter().map(|backend| backend.weight).sum(),
            backends,
            ready,
            waiting: vec![NOBODY; size as usize],
            turn: 0,
            first: 0,
        }
    }

    /// Who takes the next turn. To be called `size` times at most.
    pub(super) fn next_backend(&mut self) -> u16 {
        self.wake_waiting();
        let backend = self.first_ready();
        self.rest(backend);
        self.turn += 1;
        self.first = if self.first + 1 == self.backends.len() { 0 } else { self.first + 1 };
        backend as u16
    }

    fn wake_waiting(&mut self) {
        let mut backend = self.waiting[self.turn as usize];
        while backend != NOBODY {
            self.ready[usize::from(backend) / 64] |= 1 << (backend % 64);
            backend = self.backends[usize::from(backend)].after;
        }
    }

    /// The first ready backend from `first` on, cyclically. There always is one: if all were
    /// passed over, the sums of both sides of the rule over all backends would give
    /// (n + 1) * sum < sum / L + n * sum.
    fn first_ready(&self) -> usize {
        let (word, bit) = (self.first / 64, self.first % 64);
        let from_first = self.ready[word] >> bit << bit;
        if from_first != 0 {
            return word * 64 + from_first.trailing_zeros() as usize;
        }
        // The word of `first` comes again at the end, for the bits below it.
        let (before, after) = self.ready.split_at(word + 1);
        let mut rest = after.iter().zip(word + 1..).chain(before.iter().zip(0..));
        let (bits, word) = rest
            .find(|(bits, _)| **bits != 0)
            .expect("some backend has had no more turns than its weight gives it");
        word * 64 + bits.trailing_zeros() as usize
    }

    /// Counts the turn that `index` takes, and lets it wait until it can take one again.
    fn rest(&mut self, index: usize) {
        let backend = &mut self.backends[index];
        backend.counter += self.sum as f64;
        // The smallest n with (n + 1) * weight >= trunc(counter).
        let ready_turn = (backend.counter as u64).div_ceil(backend.weight) - 1;
        if ready_turn <= u64::from(self.turn) + 1 {
            return;
        }
        self.ready[index / 64] &= !(1 << (index % 64));
        if ready_turn < u64::from(self.size) {
            let list = &mut self.waiting[ready_turn as usize];
            backend.after = std::mem::replace(list, index as u16);
        }
    }
}
