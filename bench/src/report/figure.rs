//! Numbers with their units, for people: three significant digits, and a prefix that leaves one to
//! three of them before the point.

use super::model::Unit;

/// A prefix of a unit, so that the figures of one line share it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitScale {
    /// What a figure is divided by.
    pub divisor: f64,
    /// The unit with its prefix: `M packets/s`. Empty for bare numbers.
    pub name: &'static str,
}

impl UnitScale {
    /// The largest prefix of `unit` in which `value` is at least 1, or else the smallest prefix.
    #[must_use]
    pub fn of(unit: Unit, value: f64) -> Self {
        let steps = steps(unit);
        let fits = |step: &&(f64, &'static str)| rounded(value.abs() / step.0) >= 1.0;
        let (divisor, name) = steps.iter().rev().find(fits).unwrap_or(&steps[0]);
        Self { divisor: *divisor, name }
    }

    /// `value` in this scale, without its unit.
    #[must_use]
    pub fn bare(self, value: f64) -> String {
        if self.name.is_empty() { plain(value) } else { digits(value / self.divisor) }
    }

    /// `value` in this scale, with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        with_unit(self.bare(value), self.name)
    }

    /// From one figure to another: `41.9 to 43.2 ns`.
    #[must_use]
    pub fn span(self, (from, to): (f64, f64)) -> String {
        with_unit(format!("{} to {}", self.bare(from), self.bare(to)), self.name)
    }
}

/// A figure with its unit: `42.1 ns/packet`, `1.05 M packets/s`.
#[must_use]
pub fn show(unit: Unit, value: f64) -> String {
    UnitScale::of(unit, value).show(value)
}

/// A figure beside an axis, with its unit: `20 µs`.
#[must_use]
pub fn tick(unit: Unit, value: f64) -> String {
    let scale = UnitScale::of(unit, value);
    with_unit(short(value / scale.divisor), scale.name)
}

/// As [`digits`], without zeros at the end: the round figures beside an axis need none.
#[must_use]
pub fn short(value: f64) -> String {
    let digits = digits(value);
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Three significant digits; all digits before the point, in groups: `0.0123`, `42.1`, `65 521`.
#[must_use]
pub fn digits(value: f64) -> String {
    let value = rounded(value);
    if value == 0.0 || !value.is_finite() {
        return format!("{}", value + 0.0);
    }
    let decimals = (2 - exponent(value)).clamp(0, 12) as usize;
    grouped(&format!("{value:.decimals$}"))
}

/// As [`digits`], but whole numbers stay whole: a count of 5 is `5`, not `5.00`.
#[must_use]
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.is_finite() {
        grouped(&format!("{}", value + 0.0))
    } else {
        digits(value)
    }
}

/// A multiple of something else: `2.10 x`.
#[must_use]
pub fn multiple(value: f64) -> String {
    format!("{} x", digits(value))
}

/// A change in percent, with its sign: `+5.1 %`.
#[must_use]
pub fn percent(change: f64) -> String {
    format!("{:+.1} %", change * 100.0)
}

/// A further figure, whose unit is a word of the caller: `1 000 000 flows`.
#[must_use]
pub fn with_unit(number: String, unit: &str) -> String {
    if unit.is_empty() { number } else { number + " " + unit }
}

fn steps(unit: Unit) -> &'static [(f64, &'static str)] {
    match unit {
        // Without prefixes: figures of one table are compared with each other and with the bars.
        Unit::NsPerPacket => &[(1.0, "ns/packet")],
        Unit::Ns => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
        Unit::Ms => &[(1e-6, "ns"), (1e-3, "µs"), (1.0, "ms"), (1e3, "s")],
        Unit::Bytes => {
            const KI: f64 = 1024.0;
            const MI: f64 = KI * KI;
            &[(1.0, "B"), (KI, "KiB"), (MI, "MiB"), (MI * KI, "GiB"), (MI * MI, "TiB")]
        }
        Unit::Count => &[(1.0, "")],
        Unit::PacketsPerSecond => {
            &[(1.0, "packets/s"), (1e3, "k packets/s"), (1e6, "M packets/s"), (1e9, "G packets/s")]
        }
        Unit::ConnectionsPerSecond => {
            &[(1.0, "connections/s"), (1e3, "k connections/s"), (1e6, "M connections/s")]
        }
        Unit::BitsPerSecond => {
            &[(1.0, "bit/s"), (1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s"), (1e12, "Tbit/s")]
        }
    }
}

/// To three significant digits; whole numbers above that keep theirs.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let factor = 10_f64.powi((2 - exponent(value)).max(0));
    (value * factor).round() / factor
}

fn exponent(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// Thousands apart from each other.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut out = String::with_capacity(number.len() + 4);
    for (at, digit) in number.char_indices() {
        let after_digit = out.ends_with(|last: char| last.is_ascii_digit());
        if at < whole && after_digit && (whole - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_significant_digits() {
        let shown = [0.0, -0.0, 0.012_345, 1.0, 9.999, 42.06, 999.6, 65_521.4, -1_234.0, 0.999_96];
        let shown = shown.map(digits);
        let expected =
            ["0", "0", "0.0123", "1.00", "10.0", "42.1", "1 000", "65 521", "-1 234", "1.00"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn whole_numbers_stay_whole() {
        assert_eq!([plain(5.0), plain(1e6), plain(2.345)], ["5", "1 000 000", "2.35"]);
    }

    #[test]
    fn axes_have_no_zeros_to_spare() {
        let shown = [0.0, 0.1 + 0.2, 20.0, 1.5, 100.0, 2_000.0].map(short);
        assert_eq!(shown, ["0", "0.3", "20", "1.5", "100", "2 000"]);
        assert_eq!(tick(Unit::Ns, 1e4), "10 µs");
    }

    #[test]
    fn a_prefix_leaves_at_least_one() {
        assert_eq!(show(Unit::PacketsPerSecond, 1_049_000.0), "1.05 M packets/s");
        assert_eq!(show(Unit::PacketsPerSecond, 999_999.0), "1.00 M packets/s");
        assert_eq!(show(Unit::BitsPerSecond, 9.414e9), "9.41 Gbit/s");
        assert_eq!(show(Unit::Bytes, 1_536.0), "1.50 KiB");
        assert_eq!(show(Unit::Ms, 0.25), "250 µs");
        assert_eq!(show(Unit::NsPerPacket, 1_020.4), "1 020 ns/packet");
        assert_eq!(show(Unit::Ns, 0.0), "0 ns");
        assert_eq!(show(Unit::Count, 7.0), "7");
    }

    #[test]
    fn a_span_shares_one_unit() {
        let scale = UnitScale::of(Unit::PacketsPerSecond, 1.0e6);
        assert_eq!(scale.span((0.95e6, 1.1e6)), "0.950 to 1.10 M packets/s");
    }

    #[test]
    fn changes_have_a_sign() {
        assert_eq!([percent(0.051), percent(-0.2)], ["+5.1 %", "-20.0 %"]);
    }
}
