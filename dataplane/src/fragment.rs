//! Datagrams that come in pieces. They are not put together: the first piece names the ports, and so the
//! flow, and the others follow it. All pieces of a datagram meet at one worker, which remembers what
//! the first one said; memory is constant.

/// Fresh identifications.
mod ident;
/// Which parts of a datagram have been seen.
mod ranges;
/// What is remembered, and what waits.
mod store;

pub use ident::Idents;
pub use store::{Fragments, Held};

use crate::addr::{Addr, Class, Classes, L4Port, Proto};

/// What the pieces of one datagram have in common (RFC 791 section 2.3, RFC 8200 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Identification, host order.
    pub ident: u32,
    /// IP protocol number; 0 over IPv6, where it does not count.
    pub proto: u8,
}

impl Key {
    /// The worker at which the pieces meet: all workers say the same.
    #[must_use]
    pub fn meets_at(&self, classes: Classes) -> Class {
        let [a, b] = self.src.words();
        let [c, d] = self.dst.words();
        let ident = u64::from(self.ident) << 8 | u64::from(self.proto);
        let mixed = [a, b, c, d, ident].into_iter().fold(0_u64, |mixed, word| {
            (mixed.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        classes.of((mixed >> 48) as u16)
    }
}

/// The part of a datagram that one piece carries, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins; a multiple of eight.
    pub start: u16,
    /// Where it ends.
    pub end: u16,
    /// The datagram ends there.
    pub last: bool,
}

/// What the first piece says about the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// TCP or UDP.
    pub proto: Proto,
    /// Source port, host order.
    pub src: L4Port,
    /// Destination port, host order.
    pub dst: L4Port,
    /// The identification that the pieces get when their source changes: 24 bits, of which IPv4 takes
    /// the lower 16.
    pub ident: u32,
}

impl Note {
    /// All of it in a word.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        let ports = u64::from(self.src) | u64::from(self.dst) << 16;
        ports | u64::from(self.ident & 0xff_ffff) << 32 | (self.proto as u64) << 56
    }

    /// From the word.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let tcp = bits >> 56 == Proto::Tcp as u64;
        Self {
            proto: if tcp { Proto::Tcp } else { Proto::Udp },
            src: bits as u16,
            dst: (bits >> 16) as u16,
            ident: (bits >> 32) as u32 & 0xff_ffff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_note_survives_its_word(src: u16, dst: u16, ident in 0_u32..1 << 24, tcp: bool) {
            let proto = if tcp { Proto::Tcp } else { Proto::Udp };
            let note = Note { proto, src, dst, ident };
            prop_assert_eq!(Note::from_bits(note.to_bits()), note);
        }
    }

    #[test]
    fn datagrams_meet_at_every_worker_alike() {
        let classes = Classes::new(4).unwrap();
        let mut met = [0_usize; 4];
        for ident in 0..4_000 {
            let (src, dst) = (Addr::v4([10, 0, 0, 9]), Addr::v4([10, 0, 0, 100]));
            met[Key { src, dst, ident, proto: 17 }.meets_at(classes).worker()] += 1;
        }
        assert!(met.iter().all(|count| (800..1_200).contains(count)), "{met:?}");
    }
}
