//! SipHash-1-3 (Aumasson, Bernstein: SipHash, a fast short-input PRF) over a few whole words. The
//! same function as in the crate `siphasher`, with the length known when it is compiled.

/// The secret of one table: an outsider cannot aim at a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct SipKey(pub(super) u64, pub(super) u64);

#[derive(Clone, Copy)]
struct State([u64; 4]);

impl State {
    #[inline]
    const fn round(self) -> Self {
        let Self([mut a, mut b, mut c, mut d]) = self;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        Self([a, b, c, d])
    }

    #[inline]
    const fn absorb(self, word: u64) -> Self {
        let Self([a, b, c, d]) = self;
        let Self([a, b, c, d]) = Self([a, b, c, d ^ word]).round();
        Self([a ^ word, b, c, d])
    }
}

/// Hashes `words` (little-endian bytes) and then the low `LAST` bytes of `last`.
#[inline(always)]
pub(super) const fn hash<const WORDS: usize, const LAST: usize>(
    key: SipKey,
    words: [u64; WORDS],
    last: u64,
) -> u64 {
    const { assert!(LAST < 8, "a whole word is one of `words`") };
    let mut state = State([
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ]);
    let mut at = 0;
    while at < WORDS {
        state = state.absorb(words[at]);
        at += 1;
    }
    let length = ((WORDS * 8 + LAST) as u64) << 56;
    let State([a, b, c, d]) = state.absorb(length | (last & ((1 << (LAST * 8)) - 1)));
    let State([a, b, c, d]) = State([a, b, c ^ 0xff, d]).round().round().round();
    a ^ b ^ c ^ d
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    use super::*;

    proptest! {
        #[test]
        fn is_the_function_of_the_library(key: (u64, u64), words: [u64; 3], last: u64) {
            let library = SipHasher13::new_with_keys(key.0, key.1);
            let bytes: Vec<u8> = words.iter().chain([&last]).flat_map(|w| w.to_le_bytes()).collect();
            let ours = SipKey(key.0, key.1);
            prop_assert_eq!(hash::<3, 7>(ours, words, last), library.hash(&bytes[..31]));
            prop_assert_eq!(hash::<3, 0>(ours, words, last), library.hash(&bytes[..24]));
            let two = [words[0], words[1]];
            prop_assert_eq!(hash::<2, 6>(ours, two, words[2]), library.hash(&bytes[..22]));
            prop_assert_eq!(hash::<1, 2>(ours, [words[0]], words[1]), library.hash(&bytes[..10]));
        }
    }
}
