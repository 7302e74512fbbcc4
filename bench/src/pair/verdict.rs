use crate::stats::{median, quantile};

/// Changes smaller than this are nobody's: where code and tables come to lie makes as much.
const LEAST: f64 = 0.025;

/// What the ratios of several starts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No difference beyond the noise.
    Same,
    /// The new program takes longer.
    Slower,
    /// The new program takes less time.
    Faster,
}

impl Verdict {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Same => "no difference",
            Self::Slower => "SLOWER",
            Self::Faster => "faster",
        }
    }
}

/// There is a difference when the middle start shows more than 2.5 %, and three of four starts are
/// on its side by more than half of that: one start that came to lie badly changes nothing.
pub fn verdict(ratios: &[f64]) -> Verdict {
    let middle = median(ratios) - 1.0;
    if middle > LEAST && quantile(ratios, 0.25) - 1.0 > LEAST / 2.0 {
        Verdict::Slower
    } else if middle < -LEAST && quantile(ratios, 0.75) - 1.0 < -LEAST / 2.0 {
        Verdict::Faster
    } else {
        Verdict::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_no_difference() {
        assert_eq!(verdict(&[0.99, 1.01, 1.02, 0.98, 1.00, 1.01, 1.06]), Verdict::Same);
        assert_eq!(verdict(&[1.03, 0.97, 1.04, 0.99, 1.05, 1.00, 1.03]), Verdict::Same);
    }

    #[test]
    fn five_percent_is_one() {
        assert_eq!(verdict(&[1.05, 1.04, 1.06, 1.05, 1.03, 1.05, 0.99]), Verdict::Slower);
        assert_eq!(verdict(&[0.95, 0.94, 0.96, 0.95, 0.97, 0.95, 1.01]), Verdict::Faster);
    }
}
