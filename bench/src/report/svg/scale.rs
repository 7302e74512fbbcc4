/// From a value to a place. `log` scales are for values above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    log: bool,
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    /// Values from 0 to the first round number at or above `most`, at the places from `to.0` to
    /// `to.1`.
    pub fn linear(most: f64, to: (f64, f64)) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most);
        Self { log: false, from: (0.0, (most / step).ceil() * step), to }
    }

    /// Values from `least` to `most`, each tenfold as far from the one before. Widened to whole
    /// powers of ten when `whole`.
    pub fn log((least, most): (f64, f64), to: (f64, f64), whole: bool) -> Self {
        let least = least.max(f64::MIN_POSITIVE);
        // The logarithm of a power of ten is not always whole; 1e-9 forgives that.
        let down = |value: f64| 10_f64.powf((value.log10() + 1e-9).floor());
        let up = |value: f64| 10_f64.powf((value.log10() - 1e-9).ceil());
        let (least, most) = if whole { (down(least), up(most)) } else { (least, most) };
        // One value alone still needs room around it.
        let from = if most > least { (least, most) } else { (least / 2.0, least * 2.0) };
        Self { log: true, from, to }
    }

    /// The place of `value`; of a value outside, that of the nearer end.
    pub fn at(&self, value: f64) -> f64 {
        let measure =
            |value: f64| if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (from, to) = (measure(self.from.0), measure(self.from.1));
        let share = ((measure(value) - from) / (to - from)).clamp(0.0, 1.0);
        self.to.0 + share * (self.to.1 - self.to.0)
    }

    /// The first and the last place.
    pub fn ends(&self) -> (f64, f64) {
        self.to
    }

    /// Round values to mark.
    pub fn marks(&self) -> Vec<f64> {
        if self.log { self.log_marks() } else { self.linear_marks() }
    }

    fn linear_marks(&self) -> Vec<f64> {
        let step = step(self.from.1);
        let count = (self.from.1 / step).round() as u32;
        (0..=count).map(|mark| f64::from(mark) * step).collect()
    }

    /// Powers of ten; between few of them twos and fives, too.
    fn log_marks(&self) -> Vec<f64> {
        let (from, to) = (self.from.0.log10(), self.from.1.log10());
        let factors: &[f64] = if to - from < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = from.floor() as i32..=to.ceil() as i32;
        let all = powers.flat_map(|power| factors.iter().map(move |by| by * 10_f64.powi(power)));
        let slack = 1.0 + 1e-9;
        all.filter(|mark| mark * slack >= self.from.0 && *mark <= self.from.1 * slack).collect()
    }
}

/// A round step, four to ten of which reach `most`.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    let steps = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0];
    let step = steps.into_iter().map(|step| step * power).find(|step| most / step <= 8.0);
    step.unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_marks_are_round_and_few() {
        let scale = Scale::linear(61.3, (0.0, 100.0));
        assert_eq!(scale.marks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]);
        assert_eq!(scale.at(35.0), 50.0);
        for most in [1e-3, 1.0, 1.7, 2.0, 9.99, 1.05e6, 0.0] {
            let marks = Scale::linear(most, (0.0, 1.0)).marks();
            assert!((3..=9).contains(&marks.len()), "{most}: {marks:?}");
            assert!(marks[marks.len() - 1] >= most);
        }
    }

    #[test]
    fn log_scales_keep_tenfolds_apart() {
        let scale = Scale::log((1e3, 1.6e7), (0.0, 100.0), true);
        assert_eq!(scale.marks(), [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]);
        assert!((scale.at(1e4) - 20.0).abs() < 1e-6);
        assert_eq!(scale.at(0.0), 0.0);
    }

    #[test]
    fn short_log_scales_have_marks_between() {
        assert_eq!(Scale::log((2.0, 30.0), (0.0, 1.0), false).marks(), [2.0, 5.0, 10.0, 20.0]);
        assert!(!Scale::log((7.0, 7.0), (0.0, 1.0), false).marks().is_empty());
    }
}
