//! Which rounds count. A round during which the processor was taken away says nothing about the
//! code; it stays in the JSON and in the list of rounds, and counts nowhere else.

use super::basis;
use super::model::{Ratio, Row, Run};
use crate::stats;

/// Order statistics of the rounds that count, in the unit of the row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle.
    pub median: f64,
    /// The least and the most.
    pub range: (f64, f64),
    /// A quarter of the rounds lies below the first, a quarter above the second.
    pub quartiles: (f64, f64),
}

impl Summary {
    /// Of these values; zeros for none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        Self {
            median: stats::median(values),
            range: stats::range(values),
            quartiles: (stats::quantile(values, 0.25), stats::quantile(values, 0.75)),
        }
    }

    /// Of the rounds of `row` that count, or of all when none does: a doubtful figure, marked as
    /// such, is more use than none.
    #[must_use]
    pub fn of_row(row: &Row) -> Self {
        let believed = values(row);
        if !believed.is_empty() {
            return Self::of(&believed);
        }
        Self::of(&row.rounds.iter().map(|round| round.value).collect::<Vec<_>>())
    }

    /// Of the rounds of `ratio` that count, or of all when none does.
    #[must_use]
    pub fn of_ratio(run: &Run, row: &Row, ratio: &Ratio) -> Self {
        let believed = ratios(run, row, ratio);
        Self::of(if believed.is_empty() { &ratio.rounds } else { &believed })
    }
}

/// The rounds of `row` that count.
#[must_use]
pub fn values(row: &Row) -> Vec<f64> {
    row.rounds.iter().filter(|round| !round.unreliable).map(|round| round.value).collect()
}

/// The rounds of `ratio` that count: neither the row's own round nor the other's is unreliable.
/// Where a ratio could rest on several rows, only the row's own rounds decide.
#[must_use]
pub fn ratios(run: &Run, row: &Row, ratio: &Ratio) -> Vec<f64> {
    let others = basis::rows(run, row, &ratio.to);
    let other = if let [other] = others[..] { Some(other) } else { None };
    let doubtful = |row: &Row, at: usize| row.rounds.get(at).is_some_and(|round| round.unreliable);
    let counts = |at: usize| !doubtful(row, at) && !other.is_some_and(|other| doubtful(other, at));
    let rounds = ratio.rounds.iter().enumerate();
    rounds.filter(|(at, _)| counts(*at)).map(|(_, value)| *value).collect()
}

/// How many rounds of `row` do not count.
#[must_use]
pub fn doubtful(row: &Row) -> usize {
    row.rounds.iter().filter(|round| round.unreliable).count()
}

/// The number of rounds for people: `12`, or `11 + 1 unreliable`.
#[must_use]
pub fn rounds(row: &Row) -> String {
    match doubtful(row) {
        0 => row.rounds.len().to_string(),
        count => format!("{} + {count} unreliable", row.rounds.len() - count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;
    use crate::report::model::Unit;

    #[test]
    fn unreliable_rounds_do_not_count() {
        let mut row = example::row("a", Unit::NsPerPacket, &[10.0, 11.0, 90.0]);
        row.rounds[2].unreliable = true;
        assert_eq!(values(&row), [10.0, 11.0]);
        assert_eq!(Summary::of_row(&row).range, (10.0, 11.0));
        assert_eq!(rounds(&row), "2 + 1 unreliable");
    }

    #[test]
    fn doubtful_figures_are_shown_when_there_are_no_others() {
        let mut row = example::row("a", Unit::NsPerPacket, &[10.0, 12.0]);
        row.rounds.iter_mut().for_each(|round| round.unreliable = true);
        assert!(values(&row).is_empty());
        assert_eq!(Summary::of_row(&row).median, 11.0);
    }

    #[test]
    fn a_ratio_needs_both_rounds() {
        let mut row = example::row("a/1k", Unit::NsPerPacket, &[10.0, 11.0, 12.0]);
        let mut null = example::row("yardstick/null", Unit::NsPerPacket, &[5.0, 5.0, 5.0]);
        row.rounds[0].unreliable = true;
        null.rounds[2].unreliable = true;
        let ratio = Ratio { to: "null".into(), rounds: vec![2.0, 2.2, 2.4] };
        let run = example::run_of(vec![row.clone(), null]);
        assert_eq!(ratios(&run, &row, &ratio), [2.2]);
    }
}
