use std::fmt::Write;

use arrayvec::ArrayString;

use super::murmur3::murmur3_x64_128;
use super::{Member, MemberProto};
use crate::addr::Family;

/// The order in which a backend asks for slots: each prime-sized table is walked whole, from a
/// start and with a step of the backend's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permutation {
    next: u32,
    skip: u32,
    size: u32,
}

impl Permutation {
    /// The permutation of the backend with this [`cilium_name`]. `size` is a prime below 2^31.
    pub(super) fn new(seed: u32, size: u32, name: &str) -> Self {
        let [h1, h2] = murmur3_x64_128(name.as_bytes(), seed);
        let size_wide = u64::from(size);
        Self { next: (h1 % size_wide) as u32, skip: (h2 % (size_wide - 1)) as u32 + 1, size }
    }

    /// The slot that is asked for now; the one after it is asked for next.
    #[inline]
    pub(super) fn advance(&mut self) -> usize {
        let slot = self.next;
        let ahead = slot + self.skip;
        // One of the two is below `size`: `ahead` itself, or what is left past the end. If
        // nothing is left, the subtraction wraps to a huge number.
        self.next = ahead.min(ahead.wrapping_sub(self.size));
        slot as usize
    }
}

/// Longest name: an IPv6 address of 39 characters, a port of five, and what is around them.
const NAME_MAX: usize = "[[]:/SCTP,State:active]".len() + 39 + 5;

/// What Cilium calls an active backend where it hashes and sorts them.
pub(super) fn cilium_name(member: &Member) -> ArrayString<NAME_MAX> {
    let proto = match member.proto {
        MemberProto::Tcp => "TCP",
        MemberProto::Udp => "UDP",
        MemberProto::Sctp => "SCTP",
        MemberProto::Any => "ANY",
    };
    let Member { addr, port, .. } = member;
    let mut name = ArrayString::new();
    match addr.family() {
        Family::V4 => write!(name, "[{addr}:{port}/{proto},State:active]"),
        Family::V6 => write!(name, "[[{addr}]:{port}/{proto},State:active]"),
    }
    .expect("NAME_MAX is the longest name");
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::tables::id::BackendId;

    fn name(addr: &str, port: u16, proto: MemberProto) -> String {
        let addr = Addr::from(addr.parse::<std::net::IpAddr>().unwrap());
        let member = Member { id: BackendId::new(0, 0), addr, port, proto, weight: 100 };
        cilium_name(&member).to_string()
    }

    #[test]
    fn names_backends_as_cilium_does() {
        assert_eq!(name("10.0.0.7", 80, MemberProto::Tcp), "[10.0.0.7:80/TCP,State:active]");
        assert_eq!(name("fd00::7", 53, MemberProto::Udp), "[[fd00::7]:53/UDP,State:active]");
    }

    #[test]
    fn the_longest_name_fits() {
        let longest = "2001:1111:2222:3333:4444:5555:6666:7777";
        assert_eq!(name(longest, 65_535, MemberProto::Sctp).len(), NAME_MAX);
    }

    #[test]
    fn visits_every_slot_once() {
        let mut permutation = Permutation::new(1, 251, "any name");
        let mut seen = [false; 251];
        for _ in 0..251 {
            assert!(!std::mem::replace(&mut seen[permutation.advance()], true));
        }
    }
}
