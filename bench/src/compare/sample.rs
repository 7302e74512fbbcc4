use serde::Serialize;

use crate::report::believed::Summary;

/// A change below this is of no interest, however quiet the rounds: builds differ by as much when
/// the linker moves a function.
const LEAST: f64 = 0.02;
/// How many half quartile distances a change must exceed.
const NOISES: f64 = 1.5;

/// Whether a figure changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The change may be noise.
    Same,
    /// It stands out, to the better.
    Better,
    /// It stands out, to the worse.
    Worse,
}

/// The believed rounds of one figure in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample(Summary);

impl Sample {
    /// Of these rounds.
    #[must_use]
    pub fn of(rounds: &[f64]) -> Self {
        Self(Summary::of(rounds))
    }

    /// The middle of the rounds.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.0.median
    }

    /// The change from `old`, as a share of its median (of 1 when that is 0), and the share that it
    /// must exceed to stand out: the larger of 2 % and 1.5 times the wider of the two half
    /// distances between the quartiles, each as a share of its own median.
    #[must_use]
    pub fn change(&self, old: &Self) -> (f64, f64) {
        let change = (self.median() - old.median()) / old.base();
        (change, LEAST.max(NOISES * self.half_width().max(old.half_width())))
    }

    /// Whether the figure changed from `old`. Two things must hold: the medians differ by more
    /// than the noise of [`Sample::change`], and the quartile intervals do not overlap. The first
    /// keeps small and doubtful changes out; the second those of lopsided rounds, where the median
    /// wanders inside of an interval that stays.
    #[must_use]
    pub fn against(&self, old: &Self, less_is_better: bool) -> Finding {
        let (change, noise) = self.change(old);
        let ((new_low, new_high), (old_low, old_high)) = (self.0.quartiles, old.0.quartiles);
        let apart = new_low > old_high || old_low > new_high;
        if change.abs() <= noise || !apart {
            Finding::Same
        } else if (change > 0.0) == less_is_better {
            Finding::Worse
        } else {
            Finding::Better
        }
    }

    fn half_width(&self) -> f64 {
        let (low, high) = self.0.quartiles;
        (high - low) / 2.0 / self.base()
    }

    fn base(&self) -> f64 {
        let median = self.median().abs();
        if median > 0.0 { median } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(old: &[f64], new: &[f64]) -> Finding {
        Sample::of(new).against(&Sample::of(old), true)
    }

    const TIGHT: [f64; 5] = [99.5, 99.8, 100.0, 100.2, 100.5];

    #[test]
    fn five_percent_stand_out_from_tight_rounds() {
        assert_eq!(finding(&TIGHT, &TIGHT.map(|value| value * 1.05)), Finding::Worse);
        assert_eq!(finding(&TIGHT, &TIGHT.map(|value| value * 0.95)), Finding::Better);
        let more_is_better = Sample::of(&TIGHT.map(|value| value * 0.95));
        assert_eq!(more_is_better.against(&Sample::of(&TIGHT), false), Finding::Worse);
    }

    #[test]
    fn less_than_two_percent_never_do() {
        assert_eq!(finding(&TIGHT, &TIGHT.map(|value| value * 1.019)), Finding::Same);
    }

    #[test]
    fn five_percent_are_lost_in_noise() {
        let noisy = [90.0, 96.0, 100.0, 104.0, 110.0];
        assert_eq!(finding(&noisy, &noisy.map(|value| value * 1.05)), Finding::Same);
        assert_eq!(finding(&TIGHT, &noisy.map(|value| value * 1.05)), Finding::Same);
    }

    #[test]
    fn lopsided_rounds_must_leave_the_old_interval() {
        let old = [100.0, 100.0, 100.0, 106.0, 106.0];
        assert_eq!(finding(&old, &[105.0, 105.5, 105.5, 106.0, 106.0]), Finding::Same);
    }

    #[test]
    fn from_none_to_some_is_a_change() {
        assert_eq!(finding(&[0.0], &[3.0]), Finding::Worse);
        assert_eq!(finding(&[0.0], &[0.0]), Finding::Same);
    }
}
