//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
//!
//! Sums are kept in 64 bits without folding; 2^32 words fit before one could overflow. They are of
//! words as the machine reads them from memory, whatever its byte order (RFC 1071 section 2,
//! "byte order independence"); `fold` gives a number in host order.

use crate::addr::{Addr, Family};

/// Sum of `bytes` as 16-bit words; an odd last byte is the upper half of a word.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = 0;
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_ne_bytes(last))
}

/// Brings a sum down to 16 bits, host order. The checksum field is the complement of it.
#[inline]
#[must_use]
pub const fn fold(total: u64) -> u16 {
    // Added to itself with the halves swapped, the upper half holds both halves and the carry.
    let folded = (total.wrapping_add(total.rotate_left(32)) >> 32) as u32;
    u16::from_be((folded.wrapping_add(folded.rotate_left(16)) >> 16) as u16)
}

/// A number in host order as a word of a sum.
#[inline]
const fn word(number: u16) -> u64 {
    number.to_be() as u64
}

/// An address as words of a sum. What stands before an IPv4 address, ffff, counts nothing modulo
/// 2^16 - 1.
#[inline]
fn address(addr: &Addr) -> u64 {
    let [a, b] = addr.words();
    halves(a) + halves(b)
}

#[inline]
const fn halves(words: u64) -> u64 {
    (words & 0xffff_ffff) + (words >> 32)
}

/// Sum over parts that follow each other, where a part may end on an odd byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chained {
    total: u64,
    odd: bool,
}

impl Chained {
    /// Starts from a sum, such as that of a pseudo-header.
    #[must_use]
    pub const fn from(total: u64) -> Self {
        Self { total, odd: false }
    }

    /// Adds the next part.
    pub fn add(&mut self, part: &[u8]) {
        let folded = fold(sum(part));
        // Behind an odd byte every byte has the other weight: the folded sum is swapped.
        self.total += word(if self.odd { folded.swap_bytes() } else { folded });
        self.odd ^= part.len() % 2 == 1;
    }

    /// The sum so far, in 16 bits.
    #[must_use]
    pub const fn fold(self) -> u16 {
        fold(self.total)
    }
}

/// Sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline]
#[must_use]
pub fn pseudo(src: &Addr, dst: &Addr, proto: u8, len: u16) -> u64 {
    pseudo_of(addresses(src, dst), proto, len)
}

/// As [`pseudo`], from the sum of both addresses.
#[inline]
#[must_use]
pub const fn pseudo_of(addresses: u64, proto: u8, len: u16) -> u64 {
    addresses + word(proto as u16) + word(len)
}

/// Sum of both addresses of a packet.
#[inline]
#[must_use]
pub fn addresses(src: &Addr, dst: &Addr) -> u64 {
    address(src) + address(dst)
}

/// As [`addresses`], of addresses that both are of `family`: of IPv4 ones half of the bytes will do.
#[inline(always)]
#[must_use]
pub fn addresses_of(family: Family, src: &Addr, dst: &Addr) -> u64 {
    match family {
        Family::V4 => src.v4_bits() + dst.v4_bits(),
        Family::V6 => addresses(src, dst),
    }
}

/// Sum of the ports that a transport header begins with, as they stand in it.
#[inline]
#[must_use]
pub const fn ports(bytes: [u8; 4]) -> u64 {
    u32::from_ne_bytes(bytes) as u64
}

/// Nothing, modulo 2^16 - 1, and larger than any sum of a header: a sum is taken from it.
const NOTHING: u64 = (1 << 48) - 1;

/// Changes that a header went through, to be applied to a checksum that covers it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delta(u64);

impl Delta {
    /// A 16-bit field changed.
    #[inline]
    pub fn word(&mut self, old: u16, new: u16) {
        self.0 += word(!old) + word(new);
    }

    /// Fields with the sum `old` gave way to ones with the sum `new`.
    #[inline]
    pub const fn sum(&mut self, old: u64, new: u64) {
        self.0 += NOTHING - old + new;
    }

    /// TTL was counted down by one: it is the first byte of its word.
    #[inline]
    pub const fn ttl(&mut self) {
        self.sum(u16::from_ne_bytes([1, 0]) as u64, 0);
    }

    /// The checksum that covers the changed bytes.
    #[inline]
    #[must_use]
    pub fn apply(self, checksum: u16) -> u16 {
        !fold(word(!checksum) + self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as RFC 1071 writes it.
    fn naive(bytes: &[u8]) -> u16 {
        let mut total: u32 = 0;
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            total += u32::from(u16::from_be_bytes([pair[0], low]));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    /// 0 and 0xffff are the same number in ones' complement.
    fn canonical(sum: u16) -> u16 {
        if sum == 0xffff { 0 } else { sum }
    }

    proptest! {
        #[test]
        fn whole_sum_equals_the_naive_one(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(canonical(fold(sum(&bytes))), canonical(naive(&bytes)));
        }

        #[test]
        fn parts_of_any_length_sum_up_to_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
            cuts in proptest::collection::vec(0_usize..3000, 0..4),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut chained = Chained::default();
            for pair in cuts.windows(2) {
                chained.add(&bytes[pair[0]..pair[1]]);
            }
            prop_assert_eq!(canonical(chained.fold()), canonical(naive(&bytes)));
        }

        #[test]
        fn incremental_update_equals_recomputing(
            mut bytes in proptest::collection::vec(any::<u8>(), 64..200),
            at in 0_usize..30,
            new in any::<u16>(),
            src in any::<[u8; 4]>(),
        ) {
            let before = !fold(sum(&bytes));
            let mut delta = Delta::default();
            let word = at * 2;
            let old = u16::from_be_bytes([bytes[word], bytes[word + 1]]);
            delta.word(old, new);
            bytes[word..word + 2].copy_from_slice(&new.to_be_bytes());
            let old = Addr::v4([bytes[60], bytes[61], bytes[62], bytes[63]]);
            delta.sum(address(&old), address(&Addr::v4(src)));
            bytes[60..64].copy_from_slice(&src);
            prop_assert_eq!(canonical(delta.apply(before)), canonical(!fold(sum(&bytes))));
        }
    }
}
