use std::fmt;
use std::ops::{Add, Sub};

/// A number of addresses. All of IPv6 is one more than 128 bits hold, and a pool may name it twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Multiples of 2^128.
    high: u64,
    low: u128,
}

impl Count {
    /// How many numbers there are from the first to the last, both included.
    pub(super) fn between(first: u128, last: u128) -> Self {
        Self { high: 0, low: last - first } + Self { high: 0, low: 1 }
    }
}

impl From<u64> for Count {
    fn from(number: u64) -> Self {
        Self { high: 0, low: number.into() }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self { high: self.high + other.high + u64::from(carry), low }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self { high: self.high - other.high - u64::from(borrow), low }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As many decimal digits as fit a limb of the division below.
        const DIGITS: u128 = 10_u128.pow(18);
        const WORD: u32 = 64;
        let (mut high, mut low) = (self.high, self.low);
        let mut groups = Vec::new();
        // By hand, from the top: what is left over of one word goes before the next.
        while high > 0 || low >= DIGITS {
            let (top, middle, bottom) = (u128::from(high), low >> WORD, low & u128::from(u64::MAX));
            let middle = (top % DIGITS) << WORD | middle;
            let bottom = (middle % DIGITS) << WORD | bottom;
            groups.push(bottom % DIGITS);
            high = (u128::from(high) / DIGITS).try_into().unwrap_or_default();
            low = (middle / DIGITS) << WORD | (bottom / DIGITS);
        }
        write!(f, "{low}")?;
        groups.iter().rev().try_for_each(|group| write!(f, "{group:018}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_128_bits_add_up() {
        let all = Count::between(0, u128::MAX);
        assert_eq!(all.to_string(), "340282366920938463463374607431768211456");
        assert_eq!((all + all).to_string(), "680564733841876926926749214863536422912");
        assert_eq!((all - Count::from(1)).to_string(), u128::MAX.to_string());
        assert_eq!((all + all - all - all).to_string(), "0");
    }

    #[test]
    fn small_counts_are_plain_numbers() {
        for number in [0, 1, 10_u64.pow(18) - 1, 10_u64.pow(18), 10_u64.pow(18) + 7, u64::MAX] {
            assert_eq!(Count::from(number).to_string(), number.to_string());
        }
        for number in
            [1_u128 << 64, (1 << 64) + 256, 10_u128.pow(36), 10_u128.pow(36) - 1, u128::MAX]
        {
            assert_eq!(Count { high: 0, low: number }.to_string(), number.to_string());
        }
    }
}
