use crate::addr::{Addr, Family, L4Port, Proto};

/// The three parts of Cilium's 12-byte hash seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSeeds {
    /// Seed of MurmurHash3 in the Maglev permutation.
    pub murmur: u32,
    /// Seed of the IPv4 flow hash.
    pub jhash_v4: u32,
    /// Seed of the IPv6 flow hash.
    pub jhash_v6: u32,
}

impl HashSeeds {
    /// Splits the twelve bytes (big-endian words) that Cilium keeps as base64.
    #[must_use]
    pub const fn from_bytes(seed: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = seed;
        Self {
            murmur: u32::from_be_bytes([a, b, c, d]),
            jhash_v4: u32::from_be_bytes([e, f, g, h]),
            jhash_v6: u32::from_be_bytes([i, j, k, l]),
        }
    }
}

impl Default for HashSeeds {
    /// Cilium's default seed, `JLfvgnHc2kaSUFaI`.
    fn default() -> Self {
        Self { murmur: 0x24b7_ef82, jhash_v4: 0x71dc_da46, jhash_v6: 0x9250_5688 }
    }
}

/// Cilium's flow hash (`bpf/lib/hash.h`, v1.20); the Maglev slot is this modulo the table size.
/// Ports in host order. The VIP is left out, as Cilium does: a client gets the same backend on
/// every VIP of a service. Session affinity by client address: `client_port` 0.
#[inline]
#[must_use]
pub fn flow_hash(
    seeds: &HashSeeds,
    client: Addr,
    client_port: L4Port,
    service_port: L4Port,
    proto: Proto,
) -> u32 {
    // Cilium reads the header fields as they lie in memory of a little-endian machine.
    let ports = u32::from(service_port.swap_bytes()) << 16 | u32::from(client_port.swap_bytes());
    let proto = proto as u32;
    let [w0, w1, w2, w3] = words(&client);
    match client.family() {
        Family::V4 => {
            let base = seeds.jhash_v4.wrapping_add(JHASH_INITVAL + (3 << 2));
            [w3, ports, proto].map(|word| word.wrapping_add(base)).finish()
        }
        Family::V6 => {
            // Unlike Linux's jhash2, Cilium's IPv6 variant adds no initial value, mixes once more
            // and takes the seed last.
            let [a, b, c] = [w0, w1, w2].mix();
            let [a, b, c] =
                [a.wrapping_add(w3), b.wrapping_add(ports), c.wrapping_add(proto)].mix();
            [a.wrapping_add(seeds.jhash_v6), b, c].finish()
        }
    }
}

/// `JHASH_INITVAL` of the kernel's `include/linux/jhash.h`.
const JHASH_INITVAL: u32 = 0xdead_beef;

/// The address as four words, each as a little-endian machine reads it from the header.
#[inline]
fn words(addr: &Addr) -> [u32; 4] {
    let (words, _) = addr.octets().as_chunks::<4>();
    [words[0], words[1], words[2], words[3]].map(u32::from_le_bytes)
}

/// Bob Jenkins' lookup3, as the kernel has it (`__jhash_mix`, `__jhash_final`).
trait Lookup3 {
    fn mix(self) -> Self;
    fn finish(self) -> u32;
}

impl Lookup3 for [u32; 3] {
    #[inline]
    fn mix(self) -> Self {
        let [mut a, mut b, mut c] = self;
        (a, c) = (a.wrapping_sub(c) ^ c.rotate_left(4), c.wrapping_add(b));
        (b, a) = (b.wrapping_sub(a) ^ a.rotate_left(6), a.wrapping_add(c));
        (c, b) = (c.wrapping_sub(b) ^ b.rotate_left(8), b.wrapping_add(a));
        (a, c) = (a.wrapping_sub(c) ^ c.rotate_left(16), c.wrapping_add(b));
        (b, a) = (b.wrapping_sub(a) ^ a.rotate_left(19), a.wrapping_add(c));
        (c, b) = (c.wrapping_sub(b) ^ b.rotate_left(4), b.wrapping_add(a));
        [a, b, c]
    }

    #[inline]
    fn finish(self) -> u32 {
        let [mut a, mut b, mut c] = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        (c ^ b).wrapping_sub(b.rotate_left(24))
    }
}
