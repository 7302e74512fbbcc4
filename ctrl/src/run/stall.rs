//! Workers that make no progress. One that hangs takes its share of all packets with it, and answers
//! for addresses that another gateway could serve whole: then we announce none of them.

use std::time::Duration;

use super::Gateway;

/// Between two looks at the workers. A worker that sleeps makes a turn every tenth of a second, too.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// So many looks without a turn are a stall. Looks are counted, not time: when the whole process is
/// held up, nobody else is to blame.
const LOOKS: u32 = 5;

/// How each worker gets on.
#[derive(Debug, Default)]
pub(super) struct Stalls(Vec<Progress>);

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    turns: u64,
    /// Looks since it made a turn.
    looks: u32,
}

impl Progress {
    const fn is_stalled(self) -> bool {
        self.looks >= LOOKS
    }
}

impl Stalls {
    /// Looks at how many turns each worker has made. Returns those that stall, or go on, since the
    /// last look.
    fn look(&mut self, turns: impl ExactSizeIterator<Item = u64>) -> Vec<usize> {
        self.0.resize(turns.len(), Progress::default());
        let mut changed = Vec::new();
        for (worker, (turns, progress)) in turns.zip(&mut self.0).enumerate() {
            let before = progress.is_stalled();
            let looks = if turns == progress.turns { progress.looks + 1 } else { 0 };
            *progress = Progress { turns, looks };
            if progress.is_stalled() != before {
                changed.push(worker);
            }
        }
        changed
    }

    /// Whether a worker stalls.
    pub(super) fn is_stalled(&self, worker: usize) -> bool {
        self.0.get(worker).copied().is_some_and(Progress::is_stalled)
    }

    /// Whether any worker stalls.
    pub(super) fn any(&self) -> bool {
        self.0.iter().copied().any(Progress::is_stalled)
    }
}

impl Gateway {
    /// Gives the addresses up when a worker begins to stall, and takes them back when all go on.
    pub(super) async fn look_at_workers(&mut self) {
        let workers = self.engine.workers().iter();
        let changed = self.stalls.look(workers.map(|worker| worker.counters.turns.get()));
        for worker in &changed {
            if self.stalls.is_stalled(*worker) {
                tracing::error!(
                    worker,
                    "a worker makes no progress: its packets are lost, and no address is announced \
                     until it goes on"
                );
            } else {
                tracing::warn!(worker, "the worker goes on");
            }
        }
        if !changed.is_empty() {
            self.tell_cluster();
            self.recompile().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_looks_without_a_turn_are_a_stall_and_one_turn_ends_it() {
        let mut stalls = Stalls::default();
        assert_eq!(stalls.look([7, 9].into_iter()), [0; 0]);
        for _ in 1..LOOKS {
            assert_eq!(stalls.look([7, 9].into_iter()), [0; 0]);
            assert!(!stalls.any());
        }
        assert_eq!(stalls.look([8, 9].into_iter()), [1]);
        assert!(stalls.is_stalled(1) && !stalls.is_stalled(0));
        assert_eq!(stalls.look([9, 9].into_iter()), [0; 0], "it is said once");
        assert_eq!(stalls.look([9, 10].into_iter()), [1]);
        assert!(!stalls.any());
    }
}
