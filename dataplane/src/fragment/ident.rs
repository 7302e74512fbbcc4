use std::hash::{BuildHasher, RandomState};

/// Identifications of one worker. Each worker has numbers of its own, so that the datagrams of two behind
/// one source address never get the same one at the same time.
#[derive(Debug)]
pub struct Idents {
    first: u32,
    span: u32,
    count: u32,
}

impl Idents {
    /// Those of worker `own` of `workers`. Nobody can tell where they begin.
    #[must_use]
    pub fn new(own: usize, workers: usize) -> Self {
        let span = (1 << 16) / workers.max(1) as u32;
        Self { first: own as u32 * span, span, count: RandomState::new().hash_one(0_u8) as u32 }
    }

    /// The next one: 24 bits, of which the lower 16 are this worker's own.
    pub fn fresh(&mut self) -> u32 {
        self.count = self.count.wrapping_add(1);
        let turn = self.count / self.span;
        (turn << 16 | (self.first + self.count % self.span)) & 0xff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_workers_give_the_same_and_none_repeats_soon() {
        let mut seen = HashSet::new();
        for own in 0..3 {
            let mut idents = Idents::new(own, 3);
            for _ in 0..(1 << 16) / 3 {
                assert!(seen.insert(idents.fresh() & 0xffff));
            }
        }
    }
}
