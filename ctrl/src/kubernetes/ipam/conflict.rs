//! Pools that overlap. The older one goes on, the newer one is marked and gives out nothing.

use super::ledger::Ledger;
use super::pool::Pool;
use super::span::Span;

/// Marks pools that overlap with one that is not marked, and unmarks those that overlap with none
/// at all.
pub fn settle(ledger: &mut Ledger) {
    let pools = &mut ledger.pools;
    for at in 0..pools.len() {
        if pools[at].is_conflicting() {
            continue;
        }
        if let Some((own, other)) = overlap_within(&pools[at]) {
            let message = message(own, other, pools[at].name());
            pools[at].mark(Some(message));
            continue;
        }
        // Pools are in order of age: whoever comes later has to wait.
        for other in 0..pools.len() {
            if other == at || pools[other].is_conflicting() {
                continue;
            }
            let (older, newer) = (at.min(other), at.max(other));
            if let Some((own, others)) = overlap(&pools[newer], &pools[older]) {
                let message = message(own, others, pools[older].name());
                pools[newer].mark(Some(message));
                break;
            }
        }
    }
    for at in 0..pools.len() {
        let clear = |other: usize| other == at || overlap(&pools[at], &pools[other]).is_none();
        if pools[at].is_conflicting()
            && overlap_within(&pools[at]).is_none()
            && (0..pools.len()).all(clear)
        {
            pools[at].mark(None);
        }
    }
}

fn overlap_within(pool: &Pool) -> Option<(Span, Span)> {
    let spans = || pool.ranges.iter().map(|range| range.span).enumerate();
    spans().find_map(|(at, one)| {
        let others = spans().filter(|(other, _)| *other != at);
        others.map(|(_, two)| two).find(|two| one.overlaps(two)).map(|two| (one, two))
    })
}

fn overlap(pool: &Pool, other: &Pool) -> Option<(Span, Span)> {
    let mut spans = pool.ranges.iter().map(|range| range.span);
    spans.find_map(|one| {
        let mut others = other.ranges.iter().map(|range| range.span);
        others.find(|two| one.overlaps(two)).map(|two| (one, two))
    })
}

fn message(own: Span, other: Span, pool: &str) -> String {
    format!("Pool conflicts since range '{own}' overlaps range '{other}' from IP Pool '{pool}'")
}
